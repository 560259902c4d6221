/* exposition.h - metric families and samples, written in either format. */
#ifndef PRESENCE_EXPOSITION_H
#define PRESENCE_EXPOSITION_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "negotiate.h"

enum family_type {
    FAMILY_GAUGE,
    FAMILY_COUNTER, /* its samples' names end with _total */
    FAMILY_INFO,    /* its samples' names end with _info, and their value is 1 */
};

struct exposition {
    FILE *out;
    enum format format;
    const char *name; /* of the family that is being written */
    enum family_type type;
};

struct label {
    const char *name;
    const char *value; /* any bytes, which are escaped */
};

/* Begin a family; `name` is without _total or _info, and outlives the family. */
void exposition_family(struct exposition *exposition, const char *name, enum family_type type,
                       const char *help);

/* Write a sample of the family that was begun last. */
void exposition_sample(struct exposition *exposition, const struct label *labels, size_t count,
                       uint64_t value);

/* Write a family of one sample without labels. */
void exposition_gauge(struct exposition *exposition, const char *name, const char *help,
                      uint64_t value);

/* Write the end of the exposition. */
void exposition_end(struct exposition *exposition);

#endif

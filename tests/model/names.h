/* names.h - the sites, labels and visitors that random streams are made of. */
#ifndef PRESENCE_TESTS_NAMES_H
#define PRESENCE_TESTS_NAMES_H

#include <stdbool.h>

#include "beat.h"
#include "random_source.h"

#define NAMES_MAX    64 /* of a kind */
#define VISITORS_MAX 160

struct name {
    uint8_t bytes[255];
    uint8_t length;
};

struct visitor {
    uint8_t id[16];
    struct name text; /* what a text heartbeat says; a UUID's hex digits are lower-case */
    bool is_uuid;
};

struct names {
    unsigned counts[PLACES];
    struct name names[PLACES][NAMES_MAX];
    unsigned visitor_count;
    struct visitor visitors[VISITORS_MAX];
};

/* Make `counts` names of each kind and `visitors` visitors. Some are awkward: longest, with quotes,
 * spaces, backslashes and code points of every length, the same in several kinds. */
void names_make(struct names *names, const unsigned counts[PLACES], unsigned visitors,
                struct random_source *random);

/* Text reads a lone hyphen as absent, so that such a name can be sent natively only. */
bool name_is_hyphen(const struct name *name);

#endif

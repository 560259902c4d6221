/* names.h - the sites, labels and visitors of random scenarios. */
#ifndef PRESENCE_TESTS_NAMES_H
#define PRESENCE_TESTS_NAMES_H

#include <stdbool.h>

#include "beat.h"
#include "random_source.h"

#define NAMES_MAX      64 /* per kind */
#define VISITORS_MAX   160

#define NAME_MAX_BYTES 512 /* of an id; places' names have at most 255 */

/* A place's, in canonical form except for the case of sites. */
struct name {
    uint8_t bytes[NAME_MAX_BYTES];
    uint16_t length;
};

struct visitor {
    uint8_t id[16];
    struct name text; /* its text in a heartbeat; a UUID's hex digits are lower-case */
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

/* Write a name in another of the ways that mean the same, at most `longest` bytes of them, and
 * return its length: in any case (not rooms), and rooms that are paths with more slashes. */
unsigned name_respell(const struct name *name, enum place place, struct random_source *random,
                      uint8_t *ret, unsigned longest);

/* True if the name is a lone hyphen, which text parses as absent, so that it is sent natively
 * only. */
bool name_is_hyphen(const struct name *name);

#endif

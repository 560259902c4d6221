/* visitors.h - a load's made-up visitors: who comes next, and where they are.
 *
 * Visitor n is always at place n % places, and always the UUID 00000000-0000-4000-8000-<n, 12 hex
 * digits>. They come in groups of one place, so that a group can be one datagram. In order, every
 * visitor comes once before any comes again; at random, any may come any time.
 */
#ifndef PRESENCE_SEND_VISITORS_H
#define PRESENCE_SEND_VISITORS_H

#include "options.h"

#include <stdbool.h>
#include <stdint.h>

#define VISITORS_NAME_SIZE 40

struct visitors {
    uint64_t count;
    uint64_t first; /* added to the numbers, which count from 0 here */
    uint64_t group; /* visitors a group */
    uint64_t rooms, countries, sources;
    uint64_t places;
    bool random;
    uint64_t random_state;

    uint64_t row;                /* in order: visitors of each place that came in this round */
    uint64_t place;              /* of the group */
    uint64_t here;               /* visitors of that place */
    uint64_t next;               /* visitor of the group */
    uint64_t left;               /* visitors of the group that are still to come */
    struct presence_place names; /* of the group: points below, and to what was given */
    char room[VISITORS_NAME_SIZE], source[VISITORS_NAME_SIZE], country[3];
};

/* Begin with the visitors of `options`, in groups of `group`. `visitors` must stay where it is. */
void visitors_begin(struct visitors *visitors, const struct options *options, uint32_t group);

/* Write the next visitor's id and return their place, valid until the next call. */
const struct presence_place *visitors_next(struct visitors *visitors, uint8_t ret_id[16]);

#endif

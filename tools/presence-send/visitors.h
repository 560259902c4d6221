/* visitors.h - the made-up visitors of a load: the next one, and their place.
 *
 * Visitor n is always at place n % places, and has the UUID 00000000-0000-4000-8000-<n, 12 hex
 * digits>. They come in groups at one place, so that a group can be one datagram. In order, every
 * visitor comes once before any comes again; at random, any may come at any time. */
#ifndef PRESENCE_SEND_VISITORS_H
#define PRESENCE_SEND_VISITORS_H

#include "presence-send.h"

#define VISITORS_NAME_SIZE 40

struct visitors {
    uint64_t count;
    uint64_t first; /* added to the numbers, which count from 0 here */
    uint64_t group; /* visitors per group */
    uint64_t rooms, countries, sources;
    uint64_t places;
    bool random;
    uint64_t random_state;

    uint64_t row;                /* in order: visitors of each place that came in this round */
    uint64_t place;              /* of the group */
    uint64_t here;               /* visitors of that place */
    uint64_t next;               /* visitor of the group */
    uint64_t left;               /* visitors of the group that are still to come */
    struct presence_place names; /* the group's place; points to texts below and to the options */
    char room[VISITORS_NAME_SIZE], source[VISITORS_NAME_SIZE], country[3];
};

/* Start with the first visitor of `options`, in groups of `group`. `visitors` must not be moved. */
void visitors_init(struct visitors *visitors, const struct options *options, uint32_t group);

/* Write the next visitor's id and return their place, valid until the next call. */
const struct presence_place *visitors_next(struct visitors *visitors, uint8_t ret_id[16]);

#endif

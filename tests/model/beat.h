/* beat.h - the meaning of one datagram, before it is encoded and after it is applied to the
 * oracle. */
#ifndef PRESENCE_TESTS_BEAT_H
#define PRESENCE_TESTS_BEAT_H

#include <stdint.h>

#define BEAT_VISITORS_MAX 200

/* The kinds of scopes, in the segment's order. */
enum place { PLACE_SITE, PLACE_ROOM, PLACE_COUNTRY, PLACE_SOURCE, PLACES };

enum beat_kind { BEAT_HEARTBEAT = 1, BEAT_LEAVE = 2, BEAT_PAGEVIEW = 3, BEAT_EVENT = 4 };

struct beat {
    enum beat_kind kind;
    int names[PLACES]; /* numbers in struct names; -1: absent. There is always a site. */
    unsigned visitors;
    unsigned visitor[BEAT_VISITORS_MAX]; /* numbers in struct names */
    const char *event;                   /* name of a BEAT_EVENT */
    unsigned labels_invalid;             /* labels that were added only to be skipped */
    unsigned rooms_too_long;
};

#endif

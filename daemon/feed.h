/* feed.h - what workers tell of single visitors: the ring of events, at a bounded rate a site. */
#ifndef PRESENCED_FEED_H
#define PRESENCED_FEED_H

#include "core/segment.h"

/* Where something happened. Indexes are SCOPE_NONE where there is no such label. */
struct feed_place {
    uint32_t scopes[SCOPE_KINDS]; /* there is always a site; all are held by the batch */
    uint8_t name_length;
    uint8_t name[EVENT_NAME_MAX]; /* of a custom event */
};

/* Are events kept at all? */
static inline bool feed_is_open(const struct segment *segment)
{
    return segment->events.capacity != 0;
}

/* Write an event at tick `now`. False: it was thinned out. Lock-free; any worker inside a batch. */
bool feed_write(const struct segment *segment, enum event_kind kind, const struct feed_place *place,
                uint64_t now);

#endif

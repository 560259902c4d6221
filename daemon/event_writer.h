/* event_writer.h - write single visitors' events into the segment's ring, of each site only its
 * share. */
#ifndef PRESENCED_EVENT_WRITER_H
#define PRESENCED_EVENT_WRITER_H

#include "core/segment.h"
#include "event_share.h"

/* The place of an event. Indexes are SCOPE_NONE where it has no such label. */
struct event_place {
    uint32_t scopes[SCOPE_KINDS]; /* always with a site; all are held by the batch */
    uint8_t name_length;
    uint8_t name[EVENT_NAME_MAX]; /* of a custom event */
};

/* True if the segment keeps events. */
static inline bool event_writer_is_open(const struct segment *segment)
{
    return segment->events.capacity != 0;
}

/* Write an event at tick `now`. Returns false if its site has used up its share: the event is
 * dropped. Lock-free; any worker inside a batch. */
bool event_writer_emit(const struct segment *segment, struct event_share *share,
                       enum event_kind kind, const struct event_place *place, uint64_t now);

#endif

/* event_ring.h - a ring of events in memory, sites that write into it, and seconds that pass. */
#ifndef PRESENCE_TESTS_EVENT_RING_H
#define PRESENCE_TESTS_EVENT_RING_H

#include "../support/unit.h"

#include <stdlib.h>

#include "event_share.h"

#define RING_SITES 4096
#define RING_FIRST UINT64_C(1764000000000000)
#define RING_START 1000 /* tick */

struct ring {
    struct events events;
    struct event_share share;
    uint64_t now;
    uint64_t spent[RING_SITES]; /* the sites' words in the segment */
    uint64_t written[RING_SITES], thinned[RING_SITES];
    uint64_t last[RING_SITES]; /* number of the last event */
};

static inline struct ring *ring_open(uint32_t capacity)
{
    struct ring *ring = calloc(1, sizeof(*ring));

    ring->events = (struct events){
        .head = calloc(1, sizeof(struct events_head)),
        .slots = calloc(capacity ? capacity : 1, sizeof(struct event_slot)),
        .capacity = capacity,
    };
    ring->now = RING_START;
    events_init(&ring->events, RING_FIRST);
    event_share_init(&ring->share, &ring->events, ring->now);
    return ring;
}

static inline void ring_close(struct ring *ring)
{
    free(ring->events.head);
    free(ring->events.slots);
    free(ring);
}

static inline struct event_record ring_record(unsigned site)
{
    struct event_record record = {.kind = EVENT_PAGEVIEW};
    int length = snprintf((char *)record.names.bytes, 16, "s%u", site);

    record.site_length = (uint8_t)length;
    return record;
}

/* Let a site write an event. Returns false if it is thinned out. */
static inline bool ring_write(struct ring *ring, unsigned site)
{
    struct event_record record = ring_record(site);

    if (!event_share_spend(&ring->share, &ring->spent[site], ring->now)) {
        ring->thinned[site]++;
        return false;
    }
    ring->last[site] = ring->events.head->next;
    assert_true(events_write(&ring->events, 0, &record));
    event_share_brake(&ring->share);
    ring->written[site]++;
    return true;
}

/* Let each of several sites write as much as it may. */
static inline void ring_flood(struct ring *ring, unsigned first, unsigned count)
{
    for (unsigned site = first; site < first + count; site++)
        while (ring_write(ring, site))
            ;
}

/* Let seconds pass, in which some sites write all they may: both before and after the maintenance
 * thread has run. */
static inline void ring_pass(struct ring *ring, unsigned seconds, unsigned first, unsigned count)
{
    for (; seconds; seconds--) {
        ring->now++;
        ring_flood(ring, first, count);
        event_share_update(&ring->share, ring->now);
        ring_flood(ring, first, count);
    }
}

static inline bool ring_holds(const struct ring *ring, uint64_t number)
{
    struct event_record record;

    return events_load(&ring->events, number, &record) == EVENT_LOADED;
}

#endif

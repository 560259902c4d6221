/* event_share.h - how many events each site may write, so that a busy one does not push those of
 * quiet ones out of the ring (R11).
 *
 * In the long run, the ring is written once in ten minutes: that is the pace. Beyond it, half of
 * the ring is for bursts. Once a second the maintenance thread computes from what is left of that
 * half how many events a site may write, the same for all sites: from the most that one may write
 * at all down to the least, which is one a second. While only one site writes it may always write
 * the most, since it pushes out no events but its own.
 *
 * Many sites can write all of the ring before that second is over. So the worker that sees a 16th
 * of it written lowers the share to the least until then.
 */
#ifndef PRESENCED_EVENT_SHARE_H
#define PRESENCED_EVENT_SHARE_H

#include "core/events.h"

/* Seconds in which the ring is written once, in the long run; and in which the last event of a site
 * is not pushed out. */
#define EVENT_SHARE_TURN 600

/* A worker's batch may be so many seconds behind another's. */
#define EVENT_SHARE_LATE 60

struct event_share {
    /* What workers read: so many events (lower 32 bits) of each site in so many ticks (upper). */
    uint64_t word;
    uint64_t limit;  /* the share is the least once this number is next, until the next update */
    uint64_t lowest; /* the word of the least share */
    /* The rest is the maintenance thread's. Rates and `burst` are in 65536ths of an event. */
    const struct events *events;
    uint64_t most, steady, least; /* events of a site in a second; `steady`: of all, for the pace */
    int64_t burst;                /* left to write beyond the pace; below 0: a debt */
    uint64_t at;                  /* tick of the last event_share_update */
    uint64_t counted;             /* the number that was next then */
    uint64_t scanned;             /* up to this number, sites of events are known */
    uint64_t others_at;           /* tick at which two sites were last seen to write in turn */
    uint8_t site_length;          /* of the last event that was scanned; 0: none was */
    uint8_t site[EVENT_SITE_MAX];
};

/* Begin with the whole burst at tick `now`. The ring may hold events of an earlier daemon; it has
 * to outlive this. Before there are workers. */
void event_share_init(struct event_share *share, const struct events *events, uint64_t now);

/* Compute the share anew at tick `now`. Once a second, by the maintenance thread, while workers
 * write. */
void event_share_update(struct event_share *share, uint64_t now);

/* Spend one of a site's events at tick `now`; `spent` is the site's word in the segment. Returns
 * false if it has used up its share. Lock-free; any worker. */
static inline bool event_share_spend(const struct event_share *share, uint64_t *spent, uint64_t now)
{
    const uint64_t word = atomic_load_relaxed(&share->word); /* set by event_share_update */
    const uint32_t events = (uint32_t)word, ticks = (uint32_t)(word >> 32);
    uint64_t before = atomic_load_relaxed(spent), desired;

    do {
        uint32_t since = (uint32_t)(before >> 32), used = (uint32_t)before;
        uint32_t age = (uint32_t)now - since;
        if (!used || (age >= ticks && age < -(uint32_t)EVENT_SHARE_LATE)) {
            since = (uint32_t)now;
            used = 0;
        }
        if (used >= events)
            return false;
        desired = (uint64_t)since << 32 | (used + 1);
    } while (!atomic_swap_if(spent, &before, desired)); /* pairs with itself, in other workers */
    return true;
}

/* Lower the share if enough was written in this second. After an event was written; any worker. */
static inline void event_share_brake(struct event_share *share)
{
    /* Both relaxed: at worst the share is the least for a second. Pairs with event_share_update. */
    if (__builtin_expect(atomic_load_relaxed(&share->events->head->next) >=
                             atomic_load_relaxed(&share->limit),
                         false))
        atomic_store_relaxed(&share->word, share->lowest);
}

#endif

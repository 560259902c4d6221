/* activity.h - running totals and peaks of each scope. Free of libc.
 *
 * Workers add to the totals when they publish their traffic; the totals only grow while the scope
 * lives. The maintenance thread writes the peaks: it samples the count of the default window once a
 * second.
 */
#ifndef PRESENCE_ACTIVITY_H
#define PRESENCE_ACTIVITY_H

#include "core/atomics.h"

struct activity {
    uint64_t heartbeats;   /* visitors of heartbeats, pageviews and events that were counted */
    uint64_t pageviews;    /* visitors of pageviews */
    uint64_t entries;      /* enters (R4); wraps below 0 for a moment between two racing inserts */
    uint64_t leaves;       /* visitors who left explicitly while the default window counted them */
    uint64_t peak_today;   /* peak_word; both are 0 until the scope's first sample */
    uint64_t peak_ever;    /* peak_word */
    uint64_t since;        /* tick at which the scope was created */
    uint64_t events_spent; /* a site's: tick (upper 32 bits) and events written from it on (R11) */
};

_Static_assert(sizeof(struct activity) == 64, "activity");
SHARED_AT(struct activity, pageviews, 8);
SHARED_AT(struct activity, entries, 16);
SHARED_AT(struct activity, leaves, 24);
SHARED_AT(struct activity, peak_today, 32);
SHARED_AT(struct activity, peak_ever, 40);
SHARED_AT(struct activity, since, 48);
SHARED_AT(struct activity, events_spent, 56);

/* Encode a peak in one word, so that count and tick belong together however a daemon ends. */
static inline uint64_t peak_word(uint32_t count, uint64_t tick)
{
    return (uint64_t)count << 32 | (uint32_t)tick;
}

static inline uint32_t peak_count(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

/* Return a peak's tick, given one that is less than 2^31 s away. */
static inline uint64_t peak_tick(uint64_t word, uint64_t near)
{
    return near + (uint64_t)(int64_t)(int32_t)((uint32_t)word - (uint32_t)near);
}

#endif

/* activity.h - what each scope has seen so far: running totals and peaks. Free of libc.
 *
 * Totals are added to by workers once a batch and only grow while the scope lives. Peaks belong to
 * the keeper, who samples the count of the default window once a second.
 */
#ifndef PRESENCE_ACTIVITY_H
#define PRESENCE_ACTIVITY_H

#include "core/atomics.h"

struct activity {
    uint64_t heartbeats;   /* visitors of heartbeats, pageviews and events that were counted */
    uint64_t pageviews;    /* visitors of pageviews */
    uint64_t entries;      /* rule 4; wraps below 0 for the moment between two racing inserts */
    uint64_t leaves;       /* visitors who left explicitly while the default window counted them */
    uint64_t peak_today;   /* peak_word; both are 0 until the keeper has looked at the scope */
    uint64_t peak_ever;    /* peak_word */
    uint64_t since;        /* tick at which the scope came into being */
    uint64_t events_spent; /* a site's: tick (upper 32 bits) and events written in it */
};

_Static_assert(sizeof(struct activity) == 64, "activity");
_Static_assert(__builtin_offsetof(struct activity, pageviews) == 8, "activity.pageviews");
_Static_assert(__builtin_offsetof(struct activity, entries) == 16, "activity.entries");
_Static_assert(__builtin_offsetof(struct activity, leaves) == 24, "activity.leaves");
_Static_assert(__builtin_offsetof(struct activity, peak_today) == 32, "activity.peak_today");
_Static_assert(__builtin_offsetof(struct activity, peak_ever) == 40, "activity.peak_ever");
_Static_assert(__builtin_offsetof(struct activity, since) == 48, "activity.since");
_Static_assert(__builtin_offsetof(struct activity, events_spent) == 56, "activity.events_spent");

/* A peak is one word, so that count and tick belong together however a daemon ends. */
static inline uint64_t peak_word(uint32_t count, uint64_t tick)
{
    return (uint64_t)count << 32 | (uint32_t)tick;
}

static inline uint32_t peak_count(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

/* The tick of a peak, given one that is less than 2^31 s away from it. */
static inline uint64_t peak_tick(uint64_t word, uint64_t near)
{
    return near + (uint64_t)(int64_t)(int32_t)((uint32_t)word - (uint32_t)near);
}

#endif

/* ring.h - a scope's rings of buckets, and how writers change them. Free of libc.
 *
 * A bucket is one 64-bit word: tag (upper 32 bits: its tick or minute) and signed count (lower 32:
 * visitors whose last heartbeat fell there). It changes only by compare-and-swap, or by a lone
 * writer's store; tags only move forward, a change for an older tag is dropped, and a subtraction
 * may come before its addition. ring_sum.h counts by them.
 */
#ifndef PRESENCE_RING_H
#define PRESENCE_RING_H

#include "core/atomics.h"

#define RING_SECONDS    512 /* 480 that can be counted and 32 for late publishers */
#define RING_MINUTES    64  /* 60 that can be counted and 4 for late publishers */
#define WINDOW_FINE_MAX 480 /* seconds; longer windows are counted in whole minutes */
#define WINDOW_MAX      3600

struct ring {
    uint64_t seconds[RING_SECONDS];
    uint64_t minutes[RING_MINUTES];
};

_Static_assert(sizeof(struct ring) == 4608, "5 KB a scope with its directory entry");

/* Return the window that is counted when this one is requested: R3 rounds above 480 s. */
static inline uint32_t window_rounded(uint32_t window_s)
{
    return window_s <= WINDOW_FINE_MAX ? window_s : (window_s + 59) / 60 * 60;
}

/* Compute a bucket's next word. False if nothing changes: the change is for an older tag. */
static inline bool ring_bucket_changed(uint64_t word, uint32_t tag, int32_t delta, uint64_t *ret)
{
    /* An unused bucket is older than any tag, whatever its distance from 0. */
    int32_t age = word ? (int32_t)(tag - (uint32_t)(word >> 32)) : INT32_MAX;

    if (age < 0)
        return false;
    uint32_t count = age == 0 ? (uint32_t)word : 0;
    *ret = (uint64_t)tag << 32 | (uint32_t)(count + (uint32_t)delta);
    return true;
}

/* Add to one bucket. Lock-free; a failed swap means that another writer succeeded. */
static inline void ring_add_bucket(uint64_t *bucket, uint32_t tag, int32_t delta)
{
    uint64_t word = atomic_load_relaxed(bucket), desired;

    do {
        if (!ring_bucket_changed(word, tag, delta, &desired))
            return;
    } while (!atomic_swap_if(bucket, &word, desired)); /* pairs with ring_bucket_count */
}

/* Add to one bucket that nobody else ever writes. */
static inline void ring_add_bucket_alone(uint64_t *bucket, uint32_t tag, int32_t delta)
{
    uint64_t desired;

    if (ring_bucket_changed(atomic_load_relaxed(bucket), tag, delta, &desired))
        atomic_store_release(bucket, desired); /* pairs with ring_bucket_count */
}

/* Prefetch a tick's buckets, which another writer's processor may hold. Always inline: the compiler
 * drops calls of a function that only prefetches. */
static inline __attribute__((always_inline)) void ring_fetch(struct ring *ring, uint64_t tick)
{
    __builtin_prefetch(&ring->seconds[tick % RING_SECONDS], 1);
    __builtin_prefetch(&ring->minutes[tick / 60 % RING_MINUTES], 1);
}

static inline void ring_move(uint64_t *bucket, uint32_t tag, int32_t delta, bool alone)
{
    if (alone)
        ring_add_bucket_alone(bucket, tag, delta);
    else
        ring_add_bucket(bucket, tag, delta);
}

/* Add `delta`, which may be negative, to the bucket of a tick, or of a minute. Each visitor counts
 * in one bucket of a second and in one of a minute. `alone`: nobody else ever writes. */
static inline void ring_add_second(struct ring *ring, uint64_t tick, int32_t delta, bool alone)
{
    ring_move(&ring->seconds[tick % RING_SECONDS], (uint32_t)tick, delta, alone);
}

static inline void ring_add_minute(struct ring *ring, uint64_t minute, int32_t delta, bool alone)
{
    ring_move(&ring->minutes[minute % RING_MINUTES], (uint32_t)minute, delta, alone);
}

static inline int64_t ring_bucket_count(const uint64_t *bucket, uint32_t tag)
{
    uint64_t word = atomic_load_acquire(bucket); /* pairs with ring_add_bucket */
    return (uint32_t)(word >> 32) == tag ? (int32_t)(uint32_t)word : 0;
}

#endif

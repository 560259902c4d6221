/* tally.h - one worker's bucket changes, summed locally and published once a batch.
 *
 * A heartbeat moves a visitor from one bucket to another, and most of a batch's heartbeats share
 * both. Additions are published before subtractions, so that a reader that sums in between counts a
 * visitor twice rather than not at all.
 */
#ifndef PRESENCED_TALLY_H
#define PRESENCED_TALLY_H

#include "core/scope.h"

#define TALLY_SLOTS     4096
#define TALLY_LIMIT     (TALLY_SLOTS * 3 / 4)
#define TALLY_TICK_BITS 40

struct tally_slot {
    uint64_t key; /* (scope + 1) << 40 | tick or minute; 0 is free */
    int64_t delta;
};

/* Changes of buckets of one size: by second or by minute. */
struct tally_sums {
    unsigned used_count;
    uint16_t used[TALLY_LIMIT];
    struct tally_slot slots[TALLY_SLOTS];
};

struct tally {
    const struct directory *directory;
    bool is_alone; /* no other worker publishes into its rings */
    struct tally_sums seconds;
    struct tally_sums minutes; /* derived from the seconds when they are published */
};

static inline uint32_t tally_scope(uint64_t key)
{
    return (uint32_t)(key >> TALLY_TICK_BITS) - 1;
}

static inline uint64_t tally_tick(uint64_t key)
{
    return key & ((UINT64_C(1) << TALLY_TICK_BITS) - 1);
}

/* Return the first slot to try: ticks of a scope are neighbours, scopes are far from each other. */
static inline unsigned tally_slot(uint32_t scope, uint64_t tick)
{
    return (unsigned)((scope * UINT64_C(1327217885) + tick) % TALLY_SLOTS);
}

static inline uint64_t tally_key(uint32_t scope, uint64_t tick)
{
    return ((uint64_t)scope + 1) << TALLY_TICK_BITS | tick;
}

/* Add to one sum. Returns false if it would be one too many. */
static inline bool tally_sum(struct tally_sums *sums, uint32_t scope, uint64_t tick, int32_t delta)
{
    uint64_t key = tally_key(scope, tick);
    unsigned at = tally_slot(scope, tick);

    while (sums->slots[at].key != key) {
        if (sums->slots[at].key) {
            at = (at + 1) % TALLY_SLOTS;
            continue;
        }
        if (sums->used_count == TALLY_LIMIT)
            return false;
        sums->slots[at].key = key;
        sums->used[sums->used_count++] = (uint16_t)at;
    }
    sums->slots[at].delta += delta;
    return true;
}

static inline void tally_clear(struct tally_sums *sums)
{
    for (unsigned i = 0; i < sums->used_count; i++)
        sums->slots[sums->used[i]] = (struct tally_slot){0};
    sums->used_count = 0;
}

/* Publish the sums that are additions, or those that are subtractions. Inline, so that `add` is a
 * constant. */
static inline __attribute__((always_inline)) void
tally_publish_sums(const struct tally *tally, const struct tally_sums *sums, bool added,
                   void (*add)(struct ring *, uint64_t, int32_t, bool))
{
    for (unsigned i = 0; i < sums->used_count; i++) {
        const struct tally_slot slot = sums->slots[sums->used[i]];
        if (slot.delta != 0 && (slot.delta > 0) == added)
            add(&tally->directory->rings[tally_scope(slot.key)], tally_tick(slot.key),
                (int32_t)slot.delta, tally->is_alone);
    }
}

/* Add all changes to the scopes' rings and clear them. Most heartbeats come in the same minute as
 * the one before and change no minute's bucket. */
static inline void tally_publish(struct tally *tally)
{
    for (unsigned i = 0; i < tally->seconds.used_count; i++) {
        const struct tally_slot slot = tally->seconds.slots[tally->seconds.used[i]];
        uint32_t scope = tally_scope(slot.key);
        uint64_t tick = tally_tick(slot.key);
        ring_fetch(&tally->directory->rings[scope], tick);
        /* There is room: there are no more minutes than seconds. */
        tally_sum(&tally->minutes, scope, tick / 60, (int32_t)slot.delta);
    }
    for (int added = 1; added >= 0; added--) {
        tally_publish_sums(tally, &tally->seconds, added, ring_add_second);
        tally_publish_sums(tally, &tally->minutes, added, ring_add_minute);
    }
    tally_clear(&tally->seconds);
    tally_clear(&tally->minutes);
}

/* The slow path of tally_add: the sum is new, or not in its first slot. */
static __attribute__((noinline, unused)) void tally_search(struct tally *tally, uint32_t scope,
                                                           uint64_t tick, int32_t delta)
{
    while (!tally_sum(&tally->seconds, scope, tick, delta))
        tally_publish(tally);
}

/* Publish now unless `sums` more have room. They can then be added in any order: additions are
 * still published first. */
static inline void tally_make_room(struct tally *tally, unsigned sums)
{
    if (__builtin_expect(tally->seconds.used_count + sums > TALLY_LIMIT, 0))
        tally_publish(tally);
}

/* Add `delta` visitors to a scope at a tick. Publishes by itself when full. */
static inline void tally_add(struct tally *tally, uint32_t scope, uint64_t tick, int32_t delta)
{
    struct tally_slot *slot = &tally->seconds.slots[tally_slot(scope, tick)];

    if (__builtin_expect(slot->key == tally_key(scope, tick), 1))
        slot->delta += delta;
    else
        tally_search(tally, scope, tick, delta);
}

#endif

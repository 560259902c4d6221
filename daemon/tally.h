/* tally.h - one worker's bucket changes, added up locally and published once a batch.
 *
 * A heartbeat moves a visitor out of one bucket and into another; most of a batch's heartbeats
 * share both. What is published first is what was added, so that a reader who sums in between sees
 * a visitor twice rather than not at all.
 */
#ifndef PRESENCED_TALLY_H
#define PRESENCED_TALLY_H

#include "presence/scope.h"

#define TALLY_SLOTS     4096
#define TALLY_LIMIT     (TALLY_SLOTS * 3 / 4)
#define TALLY_TICK_BITS 40

struct tally {
    const struct directory *directory;
    unsigned used_count;
    uint16_t used[TALLY_LIMIT];
    uint64_t keys[TALLY_SLOTS]; /* (scope + 1) << 40 | tick; 0 is free */
    int32_t deltas[TALLY_SLOTS];
};

static inline void tally_publish_signed(struct tally *tally, bool added)
{
    for (unsigned i = 0; i < tally->used_count; i++) {
        unsigned slot = tally->used[i];
        int32_t delta = tally->deltas[slot];
        if (delta == 0 || (delta > 0) != added)
            continue;
        uint64_t scope = (tally->keys[slot] >> TALLY_TICK_BITS) - 1;
        uint64_t tick = tally->keys[slot] & ((UINT64_C(1) << TALLY_TICK_BITS) - 1);
        ring_add(&tally->directory->rings[scope], tick, delta);
    }
}

/* Put all changes into the scopes' rings, and start anew. */
static inline void tally_publish(struct tally *tally)
{
    tally_publish_signed(tally, true);
    tally_publish_signed(tally, false);
    for (unsigned i = 0; i < tally->used_count; i++) {
        tally->keys[tally->used[i]] = 0;
        tally->deltas[tally->used[i]] = 0;
    }
    tally->used_count = 0;
}

/* Neighbouring ticks of a scope land in neighbouring slots; scopes start far from each other. */
static inline unsigned tally_slot(uint32_t scope, uint64_t tick)
{
    return (unsigned)((scope * UINT64_C(1327217885) + tick) % TALLY_SLOTS);
}

/* Move `delta` visitors of a scope at a tick. Publishes by itself when it is full. */
static inline void tally_add(struct tally *tally, uint32_t scope, uint64_t tick, int32_t delta)
{
    uint64_t key = ((uint64_t)scope + 1) << TALLY_TICK_BITS | tick;
    unsigned slot = tally_slot(scope, tick);

    while (tally->keys[slot] != key) {
        if (tally->keys[slot]) {
            slot = (slot + 1) % TALLY_SLOTS;
            continue;
        }
        if (tally->used_count == TALLY_LIMIT) {
            tally_publish(tally);
            slot = tally_slot(scope, tick);
        }
        tally->keys[slot] = key;
        tally->used[tally->used_count++] = (uint16_t)slot;
    }
    tally->deltas[slot] += delta;
}

#endif

/* traffic.h - one worker's totals of what came and went in scopes, published once a second.
 *
 * They are the worker's while it holds its gate. The keeper asks for them before it samples: a
 * worker that is inside a batch publishes at its end, for one that is not the keeper does it. A
 * slot each for as many scopes as are usually touched in a second; two that meet in one take turns.
 */
#ifndef PRESENCED_TRAFFIC_H
#define PRESENCED_TRAFFIC_H

#include "core/scope.h"

#define TRAFFIC_SLOTS 512 /* a power of two */

struct traffic_slot {
    uint32_t scope; /* + 1; 0 is free */
    uint64_t heartbeats, pageviews, entries, leaves;
};

struct traffic {
    const struct directory *directory;
    uint32_t wanted;    /* how often the keeper has asked */
    uint32_t published; /* what that was when all was published */
    unsigned used_count;
    uint16_t used[TRAFFIC_SLOTS];
    struct traffic_slot slots[TRAFFIC_SLOTS];
};

static inline void traffic_add(uint64_t *total, uint64_t value)
{
    if (value)
        atomic_add_relaxed(total, value); /* read by the keeper, each by itself */
}

static inline void traffic_publish_slot(struct traffic *traffic, struct traffic_slot *slot)
{
    struct activity *activity = &traffic->directory->activities[slot->scope - 1];

    traffic_add(&activity->heartbeats, slot->heartbeats);
    traffic_add(&activity->pageviews, slot->pageviews);
    traffic_add(&activity->entries, slot->entries);
    traffic_add(&activity->leaves, slot->leaves);
    *slot = (struct traffic_slot){0};
}

/* The slot of a scope, to add to. Valid until the next call. */
static inline struct traffic_slot *traffic_of(struct traffic *traffic, uint32_t scope)
{
    unsigned index = scope % TRAFFIC_SLOTS;
    struct traffic_slot *slot = &traffic->slots[index];

    if (slot->scope == scope + 1)
        return slot;
    if (slot->scope)
        traffic_publish_slot(traffic, slot);
    else
        traffic->used[traffic->used_count++] = (uint16_t)index;
    slot->scope = scope + 1;
    return slot;
}

/* Put all totals into the scopes' activities, and start anew. The gate is held. */
static inline void traffic_publish(struct traffic *traffic)
{
    uint32_t wanted = atomic_load_relaxed(&traffic->wanted); /* asked for again: done again */

    for (unsigned i = 0; i < traffic->used_count; i++)
        traffic_publish_slot(traffic, &traffic->slots[traffic->used[i]]);
    traffic->used_count = 0;
    /* Release: pairs with traffic_is_published; whoever sees it sees the totals. */
    atomic_store_release(&traffic->published, wanted);
}

/* Has everything been published since the keeper last asked? Any thread. */
static inline bool traffic_is_published(const struct traffic *traffic)
{
    return atomic_load_acquire(&traffic->published) == atomic_load_relaxed(&traffic->wanted);
}

#endif

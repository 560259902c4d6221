/* traffic.h - one worker's totals of heartbeats, enters and leaves by scope, published once a
 * second.
 *
 * They are the worker's while it holds its gate. The maintenance thread asks for them before it
 * samples: a worker that is inside a batch publishes them at its end; for an idle worker the
 * maintenance thread does. There are as many slots as scopes are usually touched in a second. Two
 * scopes that share a slot take turns: each publishes the other's totals.
 */
#ifndef PRESENCED_TRAFFIC_H
#define PRESENCED_TRAFFIC_H

#include "core/scope.h"

#define TRAFFIC_SLOTS 8192 /* a power of two */

struct traffic_slot {
    uint32_t scope; /* + 1; 0 is free */
    uint64_t heartbeats, pageviews, entries, leaves;
};

struct traffic {
    const struct directory *directory;
    uint32_t wanted;    /* how often the maintenance thread has asked */
    uint32_t published; /* value of `wanted` when all was last published */
    unsigned used_count;
    uint16_t used[TRAFFIC_SLOTS];
    struct traffic_slot slots[TRAFFIC_SLOTS];
};

static inline void traffic_add(uint64_t *total, uint64_t value)
{
    if (value)
        atomic_add_relaxed(total, value); /* read by growth(), each by itself */
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

/* Return the slot of a scope, valid until the next call. */
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

/* Add all totals to the scopes' activities and clear them. The gate is held. */
static inline void traffic_publish(struct traffic *traffic)
{
    uint32_t wanted =
        atomic_load_relaxed(&traffic->wanted); /* if it rises meanwhile, publish again */

    for (unsigned i = 0; i < traffic->used_count; i++)
        traffic_publish_slot(traffic, &traffic->slots[traffic->used[i]]);
    traffic->used_count = 0;
    /* Release: pairs with traffic_is_published, whose caller sees the totals. */
    atomic_store_release(&traffic->published, wanted);
}

/* True if everything has been published since it was last asked for. Any thread. */
static inline bool traffic_is_published(const struct traffic *traffic)
{
    return atomic_load_acquire(&traffic->published) == atomic_load_relaxed(&traffic->wanted);
}

#endif

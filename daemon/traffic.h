/* traffic.h - one worker's totals of what came and went in scopes, published once a batch.
 *
 * A slot each for as many scopes as a batch usually touches; two that meet in one take turns.
 */
#ifndef PRESENCED_TRAFFIC_H
#define PRESENCED_TRAFFIC_H

#include "presence/scope.h"

#define TRAFFIC_SLOTS 512 /* a power of two */

struct traffic_slot {
    uint32_t scope; /* + 1; 0 is free */
    uint64_t heartbeats, pageviews, entries, leaves;
};

struct traffic {
    const struct directory *directory;
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

/* Put all totals into the scopes' activities, and start anew. */
static inline void traffic_publish(struct traffic *traffic)
{
    for (unsigned i = 0; i < traffic->used_count; i++)
        traffic_publish_slot(traffic, &traffic->slots[traffic->used[i]]);
    traffic->used_count = 0;
}

#endif

/* pending.h - a queue of updates whose words are being fetched from memory.
 *
 * An update would spend most of its time waiting for its word's cache line. A key has two pairs of
 * lines, and in each pair a home, the line where its word most likely is (table.h). So a worker has
 * four groups of updates in flight: the newest prefetches the home in its first pair, the second is
 * searched there, the third in the home of its second pair, and the oldest is applied. The lines
 * that one step prefetches arrive during the steps of the other groups.
 */
#ifndef PRESENCED_PENDING_H
#define PRESENCED_PENDING_H

#include "core/table.h"

#define PENDING_GROUP 16 /* about as many as a core can fetch at once */
#define PENDING_STEPS 4
#define PENDING_MAX   (PENDING_GROUP * PENDING_STEPS)

/* One worker's queue. Update n since it was last empty is at n % PENDING_MAX. */
struct pending {
    unsigned queued;                              /* updates */
    unsigned fetched, located, searched, applied; /* groups that are past each step */
    struct table_key keys[PENDING_MAX];
    uint64_t *slots[PENDING_MAX]; /* where they were found, or NULL */
    uint32_t away[PENDING_STEPS]; /* by group: updates not at home in the first pair */
};

static inline void pending_clear(struct pending *pending)
{
    pending->queued = 0;
    pending->fetched = pending->located = pending->searched = pending->applied = 0;
}

/* Return the size of a group: all are full but the last. */
static inline unsigned pending_size(const struct pending *pending, unsigned group)
{
    unsigned left = pending->queued - group * PENDING_GROUP;

    return left < PENDING_GROUP ? left : PENDING_GROUP;
}

static inline unsigned pending_first(unsigned group)
{
    return group % PENDING_STEPS * PENDING_GROUP;
}

/* Prefetch the homes of a group's keys. Always inline, for the same reason as table_fetch_home. */
static inline __attribute__((always_inline)) void
pending_fetch(const struct pending *pending, const struct table *table, unsigned group)
{
    const struct table_key *keys = &pending->keys[pending_first(group)];
    const unsigned size = pending_size(pending, group);

    for (unsigned i = 0; i < size; i++)
        table_fetch_home(table, keys[i], 0);
}

/* Search each key at home in its first pair, without a branch per key: whether it is there is
 * unpredictable. */
static inline void pending_locate(struct pending *pending, const struct table *table,
                                  unsigned group)
{
    const struct table_key *keys = &pending->keys[pending_first(group)];
    uint64_t **slots = &pending->slots[pending_first(group)];
    const unsigned size = pending_size(pending, group);
    uint32_t away = 0;

    for (unsigned i = 0; i < size; i++)
        away |= (uint32_t)!table_locate_home(table, keys[i], 0, &slots[i]) << i;
    pending->away[group % PENDING_STEPS] = away;
    for (; away; away &= away - 1)
        table_fetch_home(table, keys[__builtin_ctz(away)], 1);
}

static inline void pending_search(struct pending *pending, const struct table *table,
                                  unsigned group)
{
    const struct table_key *keys = &pending->keys[pending_first(group)];
    uint64_t **slots = &pending->slots[pending_first(group)];

    for (uint32_t away = pending->away[group % PENDING_STEPS]; away; away &= away - 1) {
        int i = __builtin_ctz(away);
        if (table_locate_home(table, keys[i], 1, &slots[i]))
            continue;
        slots[i] = NULL; /* new, or in another line: table_upsert searches all */
        table_fetch_others(table, keys[i]);
    }
}

/* Advance each full group by one step, or all groups by all steps but the last if `all`. Groups
 * from `applied` up to the returned number may then be applied. */
static inline unsigned pending_advance(struct pending *pending, const struct table *table, bool all)
{
    const unsigned groups = (pending->queued + PENDING_GROUP - 1) / PENDING_GROUP;
    const unsigned lag = !all;

    for (; pending->fetched < groups; pending->fetched++)
        pending_fetch(pending, table, pending->fetched);
    for (; pending->located + lag < groups; pending->located++)
        pending_locate(pending, table, pending->located);
    for (; pending->searched + 2 * lag < groups; pending->searched++)
        pending_search(pending, table, pending->searched);
    return groups > 3 * lag ? groups - 3 * lag : 0;
}

#endif

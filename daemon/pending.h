/* pending.h - updates whose words are on their way from memory.
 *
 * Most of an update's time would be waiting for the line that its word stands in. So a worker has
 * four groups of updates under way, each one step behind the next: the newest is fetched, the one
 * before is looked for at home in its first pair, the one before that in its second, the oldest is
 * applied. What a step asks memory for arrives while the other groups take theirs.
 */
#ifndef PRESENCED_PENDING_H
#define PRESENCED_PENDING_H

#include "core/table.h"

#define PENDING_GROUP 16 /* fetched at once: about as many as a core has lines under way */
#define PENDING_STEPS 4
#define PENDING_MAX   (PENDING_GROUP * PENDING_STEPS)

/* One worker's. The update that was queued as number n since it was empty is at n % PENDING_MAX. */
struct pending {
    unsigned queued;                              /* updates */
    unsigned fetched, located, searched, applied; /* groups that have taken each step */
    struct table_key keys[PENDING_MAX];
    uint64_t *slots[PENDING_MAX]; /* where they seem to stand, once searched; or NULL */
    uint32_t away[PENDING_STEPS]; /* of a group located: who is not at home in the first pair */
};

static inline void pending_clear(struct pending *pending)
{
    pending->queued = 0;
    pending->fetched = pending->located = pending->searched = pending->applied = 0;
}

/* Updates of a group, which all are full but the last. */
static inline unsigned pending_size(const struct pending *pending, unsigned group)
{
    unsigned left = pending->queued - group * PENDING_GROUP;

    return left < PENDING_GROUP ? left : PENDING_GROUP;
}

static inline unsigned pending_first(unsigned group)
{
    return group % PENDING_STEPS * PENDING_GROUP;
}

/* Always inline for table_fetch_home's reason. */
static inline __attribute__((always_inline)) void
pending_fetch(const struct pending *pending, const struct table *table, unsigned group)
{
    const struct table_key *keys = &pending->keys[pending_first(group)];
    const unsigned size = pending_size(pending, group);

    for (unsigned i = 0; i < size; i++)
        table_fetch_home(table, keys[i], 0);
}

/* Without a branch for each: whether a key is at home is nothing a processor could foresee. */
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
        slots[i] = NULL; /* new, or in one of the other lines: table_upsert will see */
        table_fetch_others(table, keys[i]);
    }
}

/* Take the steps that come before applying: each full group one more, or `all` all that are left.
 * Groups from `applied` on, up to the number returned, may then be applied. */
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

/* history_pool.h - who has a history: given, taken and freed. The keeper's alone.
 *
 * Sites have one as long as there are any to give. What is left goes to rooms, countries and
 * sources as they come; once all are given, a busier one takes that of the least busy. A history is
 * free again 24 hours after its scope's last heartbeat.
 *
 * They are begun in the order of indexes: one that is free is given anew before another one is
 * begun, so that nobody has to look at what was never given.
 */
#ifndef PRESENCED_HISTORY_POOL_H
#define PRESENCED_HISTORY_POOL_H

#include "core/segment.h"

#define HISTORY_RIVAL_MARGIN 8  /* visitors that a rival must have more, at least */
#define POOL_RIVALS          16 /* scopes that can take another's history in a minute */

/* Which scope a history follows now. */
struct history_holder {
    uint32_t scope; /* SCOPE_NONE: given up, or the history is free */
    uint64_t state; /* its entry's, without the state: its generation */
    uint32_t next;  /* history whose hash leads to the same chain: index + 1, 0 ends it */
};

struct history_rival {
    uint32_t scope, count;
};

struct history_pool {
    const struct segment *segment;
    struct segment_counters *counters; /* the keeper's block */
    uint32_t *history_of;              /* by scope: index + 1; 0: it has none */
    struct history_holder *holders;    /* by history */
    uint32_t *chains;                  /* by hash: index + 1 of the first; 0: empty */
    uint32_t chain_mask;               /* number of chains - 1, a power of two */
    uint32_t begun;                    /* from here on none was ever given */
    uint32_t *free;                    /* of those that were, a stack */
    uint32_t free_count;
    uint64_t accepted;  /* datagrams, at the last round */
    uint64_t active_at; /* tick of the last round that found more of them */
    uint64_t taken;     /* histories that were taken away so far */

    /* In this round: */
    bool is_sorted;
    uint32_t *sorted; /* histories of labels, the least busy last: a stack */
    uint32_t sorted_count;
    uint32_t rival_count; /* the busiest of those without, most first */
    struct history_rival rivals[POOL_RIVALS];
};

/* Take over the histories of a segment whose directory has been opened. -ENOMEM. */
int history_pool_open(const struct segment *segment, struct history_pool *ret);

void history_pool_close(struct history_pool *pool);

/* A round of samples begins: forget what was considered in the one before. */
void history_pool_begin(struct history_pool *pool);

/* The history that a scope has, SCOPE_NONE if none. One that it had in a former life is no longer
 * its own. */
uint32_t history_pool_find(struct history_pool *pool, uint32_t scope);

/* A scope without a history has a heartbeat: give it one, if it is its turn. `is_new`: it was never
 * looked at before. */
void history_pool_consider(struct history_pool *pool, uint32_t scope, uint32_t count, bool is_new);

/* Let the busiest of those that were considered in this round take what the least busy have. */
void history_pool_settle(struct history_pool *pool);

/* Forget a history's scope. */
void history_pool_free(struct history_pool *pool, uint32_t index);

#endif

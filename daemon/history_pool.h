/* history_pool.h - assign the segment's histories to scopes. The maintenance thread only.
 *
 * Sites get one as long as there are any. The rest go to rooms, countries and sources as they come;
 * once all are assigned, a busier label gets that of the least busy one. A history is free again
 * 24 hours after its scope's last heartbeat.
 *
 * A freed history is reused before one that was never used, so those in use are below the high
 * water mark, and readers stop there.
 */
#ifndef PRESENCED_HISTORY_POOL_H
#define PRESENCED_HISTORY_POOL_H

#include "core/segment.h"

#define HISTORY_CANDIDATE_MARGIN 8  /* visitors that a candidate must have more, at least */
#define POOL_CANDIDATES          16 /* scopes that can get another's history in a minute */

/* The scope that a history follows now. */
struct history_holder {
    uint32_t scope; /* SCOPE_NONE: it was retired, or the history is free */
    uint64_t state; /* the generation of its entry */
    uint32_t next;  /* in the same chain: index + 1; 0 ends it */
};

struct history_candidate {
    uint32_t scope, count;
};

struct history_pool {
    const struct segment *segment;
    struct segment_counters *counters; /* the maintenance block */
    uint32_t *history_of;              /* by scope: index + 1; 0: none */
    struct history_holder *holders;    /* by history */
    uint32_t *chains;                  /* by hash: index + 1 of the first; 0: empty */
    uint32_t chain_mask;               /* number of chains - 1, a power of two */
    uint32_t high_water;               /* histories from this index on were never used */
    uint32_t *free;                    /* indexes of free ones below it, a stack */
    uint32_t free_count;
    uint64_t accepted;  /* datagrams accepted up to the last round */
    uint64_t active_at; /* tick of the last round in which there were more */
    uint64_t evicted;   /* histories that changed hands so far */

    /* Of this round: */
    bool has_heap;
    uint32_t *heap; /* histories of labels; the least busy is the root, at 0 */
    uint32_t heap_count;
    uint32_t candidate_count; /* the busiest labels without a history, most first */
    struct history_candidate candidates[POOL_CANDIDATES];
};

/* Attach to the histories of a segment whose directory has been opened. -ENOMEM. */
int history_pool_open(const struct segment *segment, struct history_pool *ret);

void history_pool_close(struct history_pool *pool);

/* Begin a round of samples: drop the candidates of the previous one. */
void history_pool_begin(struct history_pool *pool);

/* Find a scope's history, or SCOPE_NONE. One of an earlier generation of its entry is detached. */
uint32_t history_pool_find(struct history_pool *pool, uint32_t scope);

/* Find the scope that has a history's names now, perhaps in another generation, or SCOPE_NONE. */
uint32_t history_pool_find_scope(const struct segment *segment, const struct history *head);

/* Give a scope without a history one, if one can be had, or make the scope a candidate. `is_new`:
 * it was never sampled before. */
void history_pool_consider(struct history_pool *pool, uint32_t scope, uint32_t count, bool is_new);

/* Give the busiest candidates of this round the histories of the least busy labels. */
void history_pool_promote(struct history_pool *pool);

/* Free a history and detach its scope. */
void history_pool_free(struct history_pool *pool, uint32_t index);

#endif

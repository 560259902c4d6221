#include "history_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomic_bytes.h"
#include "core/scope_name.h"

/* A candidate must be so many times as busy as a holder, or histories would go to and fro. */
#define CANDIDATE_FACTOR 2

static struct history *head_at(const struct history_pool *pool, uint32_t index)
{
    return &pool->segment->histories.heads[index];
}

static const struct scope_entry *entry_at(const struct history_pool *pool, uint32_t scope)
{
    return &pool->segment->directory.entries[scope];
}

static uint64_t generation_of(const struct scope_entry *entry)
{
    return atomic_load_acquire(&entry->state) & ~SCOPE_STATE_MASK; /* pairs with create_scope */
}

static bool is_label(const struct history *head)
{
    return head->kind != SCOPE_SITE;
}

/* ---- names ------------------------------------------------------------------------------- */

/* Make the version odd while the names change. A reader meanwhile sees that, or another version
 * afterwards. */
static void begin_naming(struct history *head)
{
    atomic_store_relaxed(&head->version, head->version % HISTORY_VERSION_MAX | 1);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* pairs with reader_is_same_history's fence */
}

static void end_naming(struct history *head)
{
    atomic_store_release(&head->version, head->version + 1); /* pairs with reader_find_history */
}

static void name_history(struct history *head, const struct scope_entry *site,
                         const struct scope_entry *entry)
{
    uint8_t length = entry->kind == SCOPE_SITE ? 0 : entry->name_length;

    atomic_store_relaxed(&head->hash, entry->hash);
    atomic_store_relaxed(&head->kind, entry->kind);
    atomic_store_relaxed(&head->site_length, site->name_length);
    atomic_store_relaxed(&head->name_length, length);
    atomic_store_bytes_relaxed(head->site, site->name, site->name_length);
    atomic_store_bytes_relaxed(head->name, entry->name, length);
}

static bool is_named(const struct history *head, const struct scope_entry *site,
                     const struct scope_entry *entry)
{
    return head->hash == entry->hash && head->kind == entry->kind &&
           head->site_length == site->name_length &&
           memcmp(head->site, site->name, site->name_length) == 0 &&
           (entry->kind == SCOPE_SITE ||
            (head->name_length == entry->name_length &&
             memcmp(head->name, entry->name, entry->name_length) == 0));
}

uint32_t history_pool_find_scope(const struct segment *segment, const struct history *head)
{
    const struct directory *directory = &segment->directory;
    uint64_t state;
    struct scope_name site =
        scope_name_site(segment->header->secret, head->site, head->site_length);
    uint32_t found = scope_find(directory, &site, &state);

    if (found == SCOPE_NONE || !is_label(head))
        return found;
    struct scope_name name =
        scope_name_label(&site, found, (enum scope_kind)head->kind, head->name, head->name_length);
    return scope_find(directory, &name, &state);
}

/* ---- chains ------------------------------------------------------------------------------ */

static uint32_t *chain_of(const struct history_pool *pool, uint64_t hash)
{
    return &pool->chains[(uint32_t)hash & pool->chain_mask];
}

static void link_history(struct history_pool *pool, uint32_t index)
{
    uint32_t *chain = chain_of(pool, head_at(pool, index)->hash);

    pool->holders[index].next = *chain;
    *chain = index + 1;
}

static void unlink_history(struct history_pool *pool, uint32_t index)
{
    uint32_t *link = chain_of(pool, head_at(pool, index)->hash);

    while (*link != index + 1)
        link = &pool->holders[*link - 1].next;
    *link = pool->holders[index].next;
}

/* ---- assigning and evicting -------------------------------------------------------------- */

/* Let the history follow this scope from now on. */
static void attach(struct history_pool *pool, uint32_t index, uint32_t scope)
{
    struct history *head = head_at(pool, index);
    uint64_t generation = generation_of(entry_at(pool, scope));

    if (head->scope != scope ||
        head->state != generation) { /* a new generation: its totals began at 0 */
        head->heartbeats = head->pageviews = head->entries = head->leaves = 0;
        head->scope = scope;
        head->state = generation;
    }
    pool->holders[index].scope = scope;
    pool->holders[index].state = generation;
    pool->history_of[scope] = index + 1;
}

static void detach(struct history_pool *pool, uint32_t index)
{
    uint32_t scope = pool->holders[index].scope;

    if (scope != SCOPE_NONE)
        pool->history_of[scope] = 0;
    pool->holders[index].scope = SCOPE_NONE;
}

static void clear_records(struct history_pool *pool, uint32_t index)
{
    struct history *head = head_at(pool, index);

    for (unsigned i = 0; i < HISTORY_MINUTES; i++)
        atomic_store_relaxed(&history_minute_at(&pool->segment->histories, index, i)->mark, 0);
    for (unsigned i = 0; i < HISTORY_SECONDS; i++)
        atomic_store_relaxed(&head->seconds[i].mark, 0); /* ordered by the version, as all here */
}

/* Assign a free history to a scope. If the scope is not new, its totals count from now on only. */
static void assign(struct history_pool *pool, uint32_t index, uint32_t scope, uint32_t count,
                   bool is_new)
{
    struct history *head = head_at(pool, index);
    const struct scope_entry *entry = entry_at(pool, scope);
    const struct activity *activity = &pool->segment->directory.activities[scope];

    begin_naming(head);
    clear_records(pool, index);
    name_history(head, entry_at(pool, entry->site), entry);
    atomic_store_relaxed(&head->since, activity->since);
    atomic_store_relaxed(&head->peak_today, activity->peak_today);
    atomic_store_relaxed(&head->peak_ever, activity->peak_ever);
    atomic_store_relaxed(&head->sampled, HISTORY_NEVER);
    atomic_store_relaxed(&head->last_heartbeat, atomic_load_relaxed(&entry->last_heartbeat));
    head->scope = SCOPE_NONE;
    /* Histories are ranked by their counts, already in this round. The entries of a new scope's
     * visitors are credited with its first sample. */
    head->count = count;
    head->departure_deficit = is_new ? -(int64_t)count : 0;
    attach(pool, index, scope);
    if (!is_new) {
        head->heartbeats = atomic_load_relaxed(&activity->heartbeats);
        head->pageviews = atomic_load_relaxed(&activity->pageviews);
        head->entries = atomic_load_relaxed(&activity->entries);
        head->leaves = atomic_load_relaxed(&activity->leaves);
    }
    end_naming(head);
    link_history(pool, index);
}

void history_pool_free(struct history_pool *pool, uint32_t index)
{
    struct history *head = head_at(pool, index);

    detach(pool, index);
    unlink_history(pool, index);
    begin_naming(head);
    atomic_store_relaxed(&head->site_length, 0);
    end_naming(head);
    pool->free[pool->free_count++] = index;
}

uint32_t history_pool_find(struct history_pool *pool, uint32_t scope)
{
    uint32_t index = pool->history_of[scope];

    if (index == 0)
        return SCOPE_NONE;
    if (scope_is_same(entry_at(pool, scope), pool->holders[index - 1].state))
        return index - 1;
    detach(pool, index - 1);
    return SCOPE_NONE;
}

/* Free a history that is in use, and hand its peaks back to its scope. */
static void evict(struct history_pool *pool, uint32_t index)
{
    const struct history *head = head_at(pool, index);
    uint32_t scope = pool->holders[index].scope;

    if (scope != SCOPE_NONE && history_pool_find(pool, scope) != SCOPE_NONE) {
        struct activity *activity = &pool->segment->directory.activities[scope];
        atomic_store_relaxed(&activity->peak_today, head->peak_today);
        atomic_store_relaxed(&activity->peak_ever, head->peak_ever);
        atomic_store_relaxed(&activity->since, head->since); /* perhaps of an earlier generation */
    }
    pool->evicted++;
    history_pool_free(pool, index);
}

/* Allocate a free history and return its index, or SCOPE_NONE. */
static uint32_t allocate(struct history_pool *pool)
{
    if (pool->free_count)
        return pool->free[--pool->free_count];
    return pool->high_water < pool->segment->histories.capacity ? pool->high_water++ : SCOPE_NONE;
}

/* True if the first of two histories is to be evicted first: it has fewer visitors, or as many but
 * an older heartbeat. */
static bool is_less_busy(const struct history_pool *pool, uint32_t first, uint32_t second)
{
    const struct history *a = head_at(pool, first), *b = head_at(pool, second);

    if (a->count != b->count)
        return a->count < b->count;
    if (a->last_heartbeat != b->last_heartbeat)
        return a->last_heartbeat < b->last_heartbeat;
    return first > second;
}

/* Put `index` into the heap at `place`, or below it. */
static void sift_down(struct history_pool *pool, uint32_t place, uint32_t index)
{
    for (;;) {
        uint64_t child = 2 * (uint64_t)place + 1;
        if (child >= pool->heap_count)
            break;
        if (child + 1 < pool->heap_count &&
            is_less_busy(pool, pool->heap[child + 1], pool->heap[child]))
            child++;
        if (!is_less_busy(pool, pool->heap[child], index))
            break;
        pool->heap[place] = pool->heap[child];
        place = (uint32_t)child;
    }
    pool->heap[place] = index;
}

/* Build the heap of labels' histories. (libc's qsort may allocate, and then makes a
 * system call that the confined daemon lacks.) It stays valid for the round, or until a scope
 * returns: while histories are evicted no label gets one in any other way, and other counts change
 * only when samples are taken. */
static void build_heap(struct history_pool *pool)
{
    pool->heap_count = 0;
    for (uint32_t i = 0; i < pool->high_water; i++)
        if (head_at(pool, i)->site_length && is_label(head_at(pool, i)))
            pool->heap[pool->heap_count++] = i;
    for (uint32_t i = pool->heap_count / 2; i-- > 0;)
        sift_down(pool, i, pool->heap[i]);
    pool->has_heap = true;
}

/* Find the least busy label's history, or NULL if no label has one. */
static const struct history *least_busy_label(struct history_pool *pool)
{
    if (!pool->has_heap)
        build_heap(pool);
    return pool->heap_count ? head_at(pool, pool->heap[0]) : NULL;
}

/* Evict the least busy label's history and return its index. There must be one. */
static uint32_t evict_least_busy(struct history_pool *pool)
{
    uint32_t index = pool->heap[0];

    pool->heap_count--;
    if (pool->heap_count)
        sift_down(pool, 0, pool->heap[pool->heap_count]);
    evict(pool, index);
    return allocate(pool);
}

/* Allocate a history for a site, if need be that of a label. SCOPE_NONE: sites have them all. */
static uint32_t allocate_for_site(struct history_pool *pool)
{
    uint32_t index = allocate(pool);

    return index == SCOPE_NONE && least_busy_label(pool) ? evict_least_busy(pool) : index;
}

/* Rank the history of a returning scope by its visitors, already in this round. How many the next
 * sample finds departed doesn't change: it adds count and deficit. */
static void raise_count(struct history_pool *pool, struct history *head, uint32_t count)
{
    if (count <= head->count)
        return;
    head->departure_deficit -= (int64_t)count - head->count;
    head->count = count;
    pool->has_heap = false;
}

/* Attach a returning scope to the history that still has its names. Returns false if none has. */
static bool reattach(struct history_pool *pool, uint32_t scope, uint32_t count)
{
    const struct scope_entry *entry = entry_at(pool, scope);
    const struct scope_entry *site = entry_at(pool, entry->site);

    for (uint32_t link = *chain_of(pool, entry->hash); link; link = pool->holders[link - 1].next) {
        if (!is_named(head_at(pool, link - 1), site, entry))
            continue;
        detach(pool, link - 1); /* from its earlier entry */
        attach(pool, link - 1, scope);
        raise_count(pool, head_at(pool, link - 1), count);
        return true;
    }
    return false;
}

/* Insert a candidate among the busiest, if it is one of them. */
static void enter_candidate(struct history_pool *pool, uint32_t scope, uint32_t count)
{
    uint32_t place = pool->candidate_count;

    while (place > 0 && pool->candidates[place - 1].count < count)
        place--;
    if (place == POOL_CANDIDATES)
        return;
    if (pool->candidate_count < POOL_CANDIDATES)
        pool->candidate_count++;
    for (uint32_t i = pool->candidate_count - 1; i > place; i--)
        pool->candidates[i] = pool->candidates[i - 1];
    pool->candidates[place] = (struct history_candidate){scope, count};
}

void history_pool_begin(struct history_pool *pool)
{
    pool->has_heap = false;
    pool->candidate_count = 0;
}

void history_pool_consider(struct history_pool *pool, uint32_t scope, uint32_t count, bool is_new)
{
    bool is_site = entry_at(pool, scope)->kind == SCOPE_SITE;

    if (pool->segment->histories.capacity == 0 || (is_new && reattach(pool, scope, count)))
        return;
    uint32_t index = is_site ? allocate_for_site(pool) : allocate(pool);
    if (index != SCOPE_NONE)
        assign(pool, index, scope, count, is_new);
    else if (is_site && is_new)
        atomic_add_relaxed(&pool->counters->values[COUNTER_histories_full], 1); /* statistics */
    else if (!is_site)
        enter_candidate(pool, scope, count);
}

static bool is_busier(const struct history_candidate *candidate, const struct history *head)
{
    return candidate->count > (uint64_t)head->count * CANDIDATE_FACTOR + HISTORY_CANDIDATE_MARGIN;
}

void history_pool_promote(struct history_pool *pool)
{
    for (uint32_t i = 0; i < pool->candidate_count; i++) {
        const struct history_candidate *candidate = &pool->candidates[i];
        const struct history *least = least_busy_label(pool);
        if (!least || !is_busier(candidate, least))
            break;
        assign(pool, evict_least_busy(pool), candidate->scope, candidate->count, false);
    }
}

/* ---- attaching to a segment -------------------------------------------------------------- */

static void adopt(struct history_pool *pool, uint32_t index)
{
    struct history *head = head_at(pool, index);

    if (head->version & 1 || head->site_length == 0 || head->site_length > HISTORY_SITE_MAX ||
        head->kind >= SCOPE_KINDS) {
        begin_naming(head); /* a daemon was killed while it assigned it */
        atomic_store_relaxed(&head->site_length, 0);
        end_naming(head);
        pool->free[pool->free_count++] = index;
        return;
    }
    link_history(pool, index);
    uint32_t scope = history_pool_find_scope(pool->segment, head);
    if (scope != SCOPE_NONE && pool->history_of[scope] == 0)
        attach(pool, index, scope);
}

static void adopt_all(struct history_pool *pool)
{
    for (uint32_t i = 0; i < pool->segment->histories.capacity; i++)
        pool->holders[i].scope = SCOPE_NONE;
    for (uint32_t i = 0; i < pool->high_water; i++)
        adopt(pool, i);
}

int history_pool_open(const struct segment *segment, struct history_pool *ret)
{
    size_t capacity = segment->histories.capacity;
    size_t chains = 16;

    while (chains < capacity * 2)
        chains *= 2;
    struct history_pool pool = {
        .segment = segment,
        .counters = &segment->counters[SEGMENT_WORKERS_MAX],
        .history_of = calloc(segment->directory.capacity, sizeof(*pool.history_of)),
        .holders = calloc(capacity + 1, sizeof(*pool.holders)),
        .chains = calloc(chains, sizeof(*pool.chains)),
        .chain_mask = (uint32_t)(chains - 1),
        .high_water = histories_high_water(&segment->histories),
        .free = calloc(capacity + 1, sizeof(*pool.free)),
        .heap = calloc(capacity + 1, sizeof(*pool.heap)),
    };
    if (!pool.history_of || !pool.holders || !pool.chains || !pool.free || !pool.heap) {
        history_pool_close(&pool);
        return -ENOMEM;
    }
    adopt_all(&pool);
    *ret = pool;
    return 0;
}

void history_pool_close(struct history_pool *pool)
{
    free(pool->history_of);
    free(pool->holders);
    free(pool->chains);
    free(pool->free);
    free(pool->heap);
}

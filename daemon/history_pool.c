#include "history_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/scope_name.h"

#define RIVAL_FACTOR 2 /* times as busy must a rival be: histories should not go to and fro */

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

/* Readers who look meanwhile see an odd version, or another one afterwards. */
static void begin_naming(struct history *head)
{
    atomic_store_relaxed(&head->version, head->version | 1);
    __atomic_thread_fence(
        __ATOMIC_RELEASE); /* before all that follows; pairs with readers' fence */
}

static void end_naming(struct history *head)
{
    atomic_store_release(&head->version, head->version + 1); /* pairs with readers' acquire */
}

static void name_history(struct history *head, const struct scope_entry *site,
                         const struct scope_entry *entry)
{
    head->hash = entry->hash;
    head->kind = entry->kind;
    head->site_length = site->name_length;
    head->name_length = entry->kind == SCOPE_SITE ? 0 : entry->name_length;
    memcpy(head->site, site->name, site->name_length);
    memcpy(head->name, entry->name, head->name_length);
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

/* The scope that a history's names name now. */
static uint32_t find_scope(const struct history_pool *pool, const struct history *head)
{
    const struct directory *directory = &pool->segment->directory;
    uint64_t state;
    struct scope_name site =
        scope_name_site(pool->segment->header->secret, head->site, head->site_length);
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

/* ---- giving and taking ------------------------------------------------------------------- */

/* From now on the history follows this scope. */
static void attach(struct history_pool *pool, uint32_t index, uint32_t scope)
{
    struct history *head = head_at(pool, index);
    uint64_t generation = generation_of(entry_at(pool, scope));

    if (head->scope != scope || head->state != generation) { /* another life: it began at 0 */
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

/* Give a history that was taken to a scope. Of one that is not new, only what comes from now on is
 * known. */
static void give(struct history_pool *pool, uint32_t index, uint32_t scope, uint32_t count,
                 bool is_new)
{
    struct history *head = head_at(pool, index);
    const struct scope_entry *entry = entry_at(pool, scope);
    const struct activity *activity = &pool->segment->directory.activities[scope];

    begin_naming(head);
    clear_records(pool, index);
    name_history(head, entry_at(pool, entry->site), entry);
    head->since = activity->since;
    head->peak_today = activity->peak_today;
    head->peak_ever = activity->peak_ever;
    head->sampled = HISTORY_NEVER;
    head->last_heartbeat = atomic_load_relaxed(&entry->last_heartbeat);
    head->scope = SCOPE_NONE;
    head->owed = 0;
    head->count = is_new ? 0 : count;
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
    head->site_length = 0;
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

/* Its scope goes on without. */
static void take_away(struct history_pool *pool, uint32_t index)
{
    const struct history *head = head_at(pool, index);
    uint32_t scope = pool->holders[index].scope;

    if (scope != SCOPE_NONE && history_pool_find(pool, scope) != SCOPE_NONE) {
        struct activity *activity = &pool->segment->directory.activities[scope];
        atomic_store_relaxed(&activity->peak_today, head->peak_today);
        atomic_store_relaxed(&activity->peak_ever, head->peak_ever);
        atomic_store_relaxed(&activity->since, head->since); /* perhaps of a former life */
    }
    pool->taken++;
    history_pool_free(pool, index);
}

/* Take a free history. SCOPE_NONE: there is none. */
static uint32_t take_free(struct history_pool *pool)
{
    if (pool->free_count)
        return pool->free[--pool->free_count];
    return pool->begun < pool->segment->histories.capacity ? pool->begun++ : SCOPE_NONE;
}

static int compare_busy(const void *left, const void *right, void *context)
{
    const struct history_pool *pool = context;
    const struct history *a = head_at(pool, *(const uint32_t *)left);
    const struct history *b = head_at(pool, *(const uint32_t *)right);

    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return (a->last_heartbeat < b->last_heartbeat) - (a->last_heartbeat > b->last_heartbeat);
}

/* Sorted once all are given: in that round no label gets one but by taking, and counts stay until
 * the samples are taken. */
static void sort_labels(struct history_pool *pool)
{
    pool->sorted_count = 0;
    for (uint32_t i = 0; i < pool->begun; i++)
        if (head_at(pool, i)->site_length && is_label(head_at(pool, i)))
            pool->sorted[pool->sorted_count++] = i;
    qsort_r(pool->sorted, pool->sorted_count, sizeof(*pool->sorted), compare_busy, pool);
    pool->is_sorted = true;
}

/* The least busy label's history; NULL if there is none. */
static const struct history *least_busy_label(struct history_pool *pool)
{
    if (!pool->is_sorted)
        sort_labels(pool);
    return pool->sorted_count ? head_at(pool, pool->sorted[pool->sorted_count - 1]) : NULL;
}

/* Take it from its scope, which there is. */
static uint32_t take_least_busy(struct history_pool *pool)
{
    take_away(pool, pool->sorted[--pool->sorted_count]);
    return take_free(pool);
}

/* Have a site's history, if need be that of a label. SCOPE_NONE: sites have them all. */
static uint32_t take_for_site(struct history_pool *pool)
{
    uint32_t index = take_free(pool);

    return index == SCOPE_NONE && least_busy_label(pool) ? take_least_busy(pool) : index;
}

/* Was it there before, and has its history been kept? */
static bool attach_again(struct history_pool *pool, uint32_t scope)
{
    const struct scope_entry *entry = entry_at(pool, scope);
    const struct scope_entry *site = entry_at(pool, entry->site);

    for (uint32_t link = *chain_of(pool, entry->hash); link; link = pool->holders[link - 1].next) {
        if (!is_named(head_at(pool, link - 1), site, entry))
            continue;
        detach(pool, link - 1); /* from its former entry */
        attach(pool, link - 1, scope);
        return true;
    }
    return false;
}

static void enter_rivals(struct history_pool *pool, uint32_t scope, uint32_t count)
{
    uint32_t place = pool->rival_count;

    while (place > 0 && pool->rivals[place - 1].count < count)
        place--;
    if (place == POOL_RIVALS)
        return;
    if (pool->rival_count < POOL_RIVALS)
        pool->rival_count++;
    for (uint32_t i = pool->rival_count - 1; i > place; i--)
        pool->rivals[i] = pool->rivals[i - 1];
    pool->rivals[place] = (struct history_rival){scope, count};
}

void history_pool_begin(struct history_pool *pool)
{
    pool->is_sorted = false;
    pool->rival_count = 0;
}

void history_pool_consider(struct history_pool *pool, uint32_t scope, uint32_t count, bool is_new)
{
    bool is_site = entry_at(pool, scope)->kind == SCOPE_SITE;

    if (pool->segment->histories.capacity == 0 || (is_new && attach_again(pool, scope)))
        return;
    uint32_t index = is_site ? take_for_site(pool) : take_free(pool);
    if (index != SCOPE_NONE)
        give(pool, index, scope, count, is_new);
    else if (is_site && is_new)
        atomic_add_relaxed(&pool->counters->values[COUNTER_histories_full], 1); /* statistics */
    else if (!is_site)
        enter_rivals(pool, scope, count);
}

static bool is_busier(const struct history_rival *rival, const struct history *head)
{
    return rival->count > (uint64_t)head->count * RIVAL_FACTOR + HISTORY_RIVAL_MARGIN;
}

void history_pool_settle(struct history_pool *pool)
{
    for (uint32_t i = 0; i < pool->rival_count; i++) {
        const struct history_rival *rival = &pool->rivals[i];
        const struct history *least = least_busy_label(pool);
        if (!least || !is_busier(rival, least))
            break;
        give(pool, take_least_busy(pool), rival->scope, rival->count, false);
    }
}

/* ---- taking over ------------------------------------------------------------------------- */

static void adopt(struct history_pool *pool, uint32_t index)
{
    struct history *head = head_at(pool, index);

    if (head->version & 1 || head->site_length == 0 || head->kind >= SCOPE_KINDS) {
        begin_naming(head); /* a daemon was killed in giving it away */
        head->site_length = 0;
        end_naming(head);
        pool->free[pool->free_count++] = index;
        return;
    }
    link_history(pool, index);
    uint32_t scope = find_scope(pool, head);
    if (scope != SCOPE_NONE && pool->history_of[scope] == 0)
        attach(pool, index, scope);
}

static void adopt_all(struct history_pool *pool)
{
    for (uint32_t i = 0; i < pool->segment->histories.capacity; i++)
        pool->holders[i].scope = SCOPE_NONE;
    for (uint32_t i = 0; i < pool->begun; i++)
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
        .begun = histories_begun(&segment->histories),
        .free = calloc(capacity + 1, sizeof(*pool.free)),
        .sorted = calloc(capacity + 1, sizeof(*pool.sorted)),
    };
    if (!pool.history_of || !pool.holders || !pool.chains || !pool.free || !pool.sorted) {
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
    free(pool->sorted);
}

#include "history_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "presence/scope_name.h"

#define RIVAL_FACTOR 2 /* times as busy must a rival be: histories should not go to and fro */

static struct history *head_at(struct history_pool *pool, uint32_t index)
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
    pool->holders[index] = (struct history_holder){scope, generation};
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

/* Give a free history to a scope. Of one that is not new, only what comes from now on is known. */
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
    pool->free_count--;
    pool->label_count += is_label(head);
}

void history_pool_free(struct history_pool *pool, uint32_t index)
{
    struct history *head = head_at(pool, index);

    detach(pool, index);
    pool->label_count -= is_label(head);
    pool->free_count++;
    begin_naming(head);
    head->site_length = 0;
    end_naming(head);
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

static uint32_t find_free(struct history_pool *pool)
{
    uint32_t index = 0;

    while (head_at(pool, index)->site_length)
        index++;
    return index;
}

static uint32_t least_busy_label(struct history_pool *pool)
{
    uint32_t least = SCOPE_NONE;

    for (uint32_t i = 0; i < pool->segment->histories.capacity; i++) {
        const struct history *head = head_at(pool, i);
        if (!head->site_length || !is_label(head))
            continue;
        const struct history *best = least == SCOPE_NONE ? NULL : head_at(pool, least);
        if (!best || head->count < best->count ||
            (head->count == best->count && head->last_heartbeat < best->last_heartbeat))
            least = i;
    }
    return least;
}

/* Was it there before, and has its history been kept? */
static bool attach_again(struct history_pool *pool, uint32_t scope)
{
    const struct scope_entry *entry = entry_at(pool, scope);
    const struct scope_entry *site = entry_at(pool, entry->site);

    for (uint32_t i = 0; i < pool->segment->histories.capacity; i++) {
        const struct history *head = head_at(pool, i);
        if (head->hash != entry->hash || !head->site_length || !is_named(head, site, entry))
            continue;
        detach(pool, i); /* from its former entry */
        attach(pool, i, scope);
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

void history_pool_consider(struct history_pool *pool, uint32_t scope, uint32_t count, bool is_new)
{
    bool is_site = entry_at(pool, scope)->kind == SCOPE_SITE;

    if (pool->segment->histories.capacity == 0 || (is_new && attach_again(pool, scope)))
        return;
    if (pool->free_count == 0 && is_site && pool->label_count)
        take_away(pool, least_busy_label(pool));
    if (pool->free_count)
        give(pool, find_free(pool), scope, count, is_new);
    else if (is_site && is_new)
        atomic_add_relaxed(&pool->counters->values[COUNTER_histories_full], 1); /* statistics */
    else if (!is_site)
        enter_rivals(pool, scope, count);
}

void history_pool_settle(struct history_pool *pool)
{
    for (uint32_t i = 0; i < pool->rival_count && pool->label_count; i++) {
        const struct history_rival *rival = &pool->rivals[i];
        uint32_t least = least_busy_label(pool);
        uint64_t bar = (uint64_t)head_at(pool, least)->count * RIVAL_FACTOR + HISTORY_RIVAL_MARGIN;
        if (rival->count <= bar)
            break;
        take_away(pool, least);
        give(pool, least, rival->scope, rival->count, false);
    }
    pool->rival_count = 0;
}

/* ---- taking over ------------------------------------------------------------------------- */

static void adopt(struct history_pool *pool, uint32_t index)
{
    struct history *head = head_at(pool, index);

    pool->holders[index].scope = SCOPE_NONE;
    if (head->version & 1 || head->site_length == 0 || head->kind >= SCOPE_KINDS) {
        begin_naming(head); /* a daemon was killed in giving it away */
        head->site_length = 0;
        end_naming(head);
        pool->free_count++;
        return;
    }
    pool->label_count += is_label(head);
    uint32_t scope = find_scope(pool, head);
    if (scope != SCOPE_NONE && pool->history_of[scope] == 0)
        attach(pool, index, scope);
}

int history_pool_open(struct segment *segment, struct history_pool *ret)
{
    struct history_pool pool = {
        .segment = segment,
        .counters = &segment->counters[SEGMENT_WORKERS_MAX],
        .history_of = calloc(segment->directory.capacity, sizeof(*pool.history_of)),
        .holders = calloc((size_t)segment->histories.capacity + 1, sizeof(*pool.holders)),
    };

    if (!pool.history_of || !pool.holders) {
        history_pool_close(&pool);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < segment->histories.capacity; i++)
        adopt(&pool, i);
    *ret = pool;
    return 0;
}

void history_pool_close(struct history_pool *pool)
{
    free(pool->history_of);
    free(pool->holders);
}

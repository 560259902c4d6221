#include "engine_poll.h"

#include <errno.h>
#include <stdlib.h>

#include "common/place.h"
#include "engine_listing.h"
#include "engine_scope.h"
#include "engine_windows.h"

#define STATE_COMMANDS 2

static uint32_t choose_window(uint32_t window_s, uint32_t default_window_s)
{
    return window_s ? place_round_window(window_s) : default_window_s;
}

static void ask_visitors(struct engine_request *request, const struct engine_group *group,
                         uint32_t shard)
{
    char key[ENGINE_KEY_MAX];

    engine_key_sites(group->name, shard + 1, engine_windows_default_of(&group->shards[shard].shard),
                     key);
    engine_request_add(request, "HGETALL", key, NULL);
}

void engine_poll_ask(struct engine_request *request, const struct engine_state *state,
                     uint32_t default_window_s, const struct engine_poll *poll)
{
    engine_scope_ask_states(request, state);
    for (size_t g = 0; g < state->count; g++) {
        const struct engine_group *group = &state->groups[g];
        for (uint32_t s = 0; s < group->shard_count && poll->visitors; s++)
            ask_visitors(request, group, s);
    }
    for (size_t i = 0; i < poll->query_count; i++) {
        const struct engine_query *query = &poll->queries[i];
        uint32_t window_s = choose_window(query->window_s, default_window_s);
        for (size_t g = 0; g < state->count; g++) {
            const struct engine_group *group = &state->groups[g];
            for (uint32_t s = 0; s < group->shard_count; s++)
                engine_scope_ask(request, group->name, s + 1, window_s, query->kind, query->site,
                                 query->name);
        }
    }
    for (size_t i = 0; i < poll->list_count; i++) {
        const struct engine_list *list = &poll->lists[i];
        uint32_t window_s = choose_window(list->window_s, default_window_s);
        for (size_t g = 0; g < state->count; g++) {
            const struct engine_group *group = &state->groups[g];
            for (uint32_t s = 0; s < group->shard_count; s++)
                engine_listing_ask(request, group->name, s + 1, window_s, list);
        }
    }
}

static int load_states(struct engine_attempt *attempt)
{
    for (size_t g = 0; g < attempt->state.count; g++) {
        struct engine_group *group = &attempt->state.groups[g];
        for (uint32_t s = 0; s < group->shard_count; s++, attempt->replies += STATE_COMMANDS) {
            int r = engine_groups_load(attempt->replies[0], attempt->replies[1], group->shard_count,
                                       &group->shards[s]);
            if (r < 0)
                return r;
        }
    }
    return engine_groups_judge(&attempt->state);
}

/* Add up all sites' visitors in a shard. */
static uint64_t sum_visitors(const redisReply *hash, struct engine_scope *scope)
{
    uint64_t sum = 0, count;

    for (size_t i = 0; hash->type == REDIS_REPLY_ARRAY && i + 1 < hash->elements; i += 2) {
        if (!engine_text_is(engine_reply_text(hash->element[i]), ENGINE_MARK_EPOCH) &&
            engine_scope_load_count(hash->element[i + 1], scope, &count) &&
            __builtin_add_overflow(sum, count, &sum))
            sum = UINT64_MAX;
    }
    return sum;
}

static void load_visitors(struct engine_attempt *attempt)
{
    size_t i = 0;

    for (size_t g = 0; g < attempt->state.count; g++) {
        struct engine_group *group = &attempt->state.groups[g];
        for (uint32_t s = 0; s < group->shard_count; s++, i++) {
            struct engine_shard_state *shard = &group->shards[s];
            const redisReply *hash = *attempt->replies++;
            struct engine_marks marks = engine_scope_find_marks(hash, PRESENCE_SITE);
            struct engine_scope scope = {
                .evicted = !engine_text_is(marks.epoch, shard->shard.epoch),
            };
            if (shard->shard.version != ENGINE_VERSION)
                continue;
            uint64_t visitors = sum_visitors(hash, &scope);
            attempt->evicted[i] |= scope.evicted;
            shard->visitors = scope.evicted ? 0 : visitors;
        }
    }
}

/* True if visitors were asked for of each shard's own default window. */
static bool are_of_default_windows(const struct engine_state *asked,
                                   const struct engine_state *found)
{
    for (size_t g = 0; g < found->count; g++) {
        for (uint32_t s = 0; s < found->groups[g].shard_count; s++) {
            if (engine_windows_default_of(&asked->groups[g].shards[s].shard) !=
                engine_windows_default_of(&found->groups[g].shards[s].shard))
                return false;
        }
    }
    return true;
}

static int answer_query(struct engine_attempt *attempt, struct engine_query *query)
{
    uint32_t window_s = choose_window(query->window_s, attempt->default_window_s);
    struct engine_scope *scopes = calloc(attempt->shard_count + 1, sizeof(*scopes));
    size_t i = 0;

    if (!scopes)
        return -ENOMEM;
    for (size_t g = 0; g < attempt->state.count; g++) {
        const struct engine_group *group = &attempt->state.groups[g];
        for (uint32_t s = 0; s < group->shard_count; s++, i++) {
            redisReply *const *replies = &attempt->replies[i * ENGINE_SCOPE_COMMANDS];
            if (!engine_shard_has(group, s, window_s))
                continue;
            engine_scope_load(&group->shards[s].shard, query->kind, replies[0], replies[1],
                              &scopes[i]);
            attempt->evicted[i] |= scopes[i].evicted;
        }
    }
    attempt->replies += i * ENGINE_SCOPE_COMMANDS;
    query->error = engine_windows_has(&attempt->state, window_s) ? 0 : -ERANGE;
    engine_answer(&attempt->state, scopes, window_s, attempt->now, &query->reading);
    free(scopes);
    return 0;
}

static int answer_list(struct engine_attempt *attempt, struct engine_list *list)
{
    uint32_t window_s = choose_window(list->window_s, attempt->default_window_s);
    int r = engine_listing_make(&attempt->state, attempt->replies, window_s, attempt->now, list,
                                attempt->evicted);

    attempt->replies += attempt->shard_count * (list->site ? ENGINE_SCOPE_COMMANDS : 1);
    list->error = engine_windows_has(&attempt->state, window_s) ? 0 : -ERANGE;
    if (list->error)
        engine_list_free(list); /* of no entries */
    return r;
}

/* Say which shards' counts are gone, now that all answers are made. */
static void mark_evicted(struct engine_attempt *attempt)
{
    size_t i = 0;

    for (size_t g = 0; g < attempt->state.count; g++) {
        struct engine_group *group = &attempt->state.groups[g];
        for (uint32_t s = 0; s < group->shard_count; s++, i++) {
            if (!attempt->evicted[i] || group->shards[s].problem != ENGINE_SHARD_FINE)
                continue;
            group->shards[s].problem = ENGINE_SHARD_EVICTED;
            group->whole = false;
        }
    }
}

static int answer_all(struct engine_attempt *attempt)
{
    struct engine_poll *poll = attempt->poll;
    int r = 0;

    if (poll->visitors)
        load_visitors(attempt);
    for (size_t i = 0; r == 0 && i < poll->query_count; i++)
        r = answer_query(attempt, &poll->queries[i]);
    for (size_t i = 0; r == 0 && i < poll->list_count; i++)
        r = answer_list(attempt, &poll->lists[i]);
    mark_evicted(attempt);
    return r;
}

static bool needs_default(const struct engine_poll *poll)
{
    for (size_t i = 0; i < poll->query_count; i++) {
        if (!poll->queries[i].window_s)
            return true;
    }
    for (size_t i = 0; i < poll->list_count; i++) {
        if (!poll->lists[i].window_s)
            return true;
    }
    return false;
}

static bool has_any_state(const struct engine_state *state)
{
    for (size_t g = 0; g < state->count; g++) {
        for (uint32_t s = 0; s < state->groups[g].shard_count; s++) {
            if (state->groups[g].shards[s].problem != ENGINE_SHARD_ABSENT)
                return true;
        }
    }
    return false;
}

/* Load the groups and the states, and find out whether the commands that were sent fit them. */
static int load_groups(struct engine_attempt *attempt, const struct engine_state *asked)
{
    int r = engine_groups_parse(*attempt->replies++, &attempt->state);

    if (r < 0)
        return r;
    if (!engine_groups_are_same(asked, &attempt->state))
        return -ESTALE;
    attempt->shard_count = engine_state_shards(&attempt->state);
    r = load_states(attempt);
    if (r < 0)
        return r;
    if (!has_any_state(&attempt->state))
        return -ENODATA;
    uint32_t window_s = engine_windows_default(&attempt->state);
    bool fits = (window_s == attempt->default_window_s || !needs_default(attempt->poll)) &&
                (!attempt->poll->visitors || are_of_default_windows(asked, &attempt->state));
    attempt->default_window_s = window_s;
    return fits ? 0 : -ESTALE;
}

int engine_poll_answer(struct engine_attempt *attempt, const struct engine_state *asked,
                       redisReply *const *replies)
{
    attempt->replies = replies;
    int r = load_groups(attempt, asked);
    if (r < 0)
        return r;
    attempt->evicted = calloc(attempt->shard_count + 1, sizeof(*attempt->evicted));
    r = attempt->evicted ? answer_all(attempt) : -ENOMEM;
    free(attempt->evicted);
    attempt->evicted = NULL;
    return r;
}

#include "engine_answer.h"

#include <string.h>

#include "engine_windows.h"

#define QUIET_S 61 /* a quiet site's last heartbeat is at least so old */

static const struct engine_scope no_scopes[ENGINE_SHARDS_MAX];

/* A group's own answer for a scope. */
struct candidate {
    const struct engine_group *group;
    const struct engine_scope *scopes; /* of its shards */
    bool there;                        /* each shard can be believed */
    bool whole;                        /* and is fresh */
    bool exists;
    bool partial; /* incomplete for other reasons than warming */
    uint64_t count;
    int64_t as_of;         /* the oldest of its shards' */
    uint64_t published_ms; /* the greatest of its shards' ages */
};

size_t engine_state_shards(const struct engine_state *state)
{
    size_t count = 0;

    for (size_t i = 0; i < state->count; i++)
        count += state->groups[i].shard_count;
    return count;
}

bool engine_shard_has(const struct engine_group *group, uint32_t shard, uint32_t window_s)
{
    const struct engine_shard *state = &group->shards[shard].shard;

    if (state->version != ENGINE_VERSION || state->shards != group->shard_count)
        return false;
    for (unsigned i = 0; i < state->window_count; i++) {
        if (state->windows[i] == window_s)
            return true;
    }
    return false;
}

static void add_saturated(uint64_t *sum, uint64_t count)
{
    if (__builtin_add_overflow(*sum, count, sum))
        *sum = UINT64_MAX;
}

static struct candidate judge_group(const struct engine_group *group,
                                    const struct engine_scope *scopes, uint32_t window_s)
{
    struct candidate candidate = {
        .group = group,
        .scopes = scopes,
        .there = true,
        .whole = true,
        .partial = group->partial,
        .as_of = INT64_MAX,
    };

    for (uint32_t i = 0; i < group->shard_count; i++) {
        const struct engine_shard_state *shard = &group->shards[i];
        const struct engine_scope *scope = &scopes[i];
        candidate.there &= engine_shard_has(group, i, window_s) && !scope->evicted;
        candidate.whole &= shard->problem == ENGINE_SHARD_FINE;
        candidate.partial |= scope->partial || (!scope->exists && scope->refused);
        if (scope->exists)
            add_saturated(&candidate.count, scope->count);
        candidate.exists |= scope->exists;
        if (shard->shard.as_of < candidate.as_of)
            candidate.as_of = shard->shard.as_of;
        if (shard->age_ms > candidate.published_ms)
            candidate.published_ms = shard->age_ms;
    }
    candidate.whole &= candidate.there;
    return candidate;
}

static bool is_incomplete(const struct candidate *candidate)
{
    return candidate->partial || candidate->group->warming;
}

/* True if `a` rather than `b` gives the answer: whoever is whole before whoever isn't. Among whole
 * groups the largest number, and without one whoever knows that nobody is there; otherwise whoever
 * was whole last. */
static bool is_better(const struct candidate *a, const struct candidate *b)
{
    if (a->whole != b->whole)
        return a->whole;
    if (!a->whole && a->as_of != b->as_of)
        return a->as_of > b->as_of;
    if (a->exists != b->exists)
        return a->exists;
    if (a->count != b->count)
        return a->count > b->count;
    if (is_incomplete(a) != is_incomplete(b))
        return is_incomplete(b);
    return a->as_of > b->as_of;
}

/* Return how old a shard's tick is: by the engine's clock, and where that only says how old the
 * state is, since the shard is stale, by ours if that says more. */
static uint64_t tick_age_s(const struct engine_shard_state *shard, int64_t now)
{
    uint64_t age_s = shard->age_ms / 1000;

    if (shard->problem != ENGINE_SHARD_FINE && now > shard->shard.as_of &&
        (uint64_t)(now - shard->shard.as_of) > age_s)
        return (uint64_t)(now - shard->shard.as_of);
    return age_s;
}

/* Find out whether the site is quiet in each of a group's shards that has it; `*ret_s` becomes the
 * age of the last heartbeat, if it is less. False if one of them isn't quiet. */
static bool judge_quiet(const struct candidate *candidate, int64_t now, bool *ret_any,
                        uint64_t *ret_s)
{
    for (uint32_t i = 0; i < candidate->group->shard_count; i++) {
        const struct engine_shard_state *shard = &candidate->group->shards[i];
        const struct engine_scope *scope = &candidate->scopes[i];
        if (!scope->has_site)
            continue;
        if (!scope->quiet)
            return false;
        uint64_t age_s = tick_age_s(shard, now);
        if (shard->shard.as_of > scope->heard_at)
            age_s += (uint64_t)(shard->shard.as_of - scope->heard_at);
        if (age_s < QUIET_S)
            age_s = QUIET_S;
        if (!*ret_any || age_s < *ret_s)
            *ret_s = age_s;
        *ret_any = true;
    }
    return true;
}

/* Fill in what the group says that gives the answer. */
static void fill_from(const struct candidate *best, int64_t now, struct engine_reading *reading)
{
    reading->count = best->count;
    reading->exists = best->exists;
    reading->as_of = best->as_of;
    reading->published_ms = best->published_ms;
    for (uint32_t i = 0; i < best->group->shard_count; i++) {
        uint64_t age_s = tick_age_s(&best->group->shards[i], now);
        if (age_s > reading->as_of_age_s)
            reading->as_of_age_s = age_s;
    }
}

/* Answer with the last number of a group that was whole once; unknown if it has none. */
static void answer_stale(const struct candidate *best, int64_t now, struct engine_reading *reading)
{
    bool any = false;
    uint64_t heartbeat_s = 0;

    reading->stale = true;
    if (!best)
        return;
    fill_from(best, now, reading);
    reading->known = best->exists;
    reading->partial = best->partial;
    reading->warming = best->group->warming;
    reading->quiet = judge_quiet(best, now, &any, &heartbeat_s) && any;
    reading->last_heartbeat_s = reading->quiet ? heartbeat_s : 0;
}

void engine_answer(const struct engine_state *state, const struct engine_scope *scopes,
                   uint32_t window_s, int64_t now, struct engine_reading *ret)
{
    struct engine_reading reading = {.window_s = window_s};
    struct candidate best = {0};
    bool all_incomplete = true, all_warming = true, any_partial = false;
    bool has_site = false, all_quiet = true;
    uint64_t heartbeat_s = 0;

    for (size_t i = 0; i < state->count; i++) {
        const struct engine_group *group = &state->groups[i];
        struct candidate candidate = judge_group(group, scopes ? scopes : no_scopes, window_s);
        scopes += scopes ? group->shard_count : 0;
        if (candidate.there && (!best.group || is_better(&candidate, &best)))
            best = candidate;
        if (!candidate.whole)
            continue;
        all_incomplete &= is_incomplete(&candidate);
        all_warming &= group->warming;
        any_partial |= candidate.partial;
        all_quiet = all_quiet && judge_quiet(&candidate, now, &has_site, &heartbeat_s);
    }
    if (!best.whole) {
        answer_stale(best.group ? &best : NULL, now, &reading);
        *ret = reading;
        return;
    }
    fill_from(&best, now, &reading);
    reading.known = best.exists || !all_incomplete;
    reading.partial = all_incomplete && any_partial;
    reading.warming = all_warming;
    reading.quiet = all_quiet && has_site;
    reading.last_heartbeat_s = reading.quiet ? heartbeat_s : 0;
    *ret = reading;
}

struct engine_reading engine_state_freshness(const struct engine_state *state, int64_t now)
{
    struct engine_reading reading;

    engine_answer(state, NULL, engine_windows_default(state), now, &reading);
    return reading;
}

/* engine_judge.h - R9 once more, from the model instead of replies, as slowly as it is written:
 * every question is asked of every shard anew. */
#ifndef PRESENCE_TESTS_ENGINE_JUDGE_H
#define PRESENCE_TESTS_ENGINE_JUDGE_H

#include <engine/engine_reader.h>

#include "engine_model.h"

/* A scope in a window, by its places in the model; label -1: the site itself; site -1: none. */
struct judge_scope {
    int window, site, label;
    enum presence_kind kind; /* also of labels that aren't there: label MODEL_LABELS */
    bool listed;             /* a site among all: its own hash isn't read */
};

typedef bool judge_question(const struct model_shard *shard, const struct judge_scope *scope);

static inline uint64_t judge_age_ms(const struct model_shard *shard)
{
    return shard->pttl < 0 || shard->pttl > 7200000 ? 7200000 : (uint64_t)(7200000 - shard->pttl);
}

static inline bool judge_is_readable(const struct model_shard *shard)
{
    return shard->exists && shard->version == 1 && !shard->damaged;
}

static inline enum engine_shard_problem judge_problem(const struct model_group *group,
                                                      const struct model_shard *shard)
{
    if (!shard->exists)
        return ENGINE_SHARD_ABSENT;
    if (judge_age_ms(shard) > 4000)
        return ENGINE_SHARD_SILENT;
    if (!judge_is_readable(shard))
        return ENGINE_SHARD_UNREADABLE;
    if (shard->stale)
        return ENGINE_SHARD_STALE;
    return shard->shards != group->shard_count ? ENGINE_SHARD_DISAGREES : ENGINE_SHARD_FINE;
}

/* ---- one scope in one shard -------------------------------------------------------------- */

static inline const struct model_site *judge_site(const struct model_shard *shard,
                                                  const struct judge_scope *scope)
{
    return &shard->sites[scope->window][scope->site];
}

static inline bool judge_has_site(const struct model_shard *shard, const struct judge_scope *scope)
{
    return scope->site >= 0 && judge_site(shard, scope)->own.there;
}

static inline const struct model_count *judge_count(const struct model_shard *shard,
                                                    const struct judge_scope *scope)
{
    static const struct model_count none;

    if (scope->site < 0 || scope->label == MODEL_LABELS)
        return &none;
    if (scope->label < 0)
        return &judge_site(shard, scope)->own;
    return judge_site(shard, scope)->epoch == MODEL_EPOCH_RIGHT
               ? &judge_site(shard, scope)->labels[scope->label]
               : &none;
}

static inline bool judge_has_it(const struct model_shard *shard, const struct judge_scope *scope)
{
    return judge_count(shard, scope)->there;
}

static inline bool judge_is_evicted(const struct model_shard *shard,
                                    const struct judge_scope *scope)
{
    if (shard->epoch[scope->window] != MODEL_EPOCH_RIGHT || judge_count(shard, scope)->damaged)
        return true;
    if (!judge_has_site(shard, scope) || scope->listed)
        return false;
    return judge_site(shard, scope)->own.damaged ||
           judge_site(shard, scope)->epoch != MODEL_EPOCH_RIGHT;
}

static inline bool judge_is_there(const struct model_group *group, const struct model_shard *shard,
                                  const struct judge_scope *scope)
{
    return judge_is_readable(shard) && shard->shards == group->shard_count &&
           shard->window[scope->window] && !judge_is_evicted(shard, scope);
}

static inline bool judge_is_unknown(const struct model_shard *shard,
                                    const struct judge_scope *scope)
{
    if (judge_has_it(shard, scope))
        return false;
    if (!judge_has_site(shard, scope) && shard->unknown)
        return true;
    return scope->site >= 0 && scope->kind != PRESENCE_SITE &&
           judge_site(shard, scope)->epoch == MODEL_EPOCH_RIGHT &&
           judge_site(shard, scope)->refused[scope->kind];
}

static inline bool judge_is_lower_bound(const struct model_shard *shard,
                                        const struct judge_scope *scope)
{
    const char *mark = scope->site < 0 ? NULL : judge_site(shard, scope)->partial;

    if (!mark || judge_site(shard, scope)->epoch != MODEL_EPOCH_RIGHT)
        return false;
    return strcmp(mark, "") == 0 || strchr(mark, '1') || strchr(mark, 'n') ||
           (scope->kind != PRESENCE_SITE && strchr(mark, " rcs"[scope->kind]));
}

static inline bool judge_is_loud(const struct model_shard *shard, const struct judge_scope *scope)
{
    return judge_has_site(shard, scope) && judge_site(shard, scope)->heard_at == 0;
}

static inline bool judge_warms(const struct model_shard *shard, const struct judge_scope *scope)
{
    (void)scope;
    return judge_is_readable(shard) && shard->warming;
}

static inline bool judge_any(const struct model_group *group, judge_question *question,
                             const struct judge_scope *scope)
{
    for (uint32_t i = 0; i < group->shard_count; i++) {
        if (question(&group->shards[i], scope))
            return true;
    }
    return false;
}

/* ---- streams ----------------------------------------------------------------------------- */

/* How long a stream has been silent at a shard, ms; UINT64_MAX: it was never there. */
static inline uint64_t judge_silence(const struct model_shard *shard, uint64_t id)
{
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; i < shard->stream_count; i++) {
        uint64_t silence = shard->streams[i].age_s * 1000 + judge_age_ms(shard);
        if (shard->streams[i].id == id && silence < least)
            least = silence;
    }
    return least;
}

/* What one witness proves of a stream that is silent or missing in a shard. */
static inline bool judge_witnesses(const struct model_shard *witness, uint64_t id,
                                   uint64_t silence_ms, bool established)
{
    bool goes_on = false, was_there = false;

    for (size_t i = 0; i < witness->stream_count; i++) {
        const struct engine_stream *stream = &witness->streams[i];
        goes_on |= stream->id == id && stream->age_s <= 3;
        was_there |= stream->id == id && stream->expected_before > 0;
    }
    if (established)
        return goes_on && was_there;
    return goes_on && silence_ms >= 5000 && silence_ms - judge_silence(witness, id) >= 3000 &&
           judge_silence(witness, id) <= silence_ms;
}

static inline bool judge_any_witness(const struct model *model, uint64_t id, uint64_t silence_ms,
                                     bool established)
{
    for (size_t i = 0; i < model->group_count; i++) {
        const struct model_group *group = &model->groups[i];
        for (uint32_t j = 0; j < group->shard_count; j++) {
            if (judge_problem(group, &group->shards[j]) == ENGINE_SHARD_FINE &&
                judge_witnesses(&group->shards[j], id, silence_ms, established))
                return true;
        }
    }
    return false;
}

static inline bool judge_has_visitors(const struct model *model, uint64_t id)
{
    bool any = false;

    for (size_t i = 0; i < model->group_count; i++) {
        const struct model_group *group = &model->groups[i];
        for (uint32_t j = 0; j < group->shard_count; j++) {
            const struct model_shard *shard = &group->shards[j];
            for (size_t k = 0; k < shard->stream_count; k++)
                any |= judge_problem(group, shard) == ENGINE_SHARD_FINE &&
                       shard->streams[k].id == id && shard->streams[k].heartbeats > 0;
        }
    }
    return any;
}

static inline bool judge_loses(const struct model_shard *shard, uint64_t id)
{
    for (size_t i = 0; i < shard->stream_count; i++) {
        const struct engine_stream *stream = &shard->streams[i];
        double sent = (double)stream->expected - (double)stream->expected_before;
        if (stream->id == id && (double)(stream->lost - stream->lost_before) > sent / 100)
            return true;
    }
    return false;
}

static inline unsigned judge_lacks(const struct model *model, const struct model_group *group,
                                   const struct model_shard *shard)
{
    unsigned lacks = 0;

    if (judge_problem(group, shard) != ENGINE_SHARD_FINE)
        return 0;
    for (uint64_t id = 1; id <= 3; id++) {
        uint64_t silence = judge_silence(shard, id);
        if (silence == UINT64_MAX)
            lacks += !shard->full && judge_has_visitors(model, id) &&
                     judge_any_witness(model, id, 0, true);
        else
            lacks += judge_loses(shard, id) + judge_any_witness(model, id, silence, false);
    }
    return lacks;
}

/* ---- groups ------------------------------------------------------------------------------ */

static inline bool judge_group_lacks(const struct model *model, const struct model_group *group)
{
    for (uint32_t i = 0; i < group->shard_count; i++) {
        if (judge_lacks(model, group, &group->shards[i]) > 0)
            return true;
    }
    return false;
}

static inline bool judge_is_partial(const struct model *model, const struct model_group *group,
                                    const struct judge_scope *scope)
{
    return judge_group_lacks(model, group) || judge_any(group, judge_is_unknown, scope) ||
           judge_any(group, judge_is_lower_bound, scope);
}

static inline bool judge_all_there(const struct model_group *group, const struct judge_scope *scope)
{
    for (uint32_t i = 0; i < group->shard_count; i++) {
        if (!judge_is_there(group, &group->shards[i], scope))
            return false;
    }
    return true;
}

static inline bool judge_is_whole(const struct model_group *group, const struct judge_scope *scope)
{
    for (uint32_t i = 0; i < group->shard_count; i++) {
        if (judge_problem(group, &group->shards[i]) != ENGINE_SHARD_FINE)
            return false;
    }
    return judge_all_there(group, scope);
}

static inline uint64_t judge_sum(const struct model_group *group, const struct judge_scope *scope)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < group->shard_count; i++) {
        const struct model_count *count = judge_count(&group->shards[i], scope);
        if (count->there)
            sum = UINT64_MAX - sum < count->number ? UINT64_MAX : sum + count->number;
    }
    return sum;
}

static inline int64_t judge_as_of(const struct model_group *group)
{
    int64_t oldest = INT64_MAX;

    for (uint32_t i = 0; i < group->shard_count; i++)
        oldest = group->shards[i].as_of < oldest ? group->shards[i].as_of : oldest;
    return oldest;
}

/* Return the age of a shard's tick. */
static inline int64_t judge_tick_age(const struct model_group *group,
                                     const struct model_shard *shard)
{
    int64_t by_engine = (int64_t)(judge_age_ms(shard) / 1000), ours = FAKE_NOW - shard->as_of;

    return judge_problem(group, shard) != ENGINE_SHARD_FINE && ours > by_engine ? ours : by_engine;
}

/* Describe how well a group answers, the greatest first: compared figure by figure. */
static inline void judge_rank(const struct model *model, const struct model_group *group,
                              const struct judge_scope *scope, bool whole, uint64_t ret[5])
{
    uint64_t exists = judge_any(group, judge_has_it, scope), sum = judge_sum(group, scope);
    uint64_t complete =
        !judge_is_partial(model, group, scope) && !judge_any(group, judge_warms, scope);
    uint64_t as_of = (uint64_t)judge_as_of(group);

    memcpy(ret,
           whole ? (uint64_t[]){exists, sum, complete, as_of, 0}
                 : (uint64_t[]){as_of, exists, sum, complete, 0},
           5 * sizeof(*ret));
}

/* Find the group that answers: the best of all whole ones, or else of those that have all states.
 * NULL: none. */
static inline const struct model_group *judge_best(const struct model *model,
                                                   const struct judge_scope *scope, bool whole)
{
    const struct model_group *best = NULL;
    uint64_t highest[5] = {0}, rank[5];

    for (size_t i = 0; i < model->group_count; i++) {
        const struct model_group *group = &model->groups[i];
        if (!(whole ? judge_is_whole(group, scope) : judge_all_there(group, scope)))
            continue;
        judge_rank(model, group, scope, whole, rank);
        int order = 0;
        for (size_t j = 0; j < 5 && order == 0; j++)
            order = (rank[j] > highest[j]) - (rank[j] < highest[j]);
        if (!best || order > 0) {
            best = group;
            memcpy(highest, rank, sizeof(rank));
        }
    }
    return best;
}

/* Find out whether the site is quiet, in all whole groups or in one. */
static inline void judge_quiet(const struct model *model, const struct model_group *only,
                               const struct judge_scope *scope, struct engine_reading *ret)
{
    int64_t youngest = INT64_MAX;

    for (size_t i = 0; i < model->group_count; i++) {
        const struct model_group *group = &model->groups[i];
        if (only ? group != only : !judge_is_whole(group, scope))
            continue;
        if (judge_any(group, judge_is_loud, scope))
            return;
        for (uint32_t j = 0; j < group->shard_count; j++) {
            const struct model_shard *shard = &group->shards[j];
            if (!judge_has_site(shard, scope))
                continue;
            int64_t since = shard->as_of - judge_site(shard, scope)->heard_at;
            int64_t age = judge_tick_age(group, shard) + (since > 0 ? since : 0);
            age = age < 61 ? 61 : age;
            youngest = age < youngest ? age : youngest;
        }
    }
    ret->quiet = youngest != INT64_MAX;
    ret->last_heartbeat_s = ret->quiet ? (uint64_t)youngest : 0;
}

static inline void judge_fill(const struct model_group *best, const struct judge_scope *scope,
                              struct engine_reading *ret)
{
    ret->exists = judge_any(best, judge_has_it, scope);
    ret->count = judge_sum(best, scope);
    ret->as_of = judge_as_of(best);
    for (uint32_t i = 0; i < best->shard_count; i++) {
        const struct model_shard *shard = &best->shards[i];
        uint64_t age = (uint64_t)judge_tick_age(best, shard);
        ret->as_of_age_s = age > ret->as_of_age_s ? age : ret->as_of_age_s;
        ret->published_ms =
            judge_age_ms(shard) > ret->published_ms ? judge_age_ms(shard) : ret->published_ms;
    }
}

static inline struct engine_reading judge_answer(const struct model *model,
                                                 const struct judge_scope *scope)
{
    struct engine_reading reading = {.window_s = model_windows[scope->window]};
    const struct model_group *best = judge_best(model, scope, true);
    unsigned whole = 0, incomplete = 0, partial = 0, warming = 0;

    if (!best) {
        best = judge_best(model, scope, false);
        reading.stale = true;
        if (!best)
            return reading;
        judge_fill(best, scope, &reading);
        reading.known = reading.exists;
        reading.partial = judge_is_partial(model, best, scope);
        reading.warming = judge_any(best, judge_warms, scope);
        judge_quiet(model, best, scope, &reading);
        return reading;
    }
    for (size_t i = 0; i < model->group_count; i++) {
        const struct model_group *group = &model->groups[i];
        if (!judge_is_whole(group, scope))
            continue;
        bool is_partial = judge_is_partial(model, group, scope);
        bool warms = judge_any(group, judge_warms, scope);
        whole++;
        partial += is_partial;
        warming += warms;
        incomplete += is_partial || warms;
    }
    judge_fill(best, scope, &reading);
    reading.known = reading.exists || incomplete < whole;
    reading.partial = incomplete == whole && partial > 0;
    reading.warming = warming == whole;
    judge_quiet(model, NULL, scope, &reading);
    return reading;
}

/* ---- windows ----------------------------------------------------------------------------- */

static inline bool judge_publishes(const struct model_group *group, int window)
{
    unsigned there = 0, publishing = 0;

    for (uint32_t i = 0; i < group->shard_count; i++) {
        const struct model_shard *shard = &group->shards[i];
        if (!judge_is_readable(shard) || shard->shards != group->shard_count)
            continue;
        there++;
        publishing += shard->window[window];
    }
    return there > 0 && publishing == there;
}

static inline bool judge_published(const struct model *model, int window)
{
    for (size_t i = 0; i < model->group_count; i++) {
        if (judge_publishes(&model->groups[i], window))
            return true;
    }
    return false;
}

/* Return the index of the window that is meant by 0. */
static inline int judge_default(const struct model *model)
{
    if (!judge_published(model, 1) && judge_published(model, 2))
        return 2;
    return judge_published(model, 1) || !judge_published(model, 0) ? 1 : 0;
}

#endif

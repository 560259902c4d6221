#include "engine_json.h"

#include "common/json_number.h"
#include "common/time_text.h"

const char *engine_shard_word(enum engine_shard_problem problem)
{
    switch (problem) {
    case ENGINE_SHARD_FINE:
        return "fresh";
    case ENGINE_SHARD_ABSENT:
        return "absent";
    case ENGINE_SHARD_SILENT:
        return "silent";
    case ENGINE_SHARD_STALE:
        return "stale";
    case ENGINE_SHARD_DISAGREES:
        return "disagrees";
    case ENGINE_SHARD_UNREADABLE:
        return "unreadable";
    case ENGINE_SHARD_EVICTED:
        return "evicted";
    }
    return "unreadable";
}

static json_t *count_or_null(bool known, uint64_t count)
{
    return known ? json_of_number(count) : json_null();
}

static json_t *build_windows(const struct engine_shard *shard)
{
    json_t *array = json_array();

    for (unsigned i = 0; i < shard->window_count; i++)
        json_array_append_new(array, json_integer(shard->windows[i]));
    return array;
}

static json_t *build_shard(const struct engine_shard_state *state, uint32_t number)
{
    const struct engine_shard *shard = &state->shard;
    bool there = state->problem != ENGINE_SHARD_ABSENT;
    bool known = there && state->problem != ENGINE_SHARD_UNREADABLE;
    struct engine_loss loss = engine_shard_loss(shard);
    json_t *object = json_object();

    json_object_set_new(object, "shard", json_integer(number));
    json_object_set_new(object, "state", json_string(engine_shard_word(state->problem)));
    json_object_set_new(object, "age_ms", count_or_null(there, state->age_ms));
    json_object_set_new(object, "as_of",
                        known ? json_string(show_time(shard->as_of).text) : json_null());
    json_object_set_new(object, "host", known ? json_string(shard->host) : json_null());
    json_object_set_new(object, "told_shards", count_or_null(known, shard->shards));
    json_object_set_new(object, "warming", json_boolean(known && shard->warming));
    json_object_set_new(object, "visitors", count_or_null(known, state->visitors));
    json_object_set_new(object, "windows", known ? build_windows(shard) : json_null());
    json_object_set_new(object, "streams", count_or_null(known, shard->stream_count));
    json_object_set_new(object, "expected_30s", count_or_null(known, loss.expected));
    json_object_set_new(object, "lost_30s", count_or_null(known, (uint64_t)loss.lost));
    json_object_set_new(object, "streams_losing", json_integer(state->streams_losing));
    json_object_set_new(object, "streams_silent", json_integer(state->streams_silent));
    json_object_set_new(object, "streams_missing", json_integer(state->streams_missing));
    return object;
}

json_t *engine_build_groups(const struct engine_state *state)
{
    json_t *array = json_array();

    for (size_t i = 0; i < state->count; i++) {
        const struct engine_group *group = &state->groups[i];
        json_t *shards = json_array();
        for (uint32_t j = 0; j < group->shard_count; j++)
            json_array_append_new(shards, build_shard(&group->shards[j], j + 1));
        json_array_append_new(array, json_pack("{s:s,s:b,s:b,s:b,s:I,s:o}", "name", group->name,
                                               "whole", group->whole, "warming", group->warming,
                                               "partial", group->partial, "visitors",
                                               (json_int_t)engine_group_visitors(group), "shards",
                                               shards));
    }
    return array;
}

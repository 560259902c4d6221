#include "engine_groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine_lacks.h"

struct engine_text engine_reply_text(const redisReply *reply)
{
    if (!reply || reply->type != REDIS_REPLY_STRING || !reply->str)
        return (struct engine_text){0};
    return (struct engine_text){reply->str, reply->len};
}

const redisReply *engine_reply_element(const redisReply *reply, size_t index)
{
    if (!reply || reply->type != REDIS_REPLY_ARRAY || index >= reply->elements)
        return NULL;
    return reply->element[index];
}

static int compare_groups(const void *left, const void *right)
{
    const struct engine_group *a = left, *b = right;

    return strcmp(a->name, b->name);
}

/* Parse one group, and allocate its shards. Returns 0 if it is no group. */
static int parse_group(const redisReply *name, const redisReply *count, struct engine_group *ret)
{
    struct engine_group group = {0};
    uint64_t shards;

    if (!engine_text_copy(engine_reply_text(name), group.name, sizeof(group.name)) ||
        !engine_is_group(group.name) ||
        !engine_text_number(engine_reply_text(count), ENGINE_SHARDS_MAX, &shards) || shards == 0)
        return 0;
    group.shard_count = (uint32_t)shards;
    group.shards = calloc(shards, sizeof(*group.shards));
    if (!group.shards)
        return -ENOMEM;
    *ret = group;
    return 1;
}

int engine_groups_parse(const redisReply *reply, struct engine_state *ret)
{
    struct engine_state state = {0};
    int r = 0;

    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 0)
        return -EPROTO;
    state.groups = calloc(ENGINE_GROUPS_MAX, sizeof(*state.groups));
    if (!state.groups)
        return -ENOMEM;
    for (size_t i = 0; r >= 0 && i < reply->elements; i += 2) {
        struct engine_group group;
        r = parse_group(reply->element[i], reply->element[i + 1], &group);
        if (r <= 0)
            continue;
        if (state.count < ENGINE_GROUPS_MAX) {
            state.groups[state.count++] = group;
            continue;
        }
        free(group.shards);
        r = -EMSGSIZE;
    }
    if (r < 0) {
        engine_state_free(&state);
        return r;
    }
    qsort(state.groups, state.count, sizeof(*state.groups), compare_groups);
    *ret = state;
    return 0;
}

bool engine_groups_are_same(const struct engine_state *a, const struct engine_state *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->groups[i].name, b->groups[i].name) != 0 ||
            a->groups[i].shard_count != b->groups[i].shard_count)
            return false;
    }
    return true;
}

int engine_groups_copy(const struct engine_state *state, struct engine_state *ret)
{
    struct engine_state copy = {.groups = calloc(state->count + 1, sizeof(*copy.groups))};

    if (!copy.groups)
        return -ENOMEM;
    for (; copy.count < state->count; copy.count++) {
        struct engine_group *group = &copy.groups[copy.count];
        *group = state->groups[copy.count];
        group->shards = calloc(group->shard_count, sizeof(*group->shards));
        if (group->shards)
            continue;
        engine_state_free(&copy);
        return -ENOMEM;
    }
    *ret = copy;
    return 0;
}

/* Compute the age of a state from what is left of its lifetime. Without a lifetime, or with a
 * longer one, nobody knows it: then it counts as the greatest. */
static uint64_t parse_age(const redisReply *pttl)
{
    if (!pttl || pttl->type != REDIS_REPLY_INTEGER || pttl->integer < 0 ||
        pttl->integer > ENGINE_LIFETIME_MS)
        return ENGINE_LIFETIME_MS;
    return (uint64_t)(ENGINE_LIFETIME_MS - pttl->integer);
}

static enum engine_shard_problem find_problem(const struct engine_shard_state *shard, int parsed,
                                              uint32_t shard_count)
{
    if (parsed == -ENODATA)
        return ENGINE_SHARD_ABSENT;
    if (shard->age_ms > ENGINE_FRESH_MS)
        return ENGINE_SHARD_SILENT;
    if (parsed < 0)
        return ENGINE_SHARD_UNREADABLE;
    if (shard->shard.stale)
        return ENGINE_SHARD_STALE;
    return shard->shard.shards == shard_count ? ENGINE_SHARD_FINE : ENGINE_SHARD_DISAGREES;
}

/* Parse the state. Errors: as engine_shard_parse; a reply that is no array is damaged. */
static int parse_state(const redisReply *fields, struct engine_shard *ret)
{
    struct engine_text values[SHARD_FIELD_COUNT];

    if (!fields || fields->type != REDIS_REPLY_ARRAY || fields->elements != SHARD_FIELD_COUNT)
        return -EBADMSG;
    for (size_t i = 0; i < SHARD_FIELD_COUNT; i++)
        values[i] = engine_reply_text(fields->element[i]);
    return engine_shard_parse(values, ret);
}

int engine_groups_load(const redisReply *fields, const redisReply *pttl, uint32_t shard_count,
                       struct engine_shard_state *ret)
{
    struct engine_shard_state state = {0};
    int r = parse_state(fields, &state.shard);

    if (r == -ENOMEM)
        return r;
    if (r != -ENODATA)
        state.age_ms = parse_age(pttl);
    state.problem = find_problem(&state, r, shard_count);
    *ret = state;
    return 0;
}

int engine_groups_judge(struct engine_state *state)
{
    int r = engine_lacks_find(state);

    if (r < 0)
        return r;
    for (size_t i = 0; i < state->count; i++) {
        struct engine_group *group = &state->groups[i];
        group->whole = true;
        group->warming = group->partial = false;
        for (uint32_t j = 0; j < group->shard_count; j++) {
            const struct engine_shard_state *shard = &group->shards[j];
            group->whole &= shard->problem == ENGINE_SHARD_FINE;
            group->warming |= shard->shard.warming;
            group->partial |= shard->lack_count > 0;
        }
    }
    return 0;
}

uint64_t engine_group_visitors(const struct engine_group *group)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < group->shard_count; i++) {
        if (__builtin_add_overflow(sum, group->shards[i].visitors, &sum))
            return UINT64_MAX;
    }
    return sum;
}

void engine_state_free(struct engine_state *state)
{
    for (size_t i = 0; i < state->count; i++) {
        struct engine_group *group = &state->groups[i];
        for (uint32_t j = 0; j < group->shard_count; j++) {
            engine_shard_free(&group->shards[j].shard);
            free(group->shards[j].lacks);
        }
        free(group->shards);
    }
    free(state->groups);
    *state = (struct engine_state){0};
}

#include "engine_scope.h"

#include <string.h>

static const char *const refused_marks[] = {
    [PRESENCE_ROOM] = ENGINE_MARK_ROOMS,
    [PRESENCE_COUNTRY] = ENGINE_MARK_COUNTRIES,
    [PRESENCE_SOURCE] = ENGINE_MARK_SOURCES,
};

void engine_scope_ask_states(struct engine_request *request, const struct engine_state *state)
{
    engine_request_add(request, "HGETALL", ENGINE_KEY_GROUPS, NULL);
    for (size_t i = 0; i < state->count; i++) {
        const struct engine_group *group = &state->groups[i];
        for (uint32_t j = 0; j < group->shard_count; j++) {
            char key[ENGINE_KEY_MAX];
            engine_key_shard(group->name, j + 1, key);
            engine_request_begin(request, 2 + SHARD_FIELD_COUNT);
            engine_request_text(request, "HMGET");
            engine_request_text(request, key);
            for (size_t k = 0; k < SHARD_FIELD_COUNT; k++)
                engine_request_text(request, engine_shard_fields[k]);
            engine_request_add(request, "PTTL", key, NULL);
        }
    }
}

void engine_scope_ask(struct engine_request *request, const char *group, uint32_t shard,
                      uint32_t window_s, enum presence_kind kind, const char *site,
                      const char *name)
{
    char key[ENGINE_KEY_MAX], field[ENGINE_FIELD_MAX];

    engine_key_sites(group, shard, window_s, key);
    engine_request_add(request, "HMGET", key, ENGINE_MARK_EPOCH, site, NULL);
    engine_key_site(group, shard, window_s, site, key);
    if (kind == PRESENCE_SITE) {
        engine_request_add(request, "HMGET", key, ENGINE_MARK_EPOCH, ENGINE_MARK_PARTIAL,
                           ENGINE_MARK_QUIET, NULL);
        return;
    }
    engine_field(kind, site, name, field);
    engine_request_add(request, "HMGET", key, ENGINE_MARK_EPOCH, ENGINE_MARK_PARTIAL,
                       ENGINE_MARK_QUIET, refused_marks[kind], field, NULL);
}

/* True if the counts of this kind are lower bounds, by the value of ENGINE_MARK_PARTIAL. A letter
 * that is not known may mean all of them. */
static bool is_partial(struct engine_text letters, enum presence_kind kind)
{
    static const char known[] = ENGINE_LETTERS;
    const char *labels = known + PRESENCE_ROOM, *end = known + sizeof(known) - 1;

    if (!letters.bytes)
        return false;
    for (size_t i = 0; i < letters.length; i++) {
        char letter = letters.bytes[i];
        if (letter == ENGINE_LETTERS[kind] || !memchr(labels, letter, (size_t)(end - labels)))
            return true;
    }
    return letters.length == 0;
}

bool engine_scope_load_count(const redisReply *reply, struct engine_scope *scope, uint64_t *ret)
{
    if (reply && reply->type == REDIS_REPLY_NIL)
        return false;
    if (engine_text_number(engine_reply_text(reply), UINT64_MAX, ret))
        return true;
    scope->evicted = true;
    return false;
}

struct engine_marks engine_scope_find_marks(const redisReply *reply, enum presence_kind kind)
{
    struct engine_marks marks = {0};

    for (size_t i = 0; reply && reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements;
         i += 2) {
        struct engine_text field = engine_reply_text(reply->element[i]);
        struct engine_text value = engine_reply_text(reply->element[i + 1]);
        if (!field.bytes || (field.length > 0 && field.bytes[0] != '?'))
            continue;
        if (engine_text_is(field, ENGINE_MARK_EPOCH))
            marks.epoch = value;
        else if (engine_text_is(field, ENGINE_MARK_PARTIAL))
            marks.partial = value;
        else if (engine_text_is(field, ENGINE_MARK_QUIET))
            marks.last_heartbeat = value;
        else if (kind != PRESENCE_SITE && engine_text_is(field, refused_marks[kind]))
            marks.refused = value;
    }
    return marks;
}

bool engine_scope_load_marks(const struct engine_shard *shard, enum presence_kind kind,
                             const redisReply *sites, const struct engine_marks *marks,
                             struct engine_scope *ret)
{
    struct engine_scope scope = {0};
    bool has_hash = engine_text_is(marks->epoch, shard->epoch);
    uint64_t count, heard_at;

    scope.evicted =
        !engine_text_is(engine_reply_text(engine_reply_element(sites, 0)), shard->epoch);
    scope.has_site = engine_scope_load_count(engine_reply_element(sites, 1), &scope, &count);
    scope.evicted |= scope.has_site && !has_hash;
    scope.refused = !scope.has_site && shard->unknown;
    if (has_hash) { /* another epoch's is left over: as if it weren't there */
        scope.refused |= marks->refused.bytes != NULL;
        scope.partial = is_partial(marks->partial, kind);
        scope.quiet =
            scope.has_site && engine_text_number(marks->last_heartbeat, ENGINE_TIME_MAX, &heard_at);
        scope.heard_at = scope.quiet ? (int64_t)heard_at : 0;
    }
    *ret = scope;
    return has_hash;
}

void engine_scope_load(const struct engine_shard *shard, enum presence_kind kind,
                       const redisReply *sites, const redisReply *site, struct engine_scope *ret)
{
    struct engine_marks marks = {
        .epoch = engine_reply_text(engine_reply_element(site, 0)),
        .partial = engine_reply_text(engine_reply_element(site, 1)),
        .last_heartbeat = engine_reply_text(engine_reply_element(site, 2)),
        .refused = engine_reply_text(engine_reply_element(site, 3)),
    };
    bool has_hash = engine_scope_load_marks(shard, kind, sites, &marks, ret);

    if (kind == PRESENCE_SITE)
        ret->exists = ret->has_site &&
                      engine_scope_load_count(engine_reply_element(sites, 1), ret, &ret->count);
    else if (has_hash)
        ret->exists = engine_scope_load_count(engine_reply_element(site, 4), ret, &ret->count);
}

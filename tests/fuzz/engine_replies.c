#include "engine_replies.h"

#include <common/place.h>
#include <engine/engine_groups.h>
#include <engine/engine_parser.h>
#include <engine/engine_poll.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define NOW           1767225600

static uint64_t answered;

uint64_t engine_replies_answered(void)
{
    return answered;
}

static const char *check_reading(const struct engine_reading *reading)
{
    if (reading->exists && !reading->known)
        return "a number that isn't known";
    if (!reading->exists && reading->count != 0)
        return "a count of what doesn't exist";
    if (reading->stale && reading->known && !reading->exists)
        return "nobody, although it is stale";
    if (reading->quiet != (reading->last_heartbeat_s > 60))
        return "an age of the last heartbeat that isn't quiet";
    if (reading->published_ms > ENGINE_LIFETIME_MS)
        return "an age that no key can have";
    return NULL;
}

/* True if the name is one, in the form in which names are kept. */
static bool is_kept(const char *name, bool site, enum presence_kind kind)
{
    char kept[PRESENCE_NAME_MAX + 1];
    bool valid = site                       ? place_parse_site(name, kept)
                 : kind == PRESENCE_ROOM    ? place_parse_room(name, kept)
                 : kind == PRESENCE_COUNTRY ? place_parse_country(name, kept)
                                            : place_parse_source(name, kept);

    return valid && *kept && strcmp(kept, name) == 0;
}

static const char *check_list(const struct engine_list *list)
{
    const char *wrong = check_reading(&list->reading);

    if (list->length > list->total || (list->limit && list->length > list->limit))
        return "more entries than there should be";
    for (size_t i = 0; i < list->length && !wrong; i++) {
        const struct engine_entry *entry = &list->entries[i];
        if (!is_kept(entry->name, !list->site, list->kind))
            wrong = "an entry without a name";
        if (i > 0 && (entry[-1].count < entry->count || (entry[-1].count == entry->count &&
                                                         strcmp(entry[-1].name, entry->name) >= 0)))
            wrong = "entries in disorder";
    }
    return wrong;
}

static const char *check_poll(const struct engine_poll *poll)
{
    const char *wrong = NULL;

    for (size_t i = 0; i < poll->query_count && !wrong; i++)
        wrong = check_reading(&poll->queries[i].reading);
    for (size_t i = 0; i < poll->list_count && !wrong; i++)
        wrong = check_list(&poll->lists[i]);
    return wrong;
}

/* Answer once. -ESTALE: with what is learned it may be answered again. */
static int answer_once(struct engine_state *known, uint32_t *window_s, redisReply *const *replies,
                       size_t count, const char **ret_wrong)
{
    struct engine_query queries[] = {
        {.kind = PRESENCE_SITE, .site = "a.example"},
        {.kind = PRESENCE_ROOM, .site = "a.example", .name = "/", .window_s = 60},
        {.kind = PRESENCE_SOURCE, .site = "b.example", .name = "c.example", .window_s = 77},
    };
    struct engine_list lists[] = {
        {.limit = 1},
        {.site = "a.example", .kind = PRESENCE_ROOM},
        {.site = "b.example", .kind = PRESENCE_COUNTRY, .window_s = 300},
    };
    struct engine_poll poll = {queries, LENGTH(queries), lists, LENGTH(lists), true};
    struct engine_attempt attempt = {.poll = &poll, .now = NOW, .default_window_s = *window_s};
    struct engine_request request = {0};

    engine_poll_ask(&request, known, *window_s, &poll);
    size_t commands = request.commands;
    engine_request_free(&request);
    if (count < commands)
        return -1;
    int r = engine_poll_answer(&attempt, known, replies);
    if (r == 0) {
        answered++;
        *ret_wrong = check_poll(&poll);
    }
    for (size_t i = 0; i < LENGTH(lists); i++)
        engine_list_free(&lists[i]);
    engine_state_free(known);
    *known = attempt.state;
    *window_s = attempt.default_window_s;
    return r;
}

const char *engine_replies_check(redisReply *const *replies, size_t count)
{
    struct engine_state known = {0};
    uint32_t window_s = PRESENCE_DEFAULT_WINDOW;
    const char *wrong = NULL;

    if (count > 0 && engine_groups_parse(replies[0], &known) == 0 &&
        answer_once(&known, &window_s, replies, count, &wrong) < 0)
        answer_once(&known, &window_s, replies, count, &wrong);
    engine_state_free(&known);
    return wrong;
}

/* Parse a shard's state, each field being what comes before the next zero. */
static const char *check_state(const uint8_t *bytes, size_t size)
{
    struct engine_text rest = {(const char *)bytes, size}, fields[SHARD_FIELD_COUNT];
    struct engine_shard shard;
    const char *wrong = NULL;

    for (size_t i = 0; i < SHARD_FIELD_COUNT; i++)
        fields[i] = engine_text_cut(&rest, '\0');
    if (engine_shard_parse(fields, &shard) < 0)
        return NULL;
    for (unsigned i = 0; i < shard.window_count; i++) {
        if (shard.windows[i] == 0 || shard.windows[i] > PLACE_WINDOW_MAX ||
            (i > 0 && shard.windows[i] <= shard.windows[i - 1]))
            wrong = "windows in disorder";
    }
    for (size_t i = 1; i < shard.stream_count; i++) {
        const struct engine_stream *stream = &shard.streams[i];
        if (stream->id < stream[-1].id)
            wrong = "streams in disorder";
    }
    engine_shard_free(&shard);
    return wrong;
}

const char *engine_bytes_check(const uint8_t *bytes, size_t size)
{
    struct engine_parser parser;
    redisReply *reply = NULL;
    const char *wrong = check_state(bytes, size);

    if (wrong || engine_parser_open(&parser) < 0)
        return wrong;
    engine_parser_begin(&parser);
    if (engine_parser_feed(&parser, (const char *)bytes, size) == 0 &&
        engine_parser_next(&parser, &reply) == 0 && reply) {
        if (reply->type == REDIS_REPLY_ARRAY)
            wrong = engine_replies_check(reply->element, reply->elements);
        freeReplyObject(reply);
    }
    engine_parser_close(&parser);
    return wrong;
}

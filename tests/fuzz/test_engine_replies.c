/* test_engine_replies.c - replies to a poll with random faults: of other types, cut off, swapped,
 * or with any bytes in them. Sanitizers see what the answers don't show. TEST_SEED repeats a run.
 */
#include "../unit/engine_model.h"
#include "engine_replies.h"

#include <engine/engine_groups.h>
#include <engine/engine_poll.h>
#include <engine/engine_reader.h>

#define ROUNDS 1500
#define CASES  20 /* of faults, in each round */

static struct engine_query queries[] = {
    {.kind = PRESENCE_SITE, .site = "a.example"},
    {.kind = PRESENCE_ROOM, .site = "a.example", .name = "/", .window_s = 60},
    {.kind = PRESENCE_SOURCE, .site = "b.example", .name = "c.example", .window_s = 77},
};
static struct engine_list lists[] = {
    {.limit = 1},
    {.site = "a.example", .kind = PRESENCE_ROOM},
    {.site = "b.example", .kind = PRESENCE_COUNTRY, .window_s = 300},
};

/* Let the engine in memory reply to the commands that engine_replies_check expects. */
static redisReply **ask(const struct model *model, size_t *ret_count)
{
    struct engine_poll poll = {queries, LENGTH(queries), lists, LENGTH(lists), true};
    struct engine_request request = {0};
    struct engine_state known = {0};
    redisReply **replies;

    model_write(model);
    engine_request_add(&request, "HGETALL", ENGINE_KEY_GROUPS, NULL);
    __wrap_engine_link_call(NULL, &request, 0, &replies);
    assert_int_equal(engine_groups_parse(replies[0], &known), 0);
    engine_replies_free(replies, 1);
    engine_request_clear(&request);
    engine_poll_ask(&request, &known, PRESENCE_DEFAULT_WINDOW, &poll);
    __wrap_engine_link_call(NULL, &request, 0, &replies);
    *ret_count = request.commands;
    engine_state_free(&known);
    engine_request_free(&request);
    return replies;
}

static void replace(redisReply *reply, int type, long long integer)
{
    if (reply->type == REDIS_REPLY_ARRAY) {
        for (size_t i = 0; i < reply->elements; i++)
            freeReplyObject(reply->element[i]);
        free(reply->element);
    }
    free(reply->str);
    *reply = (redisReply){.type = type, .integer = integer};
    if (type == REDIS_REPLY_STRING || type == REDIS_REPLY_ERROR || type == REDIS_REPLY_STATUS)
        reply->str = calloc(1, 1);
}

static void damage_string(redisReply *reply, uint64_t *random)
{
    if (reply->len == 0)
        return;
    size_t at = random_next(random) % (size_t)reply->len;
    switch (random_next(random) % 4) {
    case 0: /* cut it off, and let a sanitizer see who reads further */
        reply->str = realloc(reply->str, at + 1);
        reply->str[at] = '\0';
        reply->len = at;
        break;
    case 1:
        reply->str[at] = (char)random_next(random);
        break;
    case 2:
        reply->str[at] = '\0';
        break;
    default:
        reply->str[at] = "0918 \n-\xff"[random_next(random) % 8];
        break;
    }
}

/* Change one reply, or something within it. */
static void damage(redisReply *reply, uint64_t *random)
{
    static const int types[] = {REDIS_REPLY_NIL,   REDIS_REPLY_INTEGER, REDIS_REPLY_ERROR,
                                REDIS_REPLY_ARRAY, REDIS_REPLY_STRING,  REDIS_REPLY_STATUS};

    if (random_next(random) % 6 == 0)
        replace(reply, types[random_next(random) % LENGTH(types)], (long long)random_next(random));
    else if (reply->type == REDIS_REPLY_STRING)
        damage_string(reply, random);
    else if (reply->type == REDIS_REPLY_INTEGER)
        reply->integer = (long long)(random_next(random) >> random_next(random) % 64);
    else if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0) {
        size_t a = random_next(random) % reply->elements;
        size_t b = random_next(random) % reply->elements;
        redisReply *element = reply->element[a];
        if (random_next(random) % 4) {
            damage(element, random);
        } else if (random_next(random) % 2) {
            reply->element[a] = reply->element[b];
            reply->element[b] = element;
        } else {
            freeReplyObject(reply->element[--reply->elements]);
        }
    }
}

static void damaged_replies(void **state)
{
    static const unsigned faults[] = {0, 1, 10};
    static struct model model;
    uint64_t random = random_seed("damaged_replies");

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        size_t count;
        model_draw(&model, faults[i % LENGTH(faults)], &random);
        redisReply **replies = ask(&model, &count);
        for (unsigned j = 0; j < CASES; j++) {
            const char *wrong = engine_replies_check(replies, count);
            if (wrong)
                fail_msg("the answer has %s", wrong);
            for (unsigned k = 0; k < 1 + j / 4; k++)
                damage(replies[random_next(&random) % count], &random);
        }
        engine_replies_free(replies, count);
    }
    fake_clear();
    assert_true(engine_replies_answered() > ROUNDS * CASES / 4);
}

static void random_bytes(void **state)
{
    static const char *const words[] = {"*2\r\n", "$1\r\n", "a\r\n", "$-1\r\n", ":5\r\n", "1",
                                        "\0",     "60",     " ",     "\n",      "*0\r\n", "-E\r\n"};
    uint64_t random = random_seed("random_bytes");

    (void)state;
    for (unsigned i = 0; i < 50000; i++) {
        uint8_t bytes[256];
        size_t length = 0;
        while (length < 200 && random_next(&random) % 40) {
            const char *word = words[random_next(&random) % LENGTH(words)];
            size_t size = *word ? strlen(word) : 1;
            memcpy(bytes + length, word, size);
            length += size;
        }
        if (random_next(&random) % 2 && length > 0)
            bytes[random_next(&random) % length] = (uint8_t)random_next(&random);
        assert_null(engine_bytes_check(bytes, length));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_replies),
        cmocka_unit_test(random_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_engine_parser.c - replies of an engine that means well, and of one that doesn't. */
#include "../support/unit.h"

#include <errno.h>

#include "engine/engine_parser.h"

#define RANDOM_ROUNDS 20000

static const char replies[] = "+OK\r\n-ERR no\r\n:-12\r\n$5\r\na\r\nbc\r\n$-1\r\n*-1\r\n*0\r\n"
                              "*3\r\n:1\r\n*2\r\n+a\r\n$0\r\n\r\n$1\r\nx\r\n";
#define REPLIES_LENGTH (sizeof(replies) - 1)
#define REPLIES        8

/* Take all complete replies, check that they are the first of those above, and count them. */
static unsigned take(struct engine_parser *parser, unsigned taken)
{
    static const int types[REPLIES] = {REDIS_REPLY_STATUS, REDIS_REPLY_ERROR, REDIS_REPLY_INTEGER,
                                       REDIS_REPLY_STRING, REDIS_REPLY_NIL,   REDIS_REPLY_NIL,
                                       REDIS_REPLY_ARRAY,  REDIS_REPLY_ARRAY};

    for (;;) {
        redisReply *reply = NULL;
        assert_int_equal(engine_parser_next(parser, &reply), 0);
        if (!reply)
            return taken;
        assert_true(taken < REPLIES);
        assert_int_equal(reply->type, types[taken]);
        if (taken == 2)
            assert_int_equal(reply->integer, -12);
        if (taken == 3)
            assert_memory_equal(reply->str, "a\r\nbc", 6);
        if (taken == 7)
            assert_string_equal(reply->element[1]->element[0]->str, "a");
        taken++;
        freeReplyObject(reply);
    }
}

static void cut_anywhere(void **state)
{
    (void)state;
    for (size_t first = 0; first <= REPLIES_LENGTH; first++) {
        struct engine_parser parser;
        assert_int_equal(engine_parser_open(&parser), 0);
        engine_parser_begin(&parser);
        assert_int_equal(engine_parser_feed(&parser, replies, first), 0);
        unsigned taken = take(&parser, 0);
        assert_true(first < REPLIES_LENGTH ? taken < REPLIES : taken == REPLIES);
        assert_int_equal(engine_parser_feed(&parser, replies + first, REPLIES_LENGTH - first), 0);
        assert_int_equal(take(&parser, taken), REPLIES);
        assert_true(engine_parser_is_empty(&parser));
        engine_parser_close(&parser);
    }
}

static void byte_by_byte(void **state)
{
    struct engine_parser parser;
    unsigned taken = 0;

    (void)state;
    assert_int_equal(engine_parser_open(&parser), 0);
    engine_parser_begin(&parser);
    for (size_t i = 0; i < REPLIES_LENGTH; i++) {
        assert_int_equal(engine_parser_feed(&parser, &replies[i], 1), 0);
        taken = take(&parser, taken);
    }
    assert_int_equal(taken, REPLIES);
    engine_parser_close(&parser);
}

/* Feed a text of its own and take what there is. Returns the first error. */
static int judge(const char *bytes, size_t length)
{
    struct engine_parser parser;
    redisReply *reply = NULL;
    int r = engine_parser_open(&parser);

    assert_int_equal(r, 0);
    engine_parser_begin(&parser);
    r = engine_parser_feed(&parser, bytes, length);
    do {
        reply = NULL;
        if (r == 0)
            r = engine_parser_next(&parser, &reply);
        if (reply)
            freeReplyObject(reply);
    } while (r == 0 && reply);
    engine_parser_close(&parser);
    return r;
}

static void what_is_none(void **state)
{
    static const struct {
        const char *text;
        int error;
    } cases[] = {
        {"HTTP/1.1 400 Bad Request\r\n", -EPROTO},
        {"%1\r\n", -EPROTO}, /* of RESP3, which we don't ask for */
        {"_\r\n", -EPROTO},
        {"\r\n", -EPROTO},
        {"+a\n", -EPROTO},
        {"+a\rb\r\n", -EPROTO},
        {":\r\n", -EPROTO},
        {":-\r\n", -EPROTO},
        {":1x\r\n", -EPROTO},
        {":1234567890123456789\r\n", -EPROTO},
        {":000000000000000000000000000001\r\n", -EPROTO},
        {"$\r\n", -EPROTO},
        {"$-2\r\n", -EPROTO},
        {"$+1\r\na\r\n", -EPROTO},
        {"$x\r\n", -EPROTO},
        {"$99999999999\r\n", -EMSGSIZE},
        {"$18446744073709551617\r\na\r\n", -EMSGSIZE},
        {"$4294967297\r\na\r\n", -EMSGSIZE},
        {"$268435457\r\n", -EMSGSIZE},
        {"$1000000000000000000000000000000000\r\n", -EPROTO},
        {"*\r\n", -EPROTO},
        {"*-2\r\n", -EPROTO},
        {"*8388609\r\n", -EMSGSIZE},
        {"*4294967296\r\n", -EMSGSIZE},
        {"*2147483647\r\n", -EMSGSIZE},
        {"*8388600\r\n*9\r\n", -EMSGSIZE},                                   /* all together */
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", -EPROTO}, /* too deep */
        {"*2\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"
         "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*2\r\n$1\r\na\r\n*-1\r\n*0\r\n",
         0},
    };

    (void)state;
    for (unsigned i = 0; i < LENGTH(cases); i++) {
        int r = judge(cases[i].text, strlen(cases[i].text));
        if (r != cases[i].error)
            fail_msg("%s: %d", cases[i].text, r);
    }
    assert_int_equal(judge("\0\r\n", 3), -EPROTO);
    assert_int_equal(judge("+a\0b\r\n", 6), 0);
}

static void lines_end_some_time(void **state)
{
    char *line = malloc(2 * ENGINE_LINE_MAX);

    (void)state;
    memset(line, 'x', 2 * ENGINE_LINE_MAX);
    line[0] = '-';
    assert_int_equal(judge(line, 2 * ENGINE_LINE_MAX), -EMSGSIZE);
    assert_int_equal(judge(line, ENGINE_LINE_MAX), 0);
    free(line);
}

/* What a call may have is not what a connection may. */
static void a_new_call_may_have_as_much(void **state)
{
    const char *half = "*5000000\r\n";
    struct engine_parser parser;

    (void)state;
    assert_int_equal(engine_parser_open(&parser), 0);
    engine_parser_begin(&parser);
    assert_int_equal(engine_parser_feed(&parser, "*1\r\n:1\r\n", 8), 0);
    assert_true(parser.elements == ENGINE_REPLIES_ELEMENTS - 1);
    assert_true(parser.bytes == ENGINE_REPLIES_BYTES - 8);
    engine_parser_begin(&parser);
    assert_int_equal(engine_parser_feed(&parser, half, strlen(half)), 0);
    assert_int_equal(engine_parser_feed(&parser, half, strlen(half)), -EMSGSIZE);
    engine_parser_close(&parser);
}

static void what_comes_unasked_is_seen(void **state)
{
    struct engine_parser parser;
    redisReply *reply = NULL;

    (void)state;
    assert_int_equal(engine_parser_open(&parser), 0);
    engine_parser_begin(&parser);
    assert_int_equal(engine_parser_feed(&parser, "+a\r\n+", 5), 0);
    assert_int_equal(engine_parser_next(&parser, &reply), 0);
    assert_non_null(reply);
    freeReplyObject(reply);
    assert_false(engine_parser_is_empty(&parser));
    engine_parser_close(&parser);
}

/* Nothing but its error happens, whatever comes. */
static void damaged_bytes(void **state)
{
    static const char alphabet[] = "+-:$*\r\n0123456789ax";
    uint64_t random = random_seed("damaged_bytes");
    unsigned errors = 0;

    (void)state;
    for (unsigned round = 0; round < RANDOM_ROUNDS; round++) {
        char bytes[REPLIES_LENGTH];
        memcpy(bytes, replies, sizeof(bytes));
        for (unsigned i = random_next(&random) % 4; i < 4; i++)
            bytes[random_next(&random) % sizeof(bytes)] =
                alphabet[random_next(&random) % (sizeof(alphabet) - 1)];
        int r = judge(bytes, sizeof(bytes));
        assert_true(r == 0 || r == -EPROTO || r == -EMSGSIZE);
        errors += r != 0;
    }
    assert_true(errors > RANDOM_ROUNDS / 10 && errors < RANDOM_ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(what_is_none),
        cmocka_unit_test(lines_end_some_time),
        cmocka_unit_test(a_new_call_may_have_as_much),
        cmocka_unit_test(what_comes_unasked_is_seen),
        cmocka_unit_test(damaged_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

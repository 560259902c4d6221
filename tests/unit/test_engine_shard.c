/* test_engine_shard.c - engine_shard.h: the state of a shard, whatever is written there. */
#include "../support/unit.h"

#include <engine/engine_shard.h>
#include <errno.h>

#define STREAM "00000000000000ff 2 3 40 50 -6 7 8 -9\n"

static const char *const good[SHARD_FIELD_COUNT] = {
    [SHARD_FIELD_VERSION] = "1",
    [SHARD_FIELD_EPOCH] = "0123456789abcdef",
    [SHARD_FIELD_SHARDS] = "3",
    [SHARD_FIELD_WINDOWS] = "60 300",
    [SHARD_FIELD_STALE] = "0",
    [SHARD_FIELD_UNKNOWN] = "1",
    [SHARD_FIELD_WARMING] = "0",
    [SHARD_FIELD_AS_OF] = "1767225600",
    [SHARD_FIELD_SEGMENT] = "0000000000000007",
    [SHARD_FIELD_HOST] = "machine.example",
    [SHARD_FIELD_STREAMS] = STREAM,
    [SHARD_FIELD_STREAMS_FULL] = "1",
};

/* Parse the good state with one field changed. */
static int parse_with(enum engine_shard_field field, struct engine_text value,
                      struct engine_shard *ret)
{
    struct engine_text values[SHARD_FIELD_COUNT];

    for (size_t i = 0; i < SHARD_FIELD_COUNT; i++)
        values[i] = (struct engine_text){good[i], strlen(good[i])};
    values[field] = value;
    return engine_shard_parse(values, ret);
}

/* Parse it with a text that ends where its memory does. */
static int parse_text(enum engine_shard_field field, const char *text)
{
    struct engine_shard shard = {0};
    size_t length = strlen(text);
    char *copy = malloc(length + 1);

    memcpy(copy, text, length);
    int r = parse_with(field, (struct engine_text){copy, length}, &shard);
    free(copy);
    engine_shard_free(&shard);
    return r;
}

static void a_state_is_parsed(void **state)
{
    struct engine_shard shard;
    struct engine_text values[SHARD_FIELD_COUNT];

    (void)state;
    for (size_t i = 0; i < SHARD_FIELD_COUNT; i++)
        values[i] = (struct engine_text){good[i], strlen(good[i])};
    assert_int_equal(engine_shard_parse(values, &shard), 0);
    assert_int_equal(shard.version, 1);
    assert_string_equal(shard.epoch, "0123456789abcdef");
    assert_int_equal(shard.shards, 3);
    assert_int_equal(shard.window_count, 2);
    assert_int_equal(shard.windows[0], 60);
    assert_int_equal(shard.windows[1], 300);
    assert_false(shard.stale);
    assert_true(shard.unknown);
    assert_false(shard.warming);
    assert_true(shard.streams_full);
    assert_int_equal(shard.as_of, 1767225600);
    assert_string_equal(shard.segment, "0000000000000007");
    assert_string_equal(shard.host, "machine.example");
    assert_int_equal(shard.stream_count, 1);
    const struct engine_stream *stream = &shard.streams[0];
    assert_int_equal(stream->id, 255);
    assert_int_equal(stream->target, 2);
    assert_int_equal(stream->age_s, 3);
    assert_int_equal(stream->heartbeats, 40);
    assert_int_equal(stream->expected, 50);
    assert_int_equal(stream->lost, -6);
    assert_int_equal(stream->heartbeats_before, 7);
    assert_int_equal(stream->expected_before, 8);
    assert_int_equal(stream->lost_before, -9);
    engine_shard_free(&shard);
    assert_null(shard.streams);
}

static void absent_fields(void **state)
{
    struct engine_text none[SHARD_FIELD_COUNT] = {{0}};
    struct engine_shard shard = {.version = 77}, before = shard;

    (void)state;
    assert_int_equal(engine_shard_parse(none, &shard), -ENODATA);
    for (unsigned i = 0; i < SHARD_FIELD_COUNT; i++)
        assert_int_equal(parse_with(i, (struct engine_text){0}, &shard), -EBADMSG);
    assert_memory_equal(&shard, &before, sizeof(shard)); /* left alone */
}

static void wrong_fields(void **state)
{
    static const struct {
        enum engine_shard_field field;
        const char *text;
        int expected;
    } cases[] = {
        {SHARD_FIELD_VERSION, "2", -EPROTO},
        {SHARD_FIELD_VERSION, "4294967295", -EPROTO},
        {SHARD_FIELD_VERSION, "4294967296", -EBADMSG},
        {SHARD_FIELD_VERSION, "92233720368547758081", -EBADMSG}, /* 1 in 64 bits */
        {SHARD_FIELD_VERSION, "", -EBADMSG},
        {SHARD_FIELD_VERSION, "01", -EBADMSG},
        {SHARD_FIELD_VERSION, "+1", -EBADMSG},
        {SHARD_FIELD_VERSION, " 1", -EBADMSG},
        {SHARD_FIELD_VERSION, "1.0", -EBADMSG},
        {SHARD_FIELD_EPOCH, "", -EBADMSG},
        {SHARD_FIELD_EPOCH, "0123456789abcde", -EBADMSG},
        {SHARD_FIELD_EPOCH, "0123456789abcdef0", -EBADMSG},
        {SHARD_FIELD_EPOCH, "0123456789abcdeg", -EBADMSG},
        {SHARD_FIELD_EPOCH, "0123456789ABCDEF", -EBADMSG},
        {SHARD_FIELD_SHARDS, "0", -EBADMSG},
        {SHARD_FIELD_SHARDS, "64", 0},
        {SHARD_FIELD_SHARDS, "65", -EBADMSG},
        {SHARD_FIELD_SHARDS, "-1", -EBADMSG},
        {SHARD_FIELD_WINDOWS, "", -EBADMSG},
        {SHARD_FIELD_WINDOWS, "3600", 0},
        {SHARD_FIELD_WINDOWS, "3601", -EBADMSG},
        {SHARD_FIELD_WINDOWS, "0", -EBADMSG},
        {SHARD_FIELD_WINDOWS, "60 60", -EBADMSG},
        {SHARD_FIELD_WINDOWS, "300 60", -EBADMSG},
        {SHARD_FIELD_WINDOWS, "60  300", -EBADMSG},
        {SHARD_FIELD_WINDOWS, "60 ", -EBADMSG},
        {SHARD_FIELD_WINDOWS, " 60", -EBADMSG},
        {SHARD_FIELD_WINDOWS, "1 2 3 4 5 6 7 8", 0},
        {SHARD_FIELD_WINDOWS, "1 2 3 4 5 6 7 8 9", -EBADMSG},
        {SHARD_FIELD_STALE, "1", 0},
        {SHARD_FIELD_STALE, "2", -EBADMSG},
        {SHARD_FIELD_STALE, "", -EBADMSG},
        {SHARD_FIELD_STALE, "true", -EBADMSG},
        {SHARD_FIELD_UNKNOWN, "11", -EBADMSG},
        {SHARD_FIELD_WARMING, "no", -EBADMSG},
        {SHARD_FIELD_STREAMS_FULL, "00", -EBADMSG},
        {SHARD_FIELD_AS_OF, "253402300799", 0},
        {SHARD_FIELD_AS_OF, "253402300800", -EBADMSG},
        {SHARD_FIELD_AS_OF, "18446744073709551616", -EBADMSG},
        {SHARD_FIELD_AS_OF, "-5", -EBADMSG},
        {SHARD_FIELD_AS_OF, "soon", -EBADMSG},
        {SHARD_FIELD_SEGMENT, "", 0},
        {SHARD_FIELD_SEGMENT, "a\tb", -EBADMSG},
        {SHARD_FIELD_HOST, "", 0},
        {SHARD_FIELD_HOST, "\xc3\xa9", 0},
        {SHARD_FIELD_HOST, "\xc3", -EBADMSG},
        {SHARD_FIELD_HOST, "\033[31m", -EBADMSG},
        {SHARD_FIELD_STREAMS, "", 0},
        {SHARD_FIELD_STREAMS, STREAM STREAM, 0},
        {SHARD_FIELD_STREAMS, "\n", -EBADMSG},
        {SHARD_FIELD_STREAMS, STREAM "\n", -EBADMSG},
        {SHARD_FIELD_STREAMS, "00000000000000ff 2 3 40 50 6 7 8 9", -EBADMSG},
        {SHARD_FIELD_STREAMS, "00000000000000ff 2 3 40 50 6 7 8\n", -EBADMSG},
        {SHARD_FIELD_STREAMS, "00000000000000ff 2 3 40 50 6 7 8 9 \n", -EBADMSG},
        {SHARD_FIELD_STREAMS, "00000000000000ff 2 3 40 50 6 7 8 9 10\n", -EBADMSG},
        {SHARD_FIELD_STREAMS, "00000000000000ff  2 3 40 50 6 7 8 9\n", -EBADMSG},
        {SHARD_FIELD_STREAMS, "ff 2 3 40 50 6 7 8 9\n", -EBADMSG},
        {SHARD_FIELD_STREAMS, "00000000000000ff 65535 3 40 50 6 7 8 9\n", 0},
        {SHARD_FIELD_STREAMS, "00000000000000ff 65536 3 40 50 6 7 8 9\n", -EBADMSG},
        {SHARD_FIELD_STREAMS, "00000000000000ff 2 -3 40 50 6 7 8 9\n", -EBADMSG},
        {SHARD_FIELD_STREAMS, "00000000000000ff 2 3 40 50 --6 7 8 9\n", -EBADMSG},
        {SHARD_FIELD_STREAMS, "00000000000000ff 2 3 40 50 - 7 8 9\n", -EBADMSG},
        {SHARD_FIELD_STREAMS, "00000000000000ff 2 3 40 50 9223372036854775808 7 8 9\n", -EBADMSG},
        {SHARD_FIELD_STREAMS, "00000000000000ff 2 18446744073709551615 4 5 6 7 8 9\n", 0},
        {SHARD_FIELD_STREAMS, "00000000000000ff 2 18446744073709551616 4 5 6 7 8 9\n", -EBADMSG},
        {SHARD_FIELD_STREAMS, "00000000000000ff\t2 3 40 50 6 7 8 9\n", -EBADMSG},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        int r = parse_text(cases[i].field, cases[i].text);
        if (r != cases[i].expected)
            print_error("%s = %s\n", engine_shard_fields[cases[i].field], cases[i].text);
        assert_int_equal(r, cases[i].expected);
    }
}

/* Each text at its longest, and one byte longer; and a zero in the middle. */
static void long_fields(void **state)
{
    static const struct {
        enum engine_shard_field field;
        size_t longest;
    } cases[] = {
        {SHARD_FIELD_SEGMENT, ENGINE_SEGMENT_SIZE - 1},
        {SHARD_FIELD_HOST, ENGINE_HOST_SIZE - 1},
    };
    char text[256];
    struct engine_shard shard;

    (void)state;
    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct engine_text value = {text, cases[i].longest};
        assert_int_equal(parse_with(cases[i].field, value, &shard), 0);
        engine_shard_free(&shard);
        value.length++;
        assert_int_equal(parse_with(cases[i].field, value, &shard), -EBADMSG);
        assert_int_equal(parse_with(cases[i].field, (struct engine_text){"a\0b", 3}, &shard),
                         -EBADMSG);
    }
    for (unsigned i = 0; i < SHARD_FIELD_COUNT; i++) {
        memset(text, '1', sizeof(text));
        assert_int_equal(parse_with(i, (struct engine_text){text, sizeof(text)}, &shard), -EBADMSG);
    }
}

static void too_many_streams(void **state)
{
    struct engine_stream *streams = calloc(ENGINE_STREAMS_MAX + 1, sizeof(*streams));
    struct engine_shard shard;
    size_t length;
    char *text;

    (void)state;
    for (size_t i = 0; i <= ENGINE_STREAMS_MAX; i++)
        streams[i].id = i;
    assert_int_equal(engine_shard_format_streams(streams, ENGINE_STREAMS_MAX, &text, &length), 0);
    assert_int_equal(parse_with(SHARD_FIELD_STREAMS, (struct engine_text){text, length}, &shard),
                     0);
    assert_int_equal(shard.stream_count, ENGINE_STREAMS_MAX);
    engine_shard_free(&shard);
    free(text);
    assert_int_equal(engine_shard_format_streams(streams, ENGINE_STREAMS_MAX + 1, &text, &length),
                     0);
    assert_int_equal(parse_with(SHARD_FIELD_STREAMS, (struct engine_text){text, length}, &shard),
                     -EBADMSG);
    free(text);
    free(streams);
}

static int compare_streams(const void *left, const void *right)
{
    const struct engine_stream *a = left, *b = right;

    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return (int)a->target - (int)b->target;
}

static void assert_same(const struct engine_stream *a, const struct engine_stream *b)
{
    assert_true(a->id == b->id && a->target == b->target && a->age_s == b->age_s &&
                a->heartbeats == b->heartbeats && a->expected == b->expected &&
                a->lost == b->lost && a->heartbeats_before == b->heartbeats_before &&
                a->expected_before == b->expected_before && a->lost_before == b->lost_before);
}

/* Draw a number of any size. */
static uint64_t any_number(uint64_t *random)
{
    return random_next(random) >> random_next(random) % 64;
}

static void streams_survive_formatting(void **state)
{
    uint64_t random = random_seed("streams_survive_formatting");

    (void)state;
    for (int round = 0; round < 200; round++) {
        struct engine_stream streams[20];
        struct engine_shard shard;
        size_t count = random_next(&random) % (LENGTH(streams) + 1), length;
        char *text;
        memset(streams, 0, sizeof(streams));
        for (size_t i = 0; i < count; i++) {
            streams[i].id = random_next(&random) % 2 ? any_number(&random) : i / 2;
            streams[i].target = (uint16_t)(100 * i + random_next(&random) % 100);
            streams[i].age_s = any_number(&random);
            streams[i].heartbeats = any_number(&random);
            streams[i].expected = any_number(&random);
            streams[i].lost = -(int64_t)(any_number(&random) >> 1);
            streams[i].heartbeats_before = any_number(&random);
            streams[i].expected_before = any_number(&random);
            streams[i].lost_before = (int64_t)(any_number(&random) >> 1);
        }
        assert_int_equal(engine_shard_format_streams(streams, count, &text, &length), 0);
        assert_int_equal(
            parse_with(SHARD_FIELD_STREAMS, (struct engine_text){text, length}, &shard), 0);
        qsort(streams, count, sizeof(*streams), compare_streams);
        assert_int_equal(shard.stream_count, count);
        for (size_t i = 0; i < count; i++)
            assert_same(&shard.streams[i], &streams[i]);
        engine_shard_free(&shard);
        free(text);
    }
}

/* Random bytes, and a good value with random faults: never a crash, and what is accepted is within
 * its bounds. Sanitizers see the rest. */
static void random_bytes(void **state)
{
    uint64_t random = random_seed("random_bytes");
    unsigned accepted = 0;

    (void)state;
    for (int round = 0; round < 100000; round++) {
        unsigned field = (unsigned)(random_next(&random) % SHARD_FIELD_COUNT);
        char bytes[80];
        size_t length = strlen(good[field]), faults = random_next(&random) % 4;
        memcpy(bytes, good[field], length);
        if (random_next(&random) % 4 == 0)
            length = random_next(&random) % sizeof(bytes);
        for (size_t i = 0; i < faults && length > 0; i++)
            bytes[random_next(&random) % length] = (char)random_next(&random);
        char *copy = malloc(length + 1);
        memcpy(copy, bytes, length);
        struct engine_shard shard;
        int r = parse_with(field, (struct engine_text){copy, length}, &shard);
        free(copy);
        assert_true(r == 0 || r == -EBADMSG || r == -EPROTO);
        if (r < 0)
            continue;
        accepted++;
        assert_in_range(shard.shards, 1, ENGINE_SHARDS_MAX);
        assert_in_range(shard.window_count, 1, ENGINE_WINDOWS_MAX);
        assert_in_range(shard.as_of, 0, ENGINE_TIME_MAX);
        assert_int_equal(strlen(shard.epoch), ENGINE_EPOCH_SIZE - 1);
        engine_shard_free(&shard);
    }
    assert_true(accepted > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_is_parsed), cmocka_unit_test(absent_fields),
        cmocka_unit_test(wrong_fields),      cmocka_unit_test(long_fields),
        cmocka_unit_test(too_many_streams),  cmocka_unit_test(streams_survive_formatting),
        cmocka_unit_test(random_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_stream_record.c - stream_record.h through streams.h: which sequence numbers are new, late or
 * duplicates, what is expected and lost, and where a stream came from. */
#include "stream_fixture.h"

#include <time.h>

static const struct origin edge = {.id = 0x0102030405060708};

/* Check the figures of the only stream, and that the counters have the same. */
static void expect_figures(struct fixture *fixture, uint64_t received, uint64_t expected,
                           uint64_t duplicates)
{
    const struct stream *stream = stream_of(fixture, edge);

    assert_non_null(stream);
    assert_int_equal(stream->received, received);
    assert_int_equal(stream_expected(stream), expected);
    assert_int_equal(stream->duplicates, duplicates);
    assert_int_equal(fixture->counted[COUNTER_streams_received], received);
    assert_int_equal(fixture->counted[COUNTER_streams_expected], expected);
    expect_sound_streams(fixture);
}

static void each_sequence_counts_once(void **state)
{
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, 4);
    for (uint32_t sequence = 1; sequence <= 3000; sequence++)
        assert_true(receive(&fixture, edge, sequence));
    expect_figures(&fixture, 3000, 3000, 0);
    for (uint32_t sequence = 1; sequence <= 3000; sequence++)
        assert_false(receive(&fixture, edge, sequence));
    expect_figures(&fixture, 3000, 3000, 3000);
    close_streams(&fixture);
}

static void the_missing_ones_are_lost_until_they_come(void **state)
{
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, 4);
    for (uint32_t sequence = 1; sequence <= 2000; sequence += 10)
        assert_true(receive(&fixture, edge, sequence));
    expect_figures(&fixture, 200, 1991, 0);
    assert_true(receive(&fixture, edge, 1990));
    assert_true(receive(&fixture, edge, 1992));
    expect_figures(&fixture, 202, 1992, 0);
    assert_false(receive(&fixture, edge, 1990));
    assert_false(receive(&fixture, edge, 1991));
    expect_figures(&fixture, 202, 1992, 2);
    close_streams(&fixture);
}

/* 1023 behind the highest can still be told, 1024 not. */
static void the_window_has_1024_sequences(void **state)
{
    static const uint32_t highest[] = {1, 63, 64, 65, 1023, 1024, 5000, 0, UINT32_MAX, 500};
    struct fixture fixture;

    (void)state;
    for (unsigned i = 0; i < LENGTH(highest); i++) {
        open_streams(&fixture, 4);
        assert_true(receive(&fixture, edge, highest[i]));
        assert_false(receive(&fixture, edge, highest[i] - 1024));
        assert_true(receive(&fixture, edge, highest[i] - 1023));
        assert_false(receive(&fixture, edge, highest[i] - 1023));
        expect_figures(&fixture, 2, 1024, 2);
        assert_true(receive(&fixture, edge, highest[i] + 1));
        assert_false(receive(&fixture, edge, highest[i] - 1023));
        assert_true(receive(&fixture, edge, highest[i] - 1022));
        expect_figures(&fixture, 4, 1025, 3);
        close_streams(&fixture);
    }
}

static void sequences_go_on_past_their_end(void **state)
{
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, 4);
    for (uint32_t sequence = UINT32_MAX - 1500; sequence != 1500; sequence++)
        if (sequence % 2)
            assert_true(receive(&fixture, edge, sequence));
    expect_figures(&fixture, 1501, 3001, 0);
    assert_false(receive(&fixture, edge, 474)); /* 1025 behind */
    assert_true(receive(&fixture, edge, 476));
    expect_figures(&fixture, 1502, 3001, 1);
    close_streams(&fixture);
}

/* A jump forgets what the window no longer holds, and only that. */
static void jumps_forget_what_is_too_old(void **state)
{
    static const uint32_t jumps[] = {1, 2, 63, 64, 65, 127, 1000, 1023, 1024, 1025, 2048, 100000};
    struct fixture fixture;

    (void)state;
    for (unsigned i = 0; i < LENGTH(jumps); i++) {
        open_streams(&fixture, 4);
        for (uint32_t sequence = 1; sequence <= 1500; sequence++)
            assert_true(receive(&fixture, edge, sequence));
        uint32_t highest = 1500 + jumps[i];
        assert_true(receive(&fixture, edge, highest));
        for (uint32_t sequence = highest - 1023; sequence < highest; sequence++)
            assert_int_equal(receive(&fixture, edge, sequence), sequence > 1500);
        uint32_t gap = jumps[i] - 1 < 1023 ? jumps[i] - 1 : 1023;
        expect_figures(&fixture, 1501 + gap, highest, 1023 - gap);
        close_streams(&fixture);
    }
}

/* Half the numbers are ahead, half behind; the farthest ahead is 2^31 - 1. */
static void the_farther_half_is_behind(void **state)
{
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, 4);
    assert_true(receive(&fixture, edge, 7));
    assert_false(receive(&fixture, edge, 7 + (UINT32_C(1) << 31)));
    assert_true(receive(&fixture, edge, 6 + (UINT32_C(1) << 31)));
    expect_figures(&fixture, 2, UINT64_C(1) << 31, 1);
    close_streams(&fixture);
}

/* It takes no longer than the window is large: forged numbers would stop a worker. To go through
 * all that is skipped takes a tenth of a second or more. */
static void jumps_cost_nothing(void **state)
{
    struct fixture fixture;
    uint32_t sequence = 7;
    clock_t begin = clock();

    (void)state;
    open_streams(&fixture, 4);
    for (unsigned i = 0; i < 50; i++, sequence += INT32_MAX)
        assert_true(receive(&fixture, edge, sequence));
    assert_true(clock() - begin < CLOCKS_PER_SEC);
    close_streams(&fixture);
}

/* A sender who lies about numbers begins anew before they overflow. */
static void numbers_never_overflow(void **state)
{
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, 4);
    assert_true(receive(&fixture, edge, 7));
    struct stream *stream = stream_of(&fixture, edge);
    stream->highest += (UINT64_C(1) << 62) - (UINT64_C(1) << 32);
    expect_sound_streams(&fixture);
    fixture.now += 5;
    assert_true(receive(&fixture, edge, 6 + (UINT32_C(1) << 31)));
    assert_int_equal(stream->received, 2);
    assert_true(receive(&fixture, edge, 5));
    assert_int_equal(stream->received, 3);
    assert_true(receive(&fixture, edge, 4 + (UINT32_C(1) << 31)));
    assert_int_equal(stream->received, 1);
    assert_int_equal(stream_expected(stream), 1);
    assert_int_equal(stream->first_tick, START);
    assert_int_equal(stream->last_tick, START + 5);
    assert_false(receive(&fixture, edge, 4 + (UINT32_C(1) << 31)));
    assert_true(receive(&fixture, edge, 3 + (UINT32_C(1) << 31)));
    expect_sound_streams(&fixture);
    close_streams(&fixture);
}

static void versions_begin_again(void **state)
{
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, 4);
    assert_true(receive(&fixture, edge, 1));
    stream_of(&fixture, edge)->version = STREAM_VERSION_MAX;
    assert_true(receive(&fixture, edge, 2));
    assert_int_equal(stream_of(&fixture, edge)->version, 2);
    expect_figures(&fixture, 2, 2, 0);
    close_streams(&fixture);
}

static void a_stream_keeps_its_times_and_visitors(void **state)
{
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, 4);
    assert_true(receive_from(&fixture, edge, 1, 3, NULL));
    fixture.now += 10;
    assert_true(receive_from(&fixture, edge, 2, 4, NULL));
    fixture.now -= 1; /* another worker's batch */
    assert_true(receive_from(&fixture, edge, 3, 5, NULL));
    fixture.now += 5;
    assert_false(receive_from(&fixture, edge, 3, 5, NULL));
    const struct stream *stream = stream_of(&fixture, edge);
    assert_int_equal(stream->heartbeats, 12);
    assert_int_equal(stream->first_tick, START);
    assert_int_equal(stream->last_tick, START + 10); /* a duplicate is no sign of life */
    close_streams(&fixture);
}

static void expect_sender(const struct stream *stream, int family, const char *address,
                          uint16_t port)
{
    char text[INET6_ADDRSTRLEN];

    assert_int_equal(stream->family, family == AF_INET ? 4 : 6);
    assert_int_equal(stream->port, port);
    assert_non_null(inet_ntop(family, stream->address, text, sizeof(text)));
    assert_string_equal(text, address);
}

static void a_stream_keeps_its_last_sender(void **state)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(1234)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(4321)};
    struct fixture fixture;

    (void)state;
    open_streams(&fixture, 4);
    assert_true(receive_from(&fixture, edge, 1, 0, NULL));
    struct stream *stream = stream_of(&fixture, edge);
    assert_int_equal(stream->family, 0);
    inet_pton(AF_INET6, "2001:db8::7", &v6.sin6_addr);
    assert_true(receive_from(&fixture, edge, 2, 0, &v6));
    expect_sender(stream, AF_INET6, "2001:db8::7", 4321);
    inet_pton(AF_INET, "192.0.2.5", &v4.sin_addr);
    assert_true(receive_from(&fixture, edge, 3, 0, &v4));
    expect_sender(stream, AF_INET, "192.0.2.5", 1234);
    inet_pton(AF_INET6, "::ffff:192.0.2.6", &v6.sin6_addr);
    assert_true(receive_from(&fixture, edge, 4, 0, &v6));
    expect_sender(stream, AF_INET, "192.0.2.6", 4321);
    v4.sin_port = htons(99);
    assert_false(receive_from(&fixture, edge, 4, 0, &v4)); /* a replay says nothing about it */
    assert_true(receive_from(&fixture, edge, 5, 0, NULL));
    expect_sender(stream, AF_INET, "192.0.2.6", 4321);
    close_streams(&fixture);
}

/* ---- against a record of all sequences ------------------------------------------------------ */

#define SPAN 20000

/* Lost, doubled and reordered datagrams in a row, from `first` on, against which were received. */
static void play(uint64_t random, uint32_t first)
{
    static bool received[SPAN];
    struct fixture fixture;
    uint32_t lowest = SPAN, highest = 0;
    uint64_t count = 0, duplicates = 0;

    open_streams(&fixture, 4);
    memset(received, 0, sizeof(received));
    for (uint32_t next = 3000; next < SPAN;) {
        uint64_t draw = random_next(&random);
        uint32_t back = draw % 4 ? 0 : (uint32_t)((draw >> 8) % 1500);
        uint32_t at = next - (back < 3000 ? back : 0);
        if (draw >> 32 & 7)
            next += (draw >> 40) % 200 ? 1 : (uint32_t)((draw >> 48) % 1200);
        bool is_new =
            count == 0 || at > highest || (highest - at < STREAM_SEEN_MAX && !received[at]);
        assert_int_equal(receive(&fixture, edge, first + at), is_new);
        if (!is_new) {
            duplicates++;
            continue;
        }
        received[at] = true;
        count++;
        lowest = at < lowest ? at : lowest;
        highest = at > highest ? at : highest;
        if (draw >> 60 == 0)
            reopen_streams(&fixture);
    }
    expect_figures(&fixture, count, highest - lowest + 1, duplicates);
    close_streams(&fixture);
}

static void random_orders_agree_with_a_record(void **state)
{
    uint64_t random = random_seed("stream_record");

    (void)state;
    for (unsigned i = 0; i < 40; i++)
        play(random_next(&random), (uint32_t)random_next(&random));
    play(random, UINT32_MAX - 9999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sequence_counts_once),
        cmocka_unit_test(the_missing_ones_are_lost_until_they_come),
        cmocka_unit_test(the_window_has_1024_sequences),
        cmocka_unit_test(sequences_go_on_past_their_end),
        cmocka_unit_test(jumps_forget_what_is_too_old),
        cmocka_unit_test(the_farther_half_is_behind),
        cmocka_unit_test(jumps_cost_nothing),
        cmocka_unit_test(numbers_never_overflow),
        cmocka_unit_test(versions_begin_again),
        cmocka_unit_test(a_stream_keeps_its_times_and_visitors),
        cmocka_unit_test(a_stream_keeps_its_last_sender),
        cmocka_unit_test(random_orders_agree_with_a_record),
    };
    return cmocka_run_group_tests_name("stream_record", tests, NULL, NULL);
}

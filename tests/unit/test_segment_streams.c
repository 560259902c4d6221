/* test_segment_streams.c - streams in segment_judge.h and segment_move.h: what no daemon can have
 * left is replaced, what a killed one left is attached, and other settings keep the latest heard.
 */
#include "move_fixture.h"

#define STREAMS 5

/* Five streams, of which number n was last heard at START + 10 n; each misses half of its
 * datagrams. */
static void fill(struct fixture *fixture)
{
    fixture->clock = START;
    start_ingest(fixture);
    batch(fixture, {"a.example", .visitor = 1});
    for (uint64_t number = 1; number <= STREAMS; number++) {
        fixture->clock = START + 10 * number;
        collector_advance(&fixture->collector);
        for (uint32_t sequence = 1; sequence < 20; sequence += 2)
            assert_true(take_sequence(fixture, number, sequence));
    }
}

static void leave(struct fixture *fixture)
{
    fill(fixture);
    ingest_close(fixture->ingests[0]);
    kill_collector(fixture);
}

/* Check that exactly the streams from `first` on are known, with all that they have seen. */
static void expect_streams(struct fixture *fixture, uint64_t first)
{
    const struct streams *streams = &segment_of(fixture)->streams;
    bool found[STREAMS + 1] = {false};

    for (uint32_t i = 0; i < streams->capacity; i++) {
        const struct stream *stream = &streams->slots[i];
        if (stream->id == 0)
            continue;
        assert_in_range(stream->id, first, STREAMS);
        assert_false(found[stream->id]);
        found[stream->id] = true;
        assert_int_equal(stream->received, 10);
        assert_int_equal(stream_expected(stream), 19);
        assert_int_equal(stream->last_tick, START + 10 * stream->id);
    }
    for (uint64_t number = first; number <= STREAMS; number++) {
        assert_true(found[number]);
        assert_false(take_sequence(fixture, number, 1));
        assert_false(take_sequence(fixture, number, 19));
        assert_true(take_sequence(fixture, number, 2));
        assert_true(take_sequence(fixture, number, 20));
    }
}

static void restart(struct fixture *fixture, uint32_t max_streams)
{
    stop_ingest(fixture);
    fixture->settings.max_streams = max_streams;
    start_ingest(fixture);
}

static void other_settings_keep_the_latest_heard(void **state)
{
    static const struct {
        uint32_t max_streams;
        const char *account;
    } changes[] = {
        {8, NULL},
        {100, "replaced for --max-streams 100 (was 8): everything moved"},
        {5, "--max-streams 5 (was 8): everything moved"},
        {4, "--max-streams 4 (was 8): everything moved; no room for 1 stream"},
        {2, "--max-streams 2 (was 8): everything moved; no room for 3 streams"},
        {0, "--max-streams 0 (was 8): everything moved; no room for 5 streams"},
    };
    struct fixture *fixture = *state;

    for (unsigned i = 0; i < LENGTH(changes); i++) {
        uint32_t max_streams = changes[i].max_streams;
        fixture->settings = base;
        fill(fixture);
        restart(fixture, max_streams);
        if (changes[i].account)
            expect_account(fixture, changes[i].account);
        else
            assert_int_equal(fixture->collector.file.origin, SEGMENT_ATTACHED);
        expect_streams(fixture, max_streams < STREAMS ? STREAMS - max_streams + 1 : 1);
        expect_site(fixture, "a.example", 1);
        stop_ingest(fixture);
        assert_int_equal(unlink(fixture->scratch.path), 0);
    }
}

/* Even where all counts start anew. */
static void streams_move_without_the_table(void **state)
{
    struct fixture *fixture = *state;

    fill(fixture);
    fixture->settings.max_entries *= 4;
    restart(fixture, 8);
    expect_account(fixture, "streams and counters moved, counts start anew");
    expect_streams(fixture, 1);
    stop_ingest(fixture);
}

/* A stream that a killed daemon was writing moves as well; a slot that it was giving to another
 * stream is free. */
static void interrupted_streams_move(void **state)
{
    struct fixture *fixture = *state;

    leave(fixture);
    struct segment left = map_left(fixture);
    assert_int_equal(left.streams.slots[0].id, 1);
    memset(&left.streams.slots[0], 0x55, sizeof(struct stream));
    left.streams.slots[0].version = 7;
    left.streams.slots[0].id = 0;
    left.streams.slots[3].version |= 1;
    munmap(left.header, left.size);
    fixture->settings.max_streams = 4;
    start_ingest(fixture);
    expect_account(fixture, "--max-streams 4 (was 8): everything moved");
    expect_streams(fixture, 2);
    stop_ingest(fixture);
}

#define STREAM (left.streams.slots[2])
#define FUTURE (left.header->tick + 1000000)

/* Each damage, and the fault that the account names. */
#define DAMAGES(X)                                                               \
    X("stream 2: version out of range", STREAM.version = UINT64_MAX - 1)         \
    X("stream 2: a stream that was never written", STREAM.version = 0)           \
    X("stream 7: a stream that was never written", left.streams.slots[7].id = 3) \
    X("stream 2: invalid address", STREAM.family = 5)                            \
    X("stream 2: impossible time", STREAM.last_tick = FUTURE)                    \
    X("stream 2: impossible time", STREAM.last_tick = UINT64_MAX)                \
    X("stream 2: impossible time", STREAM.first_tick = FUTURE)                   \
    X("stream 2: impossible sequence numbers", STREAM.lowest = UINT64_MAX)       \
    X("stream 2: impossible sequence numbers", STREAM.highest = 0)               \
    X("stream 2: impossible sequence numbers", STREAM.received = 20)             \
    X("stream 2: counter out of range", STREAM.duplicates = UINT64_MAX)          \
    X("stream 2: counter out of range", STREAM.heartbeats = UINT64_MAX)

/* Each state that a killed daemon, or a hostile sender, can leave. */
#define LEFTOVERS(X)                                                             \
    X(NULL, STREAM.version |= 1)                                                 \
    X(NULL, (STREAM.version |= 1, STREAM.received--))                            \
    X(NULL, (STREAM.version |= 1, STREAM.highest += UINT32_MAX / 2))             \
    X(NULL, (STREAM.version |= 1, STREAM.id = 0, STREAM.last_tick = UINT64_MAX)) \
    X(NULL, memset(STREAM.seen, 0xff, sizeof(STREAM.seen)))                      \
    X(NULL, STREAM.highest = UINT64_MAX)                                         \
    X(NULL, left.counters[0].values[COUNTER_streams_expected] = UINT64_MAX / 2)  \
    X(NULL, left.counters[1].values[COUNTER_streams_expected] = UINT64_MAX / 2 + 99)

static const char *const faults[] = {
#define X(text, action) text,
    DAMAGES(X) LEFTOVERS(X)
#undef X
};

/* Make the change with this number. */
static void change(struct segment left, unsigned number)
{
    unsigned at = 0;

#define X(text, action)   \
    if (at++ == number) { \
        (void)(action);   \
        return;           \
    }
    DAMAGES(X) LEFTOVERS(X)
#undef X
}

static void streams_are_judged(void **state)
{
    struct fixture *fixture = *state;

    for (unsigned i = 0; i < LENGTH(faults); i++) {
        const struct segment_file *file = &fixture->collector.file;
        leave(fixture);
        struct segment left = map_left(fixture);
        change(left, i);
        start_ingest(fixture);
        bool is_right = faults[i]
                            ? file->origin == SEGMENT_RENEWED && strstr(file->account, faults[i])
                            : file->origin == SEGMENT_ATTACHED;
        if (!is_right)
            fail_msg("change %u: origin %d, %s", i, (int)file->origin, file->account);
        munmap(left.header, left.size);
        for (uint64_t stream = 1; stream <= 3 * base.max_streams; stream++)
            take_sequence(fixture, stream, 77);
        restart(fixture, base.max_streams);
        assert_int_equal(fixture->collector.file.origin, SEGMENT_ATTACHED);
        stop_ingest(fixture);
        assert_int_equal(unlink(fixture->scratch.path), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(other_settings_keep_the_latest_heard),
        TEST(streams_move_without_the_table),
        TEST(interrupted_streams_move),
        TEST(streams_are_judged),
    };
    return cmocka_run_group_tests_name("segment_streams", tests, NULL, NULL);
}

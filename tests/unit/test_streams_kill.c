/* test_streams_kill.c - streams.h killed at every store: a child receives a datagram one
 * instruction at a time; whenever it has changed the segment, another daemon goes on with a copy.
 */
#include "stream_fixture.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define CAPACITY 2
#define SKIPPED  77
#define HIGHEST  5000

static const struct origin edge = {1, 0, 0}, other = {2, 3, 4}, newcomer = {5, 6, 7};

/* An operation: a datagram of `origin`, and whether it is new. */
static const struct operation {
    const struct origin *origin;
    uint32_t sequence;
    bool is_new;
    uint64_t later; /* seconds after the others */
} operations[] = {
    {&edge, HIGHEST + 1, true, 0},
    {&edge, HIGHEST + 1, true, 1},
    {&edge, HIGHEST + 40, true, 0},
    {&edge, HIGHEST + 1000, true, 0},
    {&edge, HIGHEST + 100000, true, 0},
    {&edge, HIGHEST - 7, true, 0},
    {&edge, HIGHEST - 8, false, 0},
    {&other, 1, true, 0},
    {&other, 9, true, 2},
    {&newcomer, 77, true, STREAM_SILENCE + 1},
};

/* Two streams: one that misses every seventh of its datagrams, one that began at sequence 3. */
static void fill(struct fixture *fixture)
{
    static const struct sockaddr_in sender = {.sin_family = AF_INET, .sin_port = 1};

    open_streams(fixture, CAPACITY);
    for (uint32_t sequence = 3; sequence < 9; sequence++)
        assert_true(receive_from(fixture, other, sequence, 2, &sender));
    fixture->now += 2;
    for (uint32_t sequence = 1; sequence <= HIGHEST; sequence++)
        if ((HIGHEST - sequence) % 7 || sequence == HIGHEST)
            assert_true(receive_from(fixture, edge, sequence, 1, NULL));
}

static bool was_received(uint32_t sequence)
{
    return sequence <= HIGHEST && ((HIGHEST - sequence) % 7 || sequence == HIGHEST);
}

/* Check what a reader sees of both slots: nothing, or what was there before or after. */
static void check_reader(const struct fixture *copy, const struct stream before[CAPACITY],
                         const struct operation *operation)
{
    for (unsigned i = 0; i < CAPACITY; i++) {
        struct stream seen;
        if (!stream_load(&copy->segment.streams.slots[i], &seen))
            continue;
        bool is_same = seen.id == before[i].id;
        assert_true(is_same || seen.id == operation->origin->id);
        assert_true(seen.received <= stream_expected(&seen));
        if (is_same)
            assert_in_range(seen.received, before[i].received, before[i].received + 1);
        else
            assert_int_equal(seen.received, 1);
    }
}

/* Check that the next daemon counts nothing again, and the interrupted datagram at most once more.
 */
static void check_next_daemon(struct fixture *copy, const struct operation *operation)
{
    assert_int_equal(streams_open(&copy->segment, &copy->table), 0);
    const struct stream *stream = stream_of(copy, edge);
    if (stream) {
        uint64_t received = stream->received;
        uint32_t highest = (uint32_t)stream->highest;
        for (uint32_t sequence = HIGHEST - 1100; sequence <= HIGHEST; sequence++)
            if (was_received(sequence))
                assert_false(receive(copy, edge, sequence));
        assert_int_equal(stream->received, received);
        assert_true(highest == HIGHEST || highest == operation->sequence);
    }
    stream = stream_of(copy, other);
    for (uint32_t sequence = 3; stream && sequence < 9; sequence++)
        assert_false(receive(copy, other, sequence));
    bool again = receive(copy, *operation->origin, operation->sequence);
    assert_true(operation->is_new || !again);
    assert_false(receive(copy, *operation->origin, operation->sequence));
    assert_non_null(stream_of(copy, *operation->origin));
    expect_sound_streams(copy);
    streams_close(copy->table);
}

static pid_t start_child(struct fixture *fixture, const struct operation *operation)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(SKIPPED);
        raise(SIGSTOP);
        receive_from(fixture, *operation->origin, operation->sequence, 1, NULL);
        _exit(0);
    }
    return child;
}

static void kill_everywhere(const struct operation *operation)
{
    struct fixture fixture, copy;
    struct stream before[CAPACITY], last[CAPACITY];
    unsigned states = 0;
    int status;

    fill(&fixture);
    fixture.now += operation->later;
    fixture.segment.header->tick = fixture.now;
    open_streams(&copy, CAPACITY);
    streams_close(copy.table);
    memcpy(before, fixture.segment.streams.slots, sizeof(before));
    memcpy(last, before, sizeof(last));
    pid_t child = start_child(&fixture, operation);
    bool traced = false;
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        if (!traced)
            ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL);
        traced = true;
        if (memcmp(last, fixture.segment.streams.slots, sizeof(last)) != 0) {
            memcpy(last, fixture.segment.streams.slots, sizeof(last));
            memcpy(copy.segment.header, fixture.segment.header, copy.segment.size);
            copy.now = fixture.now;
            expect_sound_streams(&copy);
            check_reader(&copy, before, operation);
            check_next_daemon(&copy, operation);
            states++;
        }
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    }
    memory_segment_close(&copy.segment);
    close_streams(&fixture);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
        print_message("skipped: tracing is not permitted here\n");
        skip();
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    print_message("%u states\n", states);
    assert_true(states >= 3);
}

static void receiving_can_be_killed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LENGTH(operations); i++)
        kill_everywhere(&operations[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receiving_can_be_killed),
    };
    return cmocka_run_group_tests_name("streams_kill", tests, NULL, NULL);
}

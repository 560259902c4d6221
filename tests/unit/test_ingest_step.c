/* test_ingest_step.c - ingest.h as readers see it: a child ends a batch one instruction at a time,
 * and after each of them no visitor and no datagram is missing. */
#include "ingest_fixture.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define SKIPPED  77
#define VISITORS 8 /* who are there before, each since another second */

/* Begin a batch in which all visitors come again, one is new, and two datagrams are rejected. */
static void take_all(struct fixture *fixture)
{
    struct ingest *ingest = fixture->ingests[0];

    ingest_begin(ingest);
    for (uint32_t i = 0; i < VISITORS; i++)
        take_beat(ingest, (struct beat){"a", .room = "/", .visitor = i});
    take_beat(ingest, (struct beat){"a", .visitor = VISITORS});
    take_text(ingest, "no heartbeat");
    take_text(ingest, "PH1 site=a visitor=null");
}

static pid_t start_child(struct fixture *fixture)
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(SKIPPED);
        take_all(fixture);
        raise(SIGSTOP);
        ingest_end(fixture->ingests[0]);
        _exit(0);
    }
    return child;
}

/* Check that what is received is accepted or rejected, or will be: a reader may see the second
 * first. */
static void check_counters(struct fixture *fixture)
{
    uint64_t received = counter(fixture, COUNTER_datagrams_received);
    uint64_t judged = counter(fixture, COUNTER_datagrams_accepted) +
                      counter(fixture, COUNTER_datagrams_rejected_malformed) +
                      counter(fixture, COUNTER_datagrams_rejected_visitor);

    if (received > judged)
        fail_msg("%llu datagrams received, of which %llu are accounted for",
                 (unsigned long long)received, (unsigned long long)judged);
}

static void readers_miss_nothing_during_a_batch(void **state)
{
    struct fixture *fixture = *state;
    bool traced = false;
    int status;

    start_ingest(fixture);
    for (uint32_t i = 0; i < VISITORS; i++) {
        batch(fixture, {"a", .room = "/", .visitor = i});
        fixture->clock++;
    }
    collector_advance(&fixture->collector);
    const struct ring *rings = segment_of(fixture)->directory.rings;
    const struct ring *site = &rings[find_scope(fixture, "a", SCOPE_SITE, NULL)];
    const struct ring *room = &rings[find_scope(fixture, "a", SCOPE_ROOM, "/")];
    pid_t child = start_child(fixture);
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        if (!traced)
            ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL);
        traced = true;
        check_counters(fixture);
        assert_in_range(ring_count(site, fixture->clock, 300), VISITORS, 2 * VISITORS + 1);
        assert_in_range(ring_count(site, fixture->clock, 3600), VISITORS, 2 * VISITORS + 1);
        assert_in_range(ring_count(room, fixture->clock, 300), VISITORS, 2 * VISITORS);
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
        print_message("skipped: tracing is not permitted here\n");
        skip();
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect_site(fixture, "a", VISITORS + 1);
    expect_counter(fixture, datagrams_received, 2 * VISITORS + 3);
    stop_ingest(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(readers_miss_nothing_during_a_batch),
    };
    return cmocka_run_group_tests_name("ingest_step", tests, NULL, NULL);
}

/* test_reader_moment.c - reader_moment.c on clocks that the test sets: coarse ones lag behind, the
 * wall clock is set, the machine sleeps. */
#include "../support/unit.h"

#include <time.h>

#include "common/monotonic.h"
#include "reader.h"

#define HOUR (3600 * NS_PER_S)

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

/* All in ns. */
static struct {
    bool is_set;
    int64_t boot, wall_ahead, asleep; /* the wall clock's and what CLOCK_MONOTONIC slept */
    int64_t lag;                      /* of the coarse clocks: the time since the timer tick */
    int64_t tick_in;  /* after so many reads of a coarse clock there is a timer tick, if positive */
    int64_t sleep_in; /* after so many reads of any clock the machine sleeps, if positive */
    unsigned precise_reads;
} machine;

static void sleep_for(int64_t ns)
{
    machine.boot += ns;
    machine.asleep += ns;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    bool is_coarse = clock == CLOCK_REALTIME_COARSE || clock == CLOCK_MONOTONIC_COARSE;
    bool is_wall = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;

    if (!machine.is_set)
        return __real_clock_gettime(clock, ret);
    int64_t now = machine.boot - (is_coarse ? machine.lag : 0) + (is_wall ? machine.wall_ahead : 0);
    if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE)
        now -= machine.asleep;
    machine.precise_reads += !is_coarse;
    if (is_coarse && --machine.tick_in == 0)
        machine.lag = 0;
    if (--machine.sleep_in == 0)
        sleep_for(50 * NS_PER_S);
    *ret = (struct timespec){now / NS_PER_S, now % NS_PER_S};
    return 0;
}

struct fixture {
    struct segment_header header;
    struct presence presence;
};

static int open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    fixture->header.state = SEGMENT_LISTENING;
    fixture->presence.segment.header = &fixture->header;
    fixture->presence.clocks = READER_CLOCKS_UNKNOWN;
    memset(&machine, 0, sizeof(machine));
    machine.is_set = true;
    machine.boot = 1000 * NS_PER_S + 300 * NS_PER_MS;
    machine.wall_ahead = 500000 * HOUR + 900 * NS_PER_MS;
    machine.asleep = 77 * NS_PER_S + 123456789;
    machine.lag = 3 * NS_PER_MS;
    *state = fixture;
    return 0;
}

static int close_fixture(void **state)
{
    machine.is_set = false;
    free(*state);
    return 0;
}

/* What a reader says is of the published tick, by the wall clock of now. */
static void expect_as_of(struct fixture *fixture, uint64_t tick, uint64_t age)
{
    fixture->header.tick = tick;
    struct reader_moment moment = reader_glance(&fixture->presence);
    int64_t began = (int64_t)tick + machine.wall_ahead / NS_PER_S;
    if (reader_as_of(&moment) != began)
        fail_msg("as of %lld, not %lld", (long long)reader_as_of(&moment), (long long)began);
    assert_int_equal(reader_tick_age(&moment), age);
    assert_true(reader_is_stale(&moment) == (age > SEGMENT_STALE_AGE));
}

static void coarse_clocks_are_enough(void **state)
{
    struct fixture *fixture = *state;

    expect_as_of(fixture, 1000, 0);
    assert_true(machine.precise_reads > 0);
    machine.precise_reads = 0;
    for (uint64_t second = 1000; second < 1100; second++) {
        expect_as_of(fixture, second, 0);
        expect_as_of(fixture, second - 2, 2);
        expect_as_of(fixture, second - 20, 20);
        machine.boot += NS_PER_S;
    }
    assert_int_equal(machine.precise_reads, 0);
}

/* The collector's clock is in a new second, a coarse one not yet. */
static void seconds_begin_before_the_timer_tick(void **state)
{
    struct fixture *fixture = *state;

    expect_as_of(fixture, 1000, 0);
    machine.boot = 1001 * NS_PER_S + 1 * NS_PER_MS;
    expect_as_of(fixture, 1001, 0);
    machine.boot += 5 * NS_PER_MS;
    expect_as_of(fixture, 1001, 0);
    /* A tick further ahead is none of a collector's. */
    fixture->header.tick = 1003;
    struct reader_moment moment = reader_glance(&fixture->presence);
    assert_int_equal(reader_as_of(&moment), 1001 + machine.wall_ahead / NS_PER_S);
}

static void clocks_that_are_set_are_noticed_at_once(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t steps[] = {HOUR, -HOUR, 1, -1, NS_PER_S, -500 * NS_PER_MS};

    for (size_t i = 0; i < LENGTH(steps); i++) {
        expect_as_of(fixture, 1000, 0);
        machine.wall_ahead += steps[i];
        expect_as_of(fixture, 1000, 0);
        machine.precise_reads = 0;
        expect_as_of(fixture, 1000, 0);
        assert_int_equal(machine.precise_reads, 0);
    }
}

/* CLOCK_BOOTTIME goes on, and so does the wall clock. */
static void sleep_makes_a_tick_old(void **state)
{
    struct fixture *fixture = *state;

    expect_as_of(fixture, 1000, 0);
    sleep_for(50 * NS_PER_S);
    expect_as_of(fixture, 1000, 50);
    expect_as_of(fixture, 1050, 0);
}

/* Whichever reads it comes between: what is known of the clocks then is found out anew. */
static void sleep_comes_while_clocks_are_compared(void **state)
{
    struct fixture *fixture = *state;

    for (int64_t reads = 1; reads < 12; reads++) {
        uint64_t slept = (uint64_t)reads * 50;
        fixture->presence.clocks = READER_CLOCKS_UNKNOWN;
        machine.sleep_in = reads;
        while (machine.sleep_in > 0)
            reader_glance(&fixture->presence);
        expect_as_of(fixture, 1000, slept);
        expect_as_of(fixture, 1000 + slept, 0);
    }
}

/* The timer tick comes between any two reads of coarse clocks, known or not. */
static void timer_ticks_come_in_between(void **state)
{
    struct fixture *fixture = *state;

    /* Of two instants the clocks' seconds would be in another order. */
    machine.wall_ahead = 500000 * HOUR + NS_PER_S - 2 * NS_PER_MS;
    for (int64_t reads = 0; reads < 8 * 8; reads++) {
        fixture->presence.clocks = READER_CLOCKS_UNKNOWN;
        for (int i = 0; i < 4; i++) {
            machine.lag = 4 * NS_PER_MS;
            machine.tick_in = i % 2 ? reads % 8 : reads / 8;
            expect_as_of(fixture, 1000, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(coarse_clocks_are_enough, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(seconds_begin_before_the_timer_tick, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(clocks_that_are_set_are_noticed_at_once, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(sleep_makes_a_tick_old, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(sleep_comes_while_clocks_are_compared, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(timer_ticks_come_in_between, open_fixture, close_fixture),
    };
    return cmocka_run_group_tests_name("reader_moment", tests, NULL, NULL);
}

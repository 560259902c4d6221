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
    int64_t boot, wall_ahead,
        asleep;       /* what the wall clock is ahead, and what CLOCK_MONOTONIC slept */
    int64_t lag;      /* of the coarse clocks: the time since the timer tick */
    int64_t tick_in;  /* a timer tick after that many reads of a coarse clock, if positive */
    int64_t sleep_in; /* the machine sleeps after that many reads of any clock, if positive */
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

/* Check that a reading is of the published tick, by the wall clock of now. */
static void expect_as_of(struct fixture *fixture, uint64_t tick, uint64_t age)
{
    fixture->header.tick = tick;
    struct reader_moment moment = reader_load_moment(&fixture->presence);
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
    /* No collector publishes a tick further ahead. */
    fixture->header.tick = 1003;
    struct reader_moment moment = reader_load_moment(&fixture->presence);
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

/* Whichever reads it comes between, the clocks are compared again. */
static void sleep_comes_while_clocks_are_compared(void **state)
{
    struct fixture *fixture = *state;

    for (int64_t reads = 1; reads < 12; reads++) {
        uint64_t slept = (uint64_t)reads * 50;
        fixture->presence.clocks = READER_CLOCKS_UNKNOWN;
        machine.sleep_in = reads;
        while (machine.sleep_in > 0)
            reader_load_moment(&fixture->presence);
        expect_as_of(fixture, 1000, slept);
        expect_as_of(fixture, 1000 + slept, 0);
    }
}

/* The timer tick comes between any two reads of coarse clocks, known or not. */
static void timer_ticks_come_in_between(void **state)
{
    struct fixture *fixture = *state;

    /* At two instants the clocks' seconds would be in another order. */
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

/* Reader and collector are in time namespaces, whose clocks are ahead of the machine's or behind.
 */
static void offsets_of_time_namespaces_are_taken_out(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t offsets[] = {0, 1, -1, 70, -900, 90000, 400 * INT64_C(86400)};
    static const long parts[] = {0, 1, 250000000, 999999999}; /* of a second, ns */

    for (size_t i = 0; i < LENGTH(offsets) * LENGTH(offsets) * LENGTH(parts); i++) {
        int64_t collector = offsets[i % LENGTH(offsets)];
        struct timespec own = {offsets[i / LENGTH(offsets) % LENGTH(offsets)],
                               parts[i / LENGTH(offsets) / LENGTH(offsets)]};
        machine.boot = (1000 + own.tv_sec) * NS_PER_S + 300 * NS_PER_MS + own.tv_nsec;
        machine.wall_ahead = -own.tv_sec * NS_PER_S - own.tv_nsec + 500000 * HOUR;
        fixture->presence.clocks = READER_CLOCKS_UNKNOWN;
        fixture->presence.offset = own;
        fixture->header.clock_offset = collector;
        fixture->header.tick = (uint64_t)(998 + collector);
        struct reader_moment moment = reader_load_moment(&fixture->presence);
        assert_int_equal(reader_tick_age(&moment), 2);
        assert_false(reader_is_stale(&moment));
        assert_int_equal(reader_as_of(&moment), 998 + 500000 * 3600);
        fixture->header.tick -= 2;
        moment = reader_load_moment(&fixture->presence);
        assert_true(reader_is_stale(&moment));
        fixture->header.tick += 8;
        moment = reader_load_moment(&fixture->presence);
        assert_true(reader_is_stale(&moment)); /* from the future */
        assert_int_equal(reader_tick_age(&moment), 0);
    }
}

/* Offsets that no kernel allows are ignored, and nothing overflows. */
static void impossible_offsets_are_ignored(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t offsets[] = {INT64_MAX, INT64_MIN, INT64_C(1) << 34, -(INT64_C(1) << 34)};

    for (size_t i = 0; i < LENGTH(offsets); i++) {
        fixture->header.clock_offset = offsets[i];
        expect_as_of(fixture, 1000, 0);
        expect_as_of(fixture, 990, 10);
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
        cmocka_unit_test_setup_teardown(offsets_of_time_namespaces_are_taken_out, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(impossible_offsets_are_ignored, open_fixture,
                                        close_fixture),
    };
    return cmocka_run_group_tests_name("reader_moment", tests, NULL, NULL);
}

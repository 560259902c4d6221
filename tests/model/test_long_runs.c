/* test_long_runs.c - what a collector meets only after days or years, or when it is killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/wire.h"
#include "fixture.h"

#define HALF_OF_TICKS (UINT64_C(1) << 19) /* at this age a word would be taken for a fresh one */
#define VISITORS      2000

static struct fixture fixture;

static int clean_up(void **state)
{
    (void)state;
    fixture_remove(&fixture);
    return 0;
}

static void create(uint64_t tick, uint64_t max_entries)
{
    struct segment_settings settings = {
        .max_entries = max_entries,
        .max_scopes = 100,
        .max_window = 3600,
        .warm_up = 90,
    };

    fixture_create(&fixture, &settings, tick);
    fixture_start(&fixture, 1);
}

static void keep_after(uint64_t seconds)
{
    fixture_set_clock(&fixture, fixture_clock(&fixture) + seconds);
    collector_maintain(&fixture.collector);
}

/* Visitors who were here a week ago come back: all of them are counted, as new ones. */
static void expect_all_to_come_again(void)
{
    uint64_t entered = fixture_counter(&fixture, COUNTER_heartbeats_new);

    fixture_send(&fixture, 0, WIRE_HEARTBEAT, "a", NULL, 0, VISITORS);
    assert_int_equal(fixture_count(&fixture, "a", 300), VISITORS);
    assert_int_equal(fixture_counter(&fixture, COUNTER_heartbeats_new), entered + VISITORS);
}

/* A machine that sleeps for most of every hour: no gap is as long as a word lives. */
static void short_gaps_add_up(void **state)
{
    (void)state;
    create(1000, 100000);
    fixture_send(&fixture, 0, WIRE_HEARTBEAT, "a", NULL, 0, VISITORS);
    for (uint64_t passed = 0; passed < HALF_OF_TICKS; passed += 3000)
        keep_after(3000);
    expect_all_to_come_again();
}

/* A collector that is restarted four times a day. */
static void restarts_add_up(void **state)
{
    (void)state;
    create(1000, 700000);
    fixture_send(&fixture, 0, WIRE_HEARTBEAT, "a", NULL, 0, VISITORS);
    for (uint64_t passed = 0; passed < HALF_OF_TICKS; passed++) {
        if (passed % (6 * 3600) == 0) {
            fixture_stop(&fixture);
            fixture_start(&fixture, 1);
        }
        keep_after(1);
    }
    expect_all_to_come_again();
}

/* A collector that runs on. */
static void a_week_without_restart(void **state)
{
    (void)state;
    create(1000, 700000);
    fixture_send(&fixture, 0, WIRE_HEARTBEAT, "a", NULL, 0, VISITORS);
    for (uint64_t passed = 0; passed < HALF_OF_TICKS; passed++)
        keep_after(1);
    expect_all_to_come_again();
}

/* A bucket's tag has 32 bits, and a scope may be created at any of them. */
static void scopes_begin_at_any_tick(void **state)
{
    const uint64_t ticks[] = {
        0,
        1,
        (UINT64_C(1) << 31) - 2,
        UINT64_C(1) << 31,
        UINT64_C(3) << 30,
        (UINT64_C(1) << 32) - 2,
        UINT64_C(1) << 32,
        (UINT64_C(1) << 36) + (UINT64_C(1) << 31) + 1,
        (UINT64_C(60) << 31) + 7,
        (UINT64_C(60) << 32) - 2,
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(ticks) / sizeof(ticks[0]); i++) {
        create(ticks[i], 10000);
        for (int tick = 0; tick < 4; tick++) {
            fixture_send(&fixture, 0, WIRE_HEARTBEAT, "a", NULL, 0, 10);
            for (unsigned window = 1; window <= 3600; window += 59) {
                int64_t counted = fixture_count(&fixture, "a", window);
                if (counted != 10)
                    fail_msg("tick %llu + %d, window %u: counted %lld, not 10",
                             (unsigned long long)ticks[i], tick, window, (long long)counted);
            }
            keep_after(1);
        }
        fixture_stop(&fixture);
        fixture_remove(&fixture);
    }
}

/* Idle scopes are freed within a minute or so, labels before their sites. */
static void idle_scopes_are_given_up(void **state)
{
    char room[16];

    (void)state;
    create(1000, 10000);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(room, sizeof(room), "/%u", i);
        fixture_send(&fixture, 0, WIRE_HEARTBEAT, i % 2 ? "a" : "b", room, 0, 3);
    }
    keep_after(3600);
    for (int i = 0; i < 200; i++)
        collector_maintain(&fixture.collector);
    assert_int_equal(fixture_counter(&fixture, COUNTER_scopes_retired), 0);
    keep_after(1);
    for (int i = 0; i < 200; i++)
        collector_maintain(&fixture.collector);
    assert_int_equal(fixture_counter(&fixture, COUNTER_scopes_created), 22);
    assert_int_equal(fixture_counter(&fixture, COUNTER_scopes_retired), 22);
}

/* Words have moved, their buckets not yet: until that tick is out of the window a count may be off
 * by as many as were in flight, and then it is right again. */
static void a_kill_amid_a_batch_heals(void **state)
{
    uint8_t datagram[8192];
    const int in_flight = 300, visitors = 1000;

    (void)state;
    create(100000, 10000);
    fixture_send(&fixture, 0, WIRE_HEARTBEAT, "a", NULL, 0, (unsigned)visitors);
    keep_after(30);
    ingest_begin(fixture.ingests[0]);
    uint32_t length = fixture_encode(datagram, sizeof(datagram), WIRE_HEARTBEAT, "a", NULL, 0, 300);
    ingest_datagram(fixture.ingests[0], datagram, length);
    pthread_mutex_unlock(&fixture.collector.gates[0].mutex); /* released with the process */
    fixture_kill(&fixture);
    uint64_t killed = fixture_clock(&fixture);
    fixture_start(&fixture, 1);
    for (unsigned passed = 0; passed < 4000; passed += 20) {
        keep_after(20);
        fixture_send(&fixture, 0, WIRE_HEARTBEAT, "a", NULL, 0, (unsigned)visitors);
        for (unsigned window = 1; window <= 3600; window += 77) {
            int64_t off = fixture_count(&fixture, "a", window) - visitors;
            bool is_healed = fixture_clock(&fixture) >= killed + window + 60;
            if (off > in_flight || off < -in_flight || (is_healed && off))
                fail_msg("%u s after the kill, window %u: off by %lld", passed, window,
                         (long long)off);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(short_gaps_add_up, clean_up),
        cmocka_unit_test_teardown(restarts_add_up, clean_up),
        cmocka_unit_test_teardown(a_week_without_restart, clean_up),
        cmocka_unit_test_teardown(scopes_begin_at_any_tick, clean_up),
        cmocka_unit_test_teardown(idle_scopes_are_given_up, clean_up),
        cmocka_unit_test_teardown(a_kill_amid_a_batch_heals, clean_up),
    };

    return cmocka_run_group_tests_name("long_runs", tests, NULL, NULL);
}

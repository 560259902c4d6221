/* test_traffic.c - traffic.h: totals reach the scopes once, whole, and on demand. */
#include "../support/memory_segment.h"

#include <pthread.h>
#include <sched.h>

#include "traffic.h"

#define SCOPES (4 * TRAFFIC_SLOTS)

static struct segment segment;
static struct traffic traffic;

static int open_traffic(void **state)
{
    (void)state;
    segment = memory_segment_open(16, SCOPES, 300);
    memset(&traffic, 0, sizeof(traffic));
    traffic.directory = &segment.directory;
    return 0;
}

static int close_traffic(void **state)
{
    (void)state;
    memory_segment_close(&segment);
    return 0;
}

static void add(uint32_t scope, uint64_t heartbeats, uint64_t pageviews, uint64_t entries,
                uint64_t leaves)
{
    struct traffic_slot *slot = traffic_of(&traffic, scope);

    slot->heartbeats += heartbeats;
    slot->pageviews += pageviews;
    slot->entries += entries;
    slot->leaves += leaves;
}

static void expect(uint32_t scope, uint64_t heartbeats, uint64_t pageviews, uint64_t entries,
                   uint64_t leaves)
{
    const struct activity *activity = &segment.directory.activities[scope];

    assert_int_equal(activity->heartbeats, heartbeats);
    assert_int_equal(activity->pageviews, pageviews);
    assert_int_equal(activity->entries, entries);
    assert_int_equal(activity->leaves, leaves);
}

static void totals_are_published_once(void **state)
{
    (void)state;
    add(5, 1, 2, 3, 4);
    add(0, 10, 0, 0, 0);
    add(5, 100, 0, 0, 7);
    expect(5, 0, 0, 0, 0); /* not published until then */
    traffic_publish(&traffic);
    expect(5, 101, 2, 3, 11);
    expect(0, 10, 0, 0, 0);
    traffic_publish(&traffic);
    expect(5, 101, 2, 3, 11);
    add(5, 1, 1, 1, 1);
    traffic_publish(&traffic);
    expect(5, 102, 3, 4, 12);
    assert_int_equal(segment.directory.activities[1].heartbeats, 0);
}

/* A slot starts empty after another scope. */
static void scopes_that_meet_take_turns(void **state)
{
    (void)state;
    add(3, 1, 2, 3, 4);
    add(3 + TRAFFIC_SLOTS, 10, 20, 30, 40);
    expect(3, 1, 2, 3, 4); /* published at once */
    expect(3 + TRAFFIC_SLOTS, 0, 0, 0, 0);
    add(3, 100, 200, 300, 400);
    expect(3 + TRAFFIC_SLOTS, 10, 20, 30, 40);
    traffic_publish(&traffic);
    expect(3, 101, 202, 303, 404);
    expect(3 + TRAFFIC_SLOTS, 10, 20, 30, 40);
}

/* A subtraction may be published before its addition. */
static void entries_may_be_negative_for_a_while(void **state)
{
    (void)state;
    traffic_of(&traffic, 7)->entries -= 1;
    traffic_publish(&traffic);
    assert_int_equal(segment.directory.activities[7].entries, UINT64_MAX);
    add(7, 0, 0, 1, 0);
    traffic_publish(&traffic);
    expect(7, 0, 0, 0, 0);
}

/* Random scopes, more than there are slots, published now and then. */
static void nothing_is_lost(void **state)
{
    static uint64_t expected[SCOPES];
    uint64_t random = random_seed("nothing_is_lost");

    (void)state;
    memset(expected, 0, sizeof(expected));
    for (unsigned i = 0; i < 200000; i++) {
        uint32_t scope = (uint32_t)(random_next(&random) % SCOPES);
        add(scope, 1 + i % 3, 0, 0, i % 5);
        expected[scope] += 1 + i % 3 + i % 5;
        if (random_next(&random) % 3000 == 0)
            traffic_publish(&traffic);
    }
    traffic_publish(&traffic);
    assert_int_equal(traffic.used_count, 0);
    for (uint32_t i = 0; i < SCOPES; i++) {
        const struct activity *activity = &segment.directory.activities[i];
        assert_int_equal(activity->heartbeats + activity->leaves, expected[i]);
    }
}

static void published_totals_include_all_before(void **state)
{
    (void)state;
    assert_true(traffic_is_published(&traffic)); /* nothing was asked for yet */
    add(9, 1, 0, 0, 0);
    traffic.wanted++;
    assert_false(traffic_is_published(&traffic));
    traffic_publish(&traffic);
    assert_true(traffic_is_published(&traffic));
    expect(9, 1, 0, 0, 0);
    add(9, 1, 0, 0, 0);
    assert_true(traffic_is_published(&traffic)); /* whatever was counted later */
    traffic.wanted++;
    assert_false(traffic_is_published(&traffic));
}

struct worker {
    uint32_t stop;
    uint64_t batches;
};

/* A worker's batches: count one, and publish at the end if asked to. */
static void *work(void *context)
{
    struct worker *worker = context;

    while (!atomic_load_relaxed(&worker->stop)) {
        atomic_store_release(&worker->batches, worker->batches + 1);
        add(1, 1, 0, 0, 0);
        add(1 + TRAFFIC_SLOTS, 1, 0, 0, 0);
        if (!traffic_is_published(&traffic))
            traffic_publish(&traffic);
    }
    return NULL;
}

/* As the maintenance thread asks: totals counted before it asked are there once published. */
static void maintenance_need_not_wait_for_the_gate(void **state)
{
    struct worker worker = {0};
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, work, &worker), 0);
    for (unsigned i = 0; i < 500; i++) {
        uint64_t before = atomic_load_acquire(&worker.batches);
        atomic_add_relaxed(&traffic.wanted, 1);
        while (!traffic_is_published(&traffic))
            sched_yield();
        const struct activity *activities = segment.directory.activities;
        assert_true(atomic_load_relaxed(&activities[1].heartbeats) + 1 >= before);
        assert_true(atomic_load_relaxed(&activities[1 + TRAFFIC_SLOTS].heartbeats) + 1 >= before);
    }
    atomic_store_relaxed(&worker.stop, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    traffic_publish(&traffic);
    expect(1, worker.batches, 0, 0, 0);
    expect(1 + TRAFFIC_SLOTS, worker.batches, 0, 0, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_traffic, close_traffic)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(totals_are_published_once),           TEST(scopes_that_meet_take_turns),
        TEST(entries_may_be_negative_for_a_while), TEST(nothing_is_lost),
        TEST(published_totals_include_all_before), TEST(maintenance_need_not_wait_for_the_gate),
    };
    return cmocka_run_group_tests_name("traffic", tests, NULL, NULL);
}

/* test_web_watch.c - watched numbers: what changes is seen at the next poll, and nothing is read
 * while nothing can have changed. */
#include "reader_fixture.h"

#include "watch.h"

#define PLACES 100
#define SITE   "example.com"

static const struct segment_settings settings = {
    .max_entries = 10000, .max_scopes = 256, .max_window = 3600};

static unsigned reads;
static struct presence_reading freshness; /* if it is played */
static bool is_played;
static struct presence_reading marks; /* beside those of each number */

/* The linker calls these instead (--wrap). */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

int __real_presence_count(struct presence *presence, const char *site, const char *room,
                          uint32_t window_s, struct presence_reading *ret);

int __wrap_presence_count(struct presence *presence, const char *site, const char *room,
                          uint32_t window_s, struct presence_reading *ret)
{
    reads++;
    int r = __real_presence_count(presence, site, room, window_s, ret);
    ret->warming |= marks.warming;
    ret->partial |= marks.partial;
    ret->stale |= marks.stale;
    return r;
}

struct presence_reading __real_presence_freshness(struct presence *presence);

struct presence_reading __wrap_presence_freshness(struct presence *presence)
{
    return is_played ? freshness : __real_presence_freshness(presence);
}

struct watched {
    struct fixture fixture;
    struct live *live;
    struct watches watches;
    struct watch *places[PLACES];
};

static int open_watched(void **state)
{
    struct watched *watched = calloc(1, sizeof(*watched));
    struct place place = {.site = SITE};

    assert_non_null(watched);
    fixture_open(&watched->fixture, settings);
    watched->live = live_new(watched->fixture.scratch.path, NULL);
    assert_non_null(watched->live);
    for (int i = 0; i < PLACES; i++) {
        snprintf(place.room, sizeof(place.room), "/%d", i);
        fixture_beat(&watched->fixture, "ann", SITE, place.room);
        watched->places[i] = watches_get(&watched->watches, &place, 0);
        assert_non_null(watched->places[i]);
    }
    fixture_advance(&watched->fixture, 1);
    *state = watched;
    return 0;
}

static int close_watched(void **state)
{
    struct watched *watched = *state;

    for (int i = 0; i < PLACES; i++)
        watches_put(&watched->watches, watched->places[i]);
    live_free(watched->live);
    fixture_close(&watched->fixture);
    free(watched);
    return 0;
}

/* Poll. Return how many numbers were read. */
static unsigned poll_once(struct watched *watched)
{
    reads = 0;
    watches_poll(&watched->watches, watched->live);
    return reads;
}

/* Poll until nothing is news: a tick that is ahead of the clock seems to be one of now, and so to
 * move each second. */
static void settle(struct watched *watched)
{
    for (int i = 0; i < 100 && poll_once(watched); i++)
        ;
    assert_int_equal(reads, 0);
}

static void assert_count(const struct watched *watched, int place, uint64_t count)
{
    assert_true(watched->places[place]->number.known);
    assert_int_equal(watched->places[place]->number.count, count);
}

static void test_nothing_is_read_twice(void **state)
{
    struct watched *watched = *state;

    assert_int_equal(poll_once(watched), PLACES);
    assert_int_equal(watched->watches.changes, PLACES);
    for (int i = 0; i < PLACES; i++)
        assert_count(watched, i, 1);
    settle(watched);
    assert_int_equal(watched->watches.changes, PLACES);
}

static void test_each_change_is_read(void **state)
{
    struct watched *watched = *state;
    struct fixture *fixture = &watched->fixture;

    settle(watched);
    fixture_beat(fixture, "bob", SITE, "/7"); /* enters the site */
    assert_int_equal(poll_once(watched), PLACES);
    assert_count(watched, 7, 2);
    settle(watched);
    fixture_beat(fixture, "bob", SITE, "/8"); /* was there */
    assert_int_equal(poll_once(watched), PLACES);
    assert_count(watched, 8, 2);
    settle(watched);
    fixture_deliver(fixture, WIRE_LEAVE, "bob", SITE, "/7", NULL, NULL);
    assert_int_equal(poll_once(watched), PLACES);
    assert_count(watched, 7, 1);
    assert_int_equal(watched->watches.changes, PLACES + 3);
}

/* Let time pass for the collector; its tick is one of `ahead` seconds from now. */
static void advance(struct watched *watched, uint64_t seconds, int64_t ahead)
{
    int64_t *offset = &fixture_segment(&watched->fixture)->header->clock_offset;

    fixture_advance(&watched->fixture, seconds);
    atomic_store_relaxed(offset, atomic_load_relaxed(offset) + LEAD - ahead);
}

static void test_each_tick_is_read(void **state)
{
    struct watched *watched = *state;

    advance(watched, 1, 0);
    settle(watched);
    advance(watched, 1, 1);
    assert_int_equal(poll_once(watched), PLACES);
    assert_count(watched, 0, 1);
    advance(watched, 299, 0); /* that of the heartbeats has left the window */
    assert_int_equal(poll_once(watched), PLACES);
    assert_count(watched, 0, 0);
}

/* Each part of what tells how fresh a number is, is news alone. */
static void test_freshness(void **state)
{
    struct watched *watched = *state;
    struct live_mark mark = {0};

    freshness = (struct presence_reading){.as_of = 1000};
    is_played = true;
    assert_true(live_is_news(watched->live, &mark));
    assert_false(live_is_news(watched->live, &mark));
    freshness.as_of++;
    assert_true(live_is_news(watched->live, &mark));
    freshness.warming = true;
    assert_true(live_is_news(watched->live, &mark));
    freshness.stale = true; /* and perhaps a restart */
    assert_true(live_is_news(watched->live, &mark));
    freshness.as_of_age_s = 60; /* no restart */
    assert_true(live_is_news(watched->live, &mark));
    freshness.stale = false;
    assert_true(live_is_news(watched->live, &mark));
    freshness.stale = true;
    assert_true(live_is_news(watched->live, &mark));
    assert_false(live_is_news(watched->live, &mark));
    is_played = false;
}

/* Each mark of a number is told when it comes, and when it goes. */
static void test_marks(void **state)
{
    struct watched *watched = *state;
    bool *const all[] = {&marks.warming, &marks.partial};
    const struct watch *watch = watched->places[7];

    watch_refresh(watched->places[7], watched->live);
    for (size_t i = 0; i < LENGTH(all); i++) {
        uint64_t version = watch->version;
        *all[i] = true;
        watch_refresh(watched->places[7], watched->live);
        assert_int_equal(watch->version, version + 1);
        *all[i] = false;
        watch_refresh(watched->places[7], watched->live);
        assert_int_equal(watch->version, version + 2);
    }
}

/* Whoever comes during a restart sees the number, stale; whoever was there before sees no change.
 */
static void test_a_restart(void **state)
{
    struct watched *watched = *state;

    watch_refresh(watched->places[7], watched->live);
    marks.stale = true;
    watch_refresh(watched->places[7], watched->live);
    watch_refresh(watched->places[8], watched->live);
    marks.stale = false;
    assert_int_equal(watched->places[7]->version, 1);
    assert_string_equal(watched->places[7]->id, "1");
    assert_int_equal(watched->places[8]->version, 1);
    assert_string_equal(watched->places[8]->id, "1s");
}

/* A collector that ends and one that begins anew, with the same segment or another one, are news.
 */
static void test_the_collector_starts_anew(void **state)
{
    struct watched *watched = *state;
    struct fixture *fixture = &watched->fixture;

    settle(watched);
    fixture_stop_collector(fixture);
    assert_int_equal(poll_once(watched), PLACES);
    settle(watched);
    fixture->now++;
    fixture_start_collector(fixture, settings);
    fixture_advance(fixture, 1);
    assert_int_equal(poll_once(watched), PLACES);
    assert_count(watched, 0, 1);
    settle(watched);
    fixture_stop_collector(fixture);
    assert_int_equal(unlink(fixture->scratch.path), 0);
    fixture_start_collector(fixture, settings);
    fixture_advance(fixture, 1);
    fixture_beat(fixture, "bob", SITE, "/7");
    fixture_beat(fixture, "cid", SITE, "/7");
    poll_once(watched);
    assert_count(watched, 7, 2);
}

static void test_without_a_segment(void **state)
{
    struct watched *watched = *state;
    struct fixture *fixture = &watched->fixture;

    fixture_stop_collector(fixture);
    assert_int_equal(unlink(fixture->scratch.path), 0);
    poll_once(watched);
    assert_int_equal(watched->watches.changes, PLACES);
    assert_false(watched->places[0]->number.known);
    fixture_start_collector(fixture, settings);
    fixture_advance(fixture, 1);
    fixture_beat(fixture, "bob", SITE, "/7");
    assert_int_equal(poll_once(watched), PLACES);
    assert_count(watched, 7, 1);
}

/* A number that was read for somebody who joins is told to the others. */
static void test_refreshed(void **state)
{
    struct watched *watched = *state;

    settle(watched);
    fixture_beat(&watched->fixture, "bob", SITE, "/7");
    watch_refresh(watched->places[7], watched->live);
    assert_count(watched, 7, 2);
    assert_int_equal(watched->watches.changes, PLACES + 1);
    assert_string_equal(watched->places[7]->id, "2");
}

#define test(name) cmocka_unit_test_setup_teardown(name, open_watched, close_watched)

int main(void)
{
    const struct CMUnitTest tests[] = {test(test_nothing_is_read_twice),
                                       test(test_each_change_is_read),
                                       test(test_each_tick_is_read),
                                       test(test_without_a_segment),
                                       test(test_the_collector_starts_anew),
                                       test(test_refreshed),
                                       test(test_freshness),
                                       test(test_marks),
                                       test(test_a_restart)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

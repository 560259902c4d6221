/* test_reader.c - the reading half of presence.h: counts, visitors, status, counters. */
#include "reader_fixture.h"

#include <time.h>
#include <unistd.h>

static const struct segment_settings settings = {
    .max_entries = 10000, .max_scopes = 64, .max_window = 3600, .warm_up = 90, .max_histories = 8};

static int open_fixture(void **state)
{
    *state = malloc(sizeof(struct fixture));
    fixture_open(*state, settings);
    return 0;
}

static int close_fixture(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

#define ABSENT (-1000) /* and not an error */

static int64_t count_of(int r, const struct presence_reading *reading)
{
    return r < 0 ? r : reading->exists ? (int64_t)reading->count : ABSENT;
}

/* Return the count of a place in a window, or the error. */
static int64_t count(struct fixture *fixture, const char *site, const char *room, uint32_t window_s)
{
    struct presence_reading reading;
    int r = presence_count(fixture->presence, site, room, window_s, &reading);

    return count_of(r, &reading);
}

static int64_t count_scope(struct fixture *fixture, enum presence_kind kind, const char *name)
{
    struct presence_reading reading;
    int r = presence_count_scope(fixture->presence, kind, "example.com", name, 0, &reading);

    return count_of(r, &reading);
}

static void every_kind_of_scope_is_counted(void **state)
{
    struct fixture *fixture = *state;

    fixture_deliver(fixture, WIRE_HEARTBEAT, "a", "example.com", "/x", "DE", "news.example");
    fixture_deliver(fixture, WIRE_HEARTBEAT, "b", "example.com", "/x", "FR", "news.example");
    fixture_deliver(fixture, WIRE_HEARTBEAT, "c", "EXAMPLE.com", "/y", "DE", NULL);
    fixture_deliver(fixture, WIRE_HEARTBEAT, "a", "example.com", "/y", "DE", NULL);

    assert_int_equal(count(fixture, "example.com", NULL, 0), 3);
    assert_int_equal(count(fixture, "Example.COM", NULL, 0), 3);
    assert_int_equal(count(fixture, "example.com", "/x", 0), 2);
    assert_int_equal(count(fixture, "example.com", "/y", 0), 2);
    assert_int_equal(count_scope(fixture, PRESENCE_SITE, "ignored"), 3);
    assert_int_equal(count_scope(fixture, PRESENCE_ROOM, "/x"), 2);
    assert_int_equal(count_scope(fixture, PRESENCE_COUNTRY, "DE"), 2);
    assert_int_equal(count_scope(fixture, PRESENCE_COUNTRY, "fr"), 1);
    assert_int_equal(count_scope(fixture, PRESENCE_SOURCE, "news.example"), 2);

    fixture_deliver(fixture, WIRE_LEAVE, "a", "example.com", "/x", NULL, NULL);
    assert_int_equal(count(fixture, "example.com", "/x", 0), 1);
    assert_int_equal(count(fixture, "example.com", NULL, 0), 3);
    fixture_deliver(fixture, WIRE_LEAVE, "b", "example.com", NULL, "FR", NULL);
    assert_int_equal(count(fixture, "example.com", NULL, 0), 2);
    assert_int_equal(count_scope(fixture, PRESENCE_COUNTRY, "FR"), 0);
}

/* R2: however a reader spells it, and however it was sent. */
static void a_place_is_found_by_any_of_its_names(void **state)
{
    static const char *const rooms[] = {"/t", "/t/", "//t", "///t///"};
    static const char *const sources[] = {"news.example", "News.Example", "NEWS.EXAMPLE"};
    struct fixture *fixture = *state;
    char room[600];

    for (size_t i = 0; i < LENGTH(rooms); i++) {
        char visitor[] = {'a', (char)('0' + i), '\0'};
        fixture_deliver(fixture, WIRE_HEARTBEAT, visitor, "example.com", rooms[i], NULL,
                        sources[i % LENGTH(sources)]);
    }
    for (size_t i = 0; i < LENGTH(rooms); i++)
        assert_int_equal(count(fixture, "Example.com", rooms[i], 0), LENGTH(rooms));
    for (size_t i = 0; i < LENGTH(sources); i++)
        assert_int_equal(count_scope(fixture, PRESENCE_SOURCE, sources[i]), LENGTH(rooms));
    memset(room, '/', sizeof(room));
    memcpy(room + 500, "t//", 4);
    assert_int_equal(count(fixture, "example.com", room, 0), LENGTH(rooms));
    assert_int_equal(count(fixture, "example.com", "t", 0), ABSENT);
    assert_int_equal(count(fixture, "example.com", "/T", 0), ABSENT);
    assert_int_equal(count(fixture, "example.com", "/", 0), ABSENT);
    fixture_beat(fixture, "a", "example.com", "///");
    assert_int_equal(count(fixture, "example.com", "/", 0), 1);
    memset(room, 'r', 256);
    room[0] = '/';
    memcpy(room + 255, "/", 2);
    assert_int_equal(count(fixture, "example.com", room, 0),
                     ABSENT); /* 255 bytes in canonical form */
    memcpy(room + 255, "r", 2);
    assert_int_equal(count(fixture, "example.com", room, 0), -EINVAL);
}

static void unknown_names_are_not_found(void **state)
{
    struct fixture *fixture = *state;

    fixture_deliver(fixture, WIRE_HEARTBEAT, "a", "example.com", "/x", "DE", NULL);
    assert_int_equal(count(fixture, "example.org", NULL, 0), ABSENT);
    assert_int_equal(count(fixture, "example.com", "/nowhere", 0), ABSENT);
    assert_int_equal(count(fixture, "example.com", "/X", 0), ABSENT);
    assert_int_equal(count(fixture, "example.org", "/x", 0), ABSENT);
    assert_int_equal(count_scope(fixture, PRESENCE_SOURCE, "/x"), ABSENT);
    assert_int_equal(count_scope(fixture, PRESENCE_COUNTRY, "FR"), ABSENT);
}

static void impossible_names_and_windows_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct presence_listing listing;
    char name[400];

    fixture_beat(fixture, "a", "example.com", NULL);
    memset(name, 'a', sizeof(name));
    name[254] = '\0';
    assert_int_equal(count(fixture, name, NULL, 0), -EINVAL);
    assert_int_equal(count(fixture, "example.com", name, 0), ABSENT);
    name[254] = 'a';
    name[256] = '\0';
    assert_int_equal(count(fixture, "example.com", name, 0), -EINVAL);
    assert_int_equal(count(fixture, "", NULL, 0), -EINVAL);
    assert_int_equal(count(fixture, NULL, NULL, 0), -EINVAL);
    assert_int_equal(count(fixture, "example.com", "", 0), -EINVAL);
    assert_int_equal(count_scope(fixture, PRESENCE_ROOM, NULL), -EINVAL);
    assert_int_equal(count_scope(fixture, PRESENCE_COUNTRY, "D"), -EINVAL);
    assert_int_equal(count_scope(fixture, (enum presence_kind)4, "x"), -EINVAL);
    assert_int_equal(count(fixture, "example.com", NULL, 3601), -ERANGE);
    assert_int_equal(count(fixture, "example.com", NULL, UINT32_MAX), -ERANGE);
    assert_int_equal(count(fixture, "example.com", NULL, 3600), 1);
    assert_int_equal(presence_top(fixture->presence, "example.com", PRESENCE_SITE, 0, 0, &listing),
                     -EINVAL);
    assert_int_equal(presence_sites(fixture->presence, 3601, &listing), -ERANGE);
}

/* R3, from both sides of each edge. */
static void visitors_are_active_within_the_window(void **state)
{
    struct fixture *fixture = *state;
    uint64_t start = fixture->now; /* half a minute into its minute */

    fixture_beat(fixture, "a", "example.com", NULL);
    assert_int_equal(count(fixture, "example.com", NULL, 1), 1);
    fixture_advance(fixture, 1);
    assert_int_equal(count(fixture, "example.com", NULL, 1), 0);
    fixture_advance(fixture, start + 299 - fixture->now);
    assert_int_equal(count(fixture, "example.com", NULL, 300), 1);
    assert_int_equal(count(fixture, "example.com", NULL, 0), 1);
    fixture_advance(fixture, 1);
    assert_int_equal(count(fixture, "example.com", NULL, 300), 0);
    assert_int_equal(count(fixture, "example.com", NULL, 0), 0);
    fixture_advance(fixture, start + 479 - fixture->now);
    assert_int_equal(count(fixture, "example.com", NULL, 480), 1);
    fixture_advance(fixture, 1);
    assert_int_equal(count(fixture, "example.com", NULL, 480), 0);
    assert_int_equal(count(fixture, "example.com", NULL, 481), 1); /* nine minutes */
    fixture_advance(fixture, start + 9 * 60 - 31 - fixture->now);
    assert_int_equal(count(fixture, "example.com", NULL, 540), 1);
    fixture_advance(fixture, 1);
    assert_int_equal(count(fixture, "example.com", NULL, 540), 0);
    assert_int_equal(count(fixture, "example.com", NULL, 541), 1);
    fixture_advance(fixture, start + 3599 - fixture->now);
    assert_int_equal(count(fixture, "example.com", NULL, 3600), 0);
    fixture_advance(fixture, 1); /* the last heartbeat is as old as the longest window */
    assert_int_equal(count(fixture, "example.com", NULL, 3600), ABSENT);
}

/* Wait until a second has well begun: readers have the time of the kernel's last timer tick. */
static void wait_for_the_second(void)
{
    struct timespec now;

    while (clock_gettime(CLOCK_BOOTTIME, &now) == 0 && now.tv_nsec < 100 * 1000 * 1000)
        usleep(1000);
}

static void readings_have_their_marks(void **state)
{
    struct fixture *fixture = *state;
    struct presence_reading reading;

    fixture_beat(fixture, "a", "example.com", NULL);
    fixture_advance(fixture, 7);
    int64_t tick_time = time(NULL) - (int64_t)clock_boottime(NULL);
    assert_int_equal(presence_count(fixture->presence, "example.com", NULL, 481, &reading), 0);
    assert_int_equal(reading.count, 1);
    assert_int_equal(reading.window_s, 540);
    assert_int_equal(reading.last_heartbeat_s, 7);
    assert_true(reading.warming);
    assert_false(reading.stale);
    assert_in_range(reading.as_of_age_s, 0, 1); /* 0, unless the machine stalls */

    for (int i = 0; i < 82; i++) /* 89 s, in steps that are no gap */
        fixture_advance(fixture, 1);
    assert_int_equal(presence_count(fixture->presence, "example.com", NULL, 0, &reading), 0);
    assert_true(reading.warming);
    fixture_advance(fixture, 1);
    assert_int_equal(presence_count(fixture->presence, "example.com", NULL, 0, &reading), 0);
    assert_false(reading.warming);

    /* A past tick, of a clock that is ahead of the real one. */
    wait_for_the_second();
    uint64_t past = clock_boottime(NULL) - 100;
    fixture_segment(fixture)->header->tick = past + AHEAD;
    fixture_segment(fixture)->header->clock_offset = AHEAD + time_namespace_offset_s();
    assert_int_equal(presence_count(fixture->presence, "example.com", NULL, 0, &reading), 0);
    assert_true(reading.stale);
    assert_in_range(reading.as_of_age_s, 100, 110);
    assert_in_range(reading.as_of, tick_time + (int64_t)past - 2, tick_time + (int64_t)past + 2);
}

static bool is_stale(struct fixture *fixture)
{
    struct presence_status status;

    assert_int_equal(presence_status(fixture->presence, &status), 0);
    return status.stale;
}

static void staleness_is_the_age_of_the_tick_or_the_state(void **state)
{
    struct fixture *fixture = *state;
    struct segment_header *header = fixture_segment(fixture)->header;
    struct presence_status status;

    wait_for_the_second();
    uint64_t now = clock_boottime(NULL);
    header->clock_offset = time_namespace_offset_s();
    header->tick = now - SEGMENT_STALE_AGE - 1;
    assert_true(is_stale(fixture));
    bool stale;
    do { /* repeated if the second ended meanwhile */
        wait_for_the_second();
        now = clock_boottime(NULL);
        header->tick = now - SEGMENT_STALE_AGE;
        stale = is_stale(fixture);
    } while (clock_boottime(NULL) != now);
    assert_false(stale);
    header->tick = now + AHEAD;
    assert_true(is_stale(fixture)); /* no collector has published a future tick */
    header->clock_offset += AHEAD;  /* it was the present, in a time namespace */
    assert_false(is_stale(fixture));
    header->tick = now + AHEAD + SEGMENT_STALE_AGE;
    assert_false(is_stale(fixture));
    header->tick = now + AHEAD + 2 * AHEAD;
    assert_true(is_stale(fixture));
    header->tick = now + AHEAD + SEGMENT_STALE_AGE;
    header->state = SEGMENT_STARTING; /* and does not listen yet */
    assert_true(is_stale(fixture));
    header->state = SEGMENT_STOPPED;
    assert_true(is_stale(fixture));
    header->state = SEGMENT_REPLACED; /* and nothing has replaced it */
    assert_true(is_stale(fixture));
    assert_int_equal(presence_status(fixture->presence, &status), 0);
    assert_int_equal(status.state, PRESENCE_STOPPED);
}

static void a_new_start_has_not_listened(void **state)
{
    struct fixture *fixture = *state;
    struct segment_header *header = fixture_segment(fixture)->header;
    struct presence_status status;

    header->listening_since -= 1000; /* of an earlier daemon */
    assert_int_equal(presence_status(fixture->presence, &status), 0);
    assert_false(status.warming);
    header->state = SEGMENT_STARTING; /* and continues */
    assert_int_equal(presence_status(fixture->presence, &status), 0);
    assert_int_equal(status.state, PRESENCE_STARTING);
    assert_false(status.warming);
    header->listening_since = SEGMENT_NEVER;
    header->warm_up = 0;
    assert_int_equal(presence_status(fixture->presence, &status), 0);
    assert_true(status.warming);
    header->state = 77;
    assert_int_equal(presence_status(fixture->presence, &status), -EBADMSG);
}

static void sums_are_clamped(void **state)
{
    struct fixture *fixture = *state;

    fixture_beat(fixture, "a", "example.com", NULL);
    ring_add(&fixture_segment(fixture)->directory.rings[0], fixture->now, -5);
    assert_int_equal(count(fixture, "example.com", NULL, 0), 0);
}

/* Return the age of a visitor in a scope, ABSENT, or the error. */
static int64_t seen_in(const struct fixture *fixture, enum presence_kind kind, const char *name,
                       const char *visitor)
{
    struct presence_reading reading;
    int r = presence_seen_scope(fixture->presence, kind, "example.com", name, visitor, &reading);

    if (r < 0)
        return r;
    assert_int_equal(reading.count, reading.exists);
    assert_true(reading.exists || reading.last_heartbeat_s == 0);
    return reading.exists ? (int64_t)reading.last_heartbeat_s : ABSENT;
}

static void visitors_are_seen(void **state)
{
    struct fixture *fixture = *state;
    /* The 16 bytes "visitor-16-bytes" as a UUID. */
    const char *uuid = "76697369-746F-722d-3136-2d6279746573";
    struct presence_reading reading;

    fixture_beat(fixture, "visitor-16-bytes", "example.com", "/a");
    fixture_advance(fixture, 42);
    assert_int_equal(presence_seen(fixture->presence, "EXAMPLE.com", uuid, &reading), 0);
    assert_true(reading.exists && reading.known);
    assert_int_equal(reading.last_heartbeat_s, 42);
    assert_int_equal(presence_seen(fixture->presence, "other.example", uuid, &reading), 0);
    assert_false(reading.exists);
    assert_int_equal(presence_seen(fixture->presence, "", uuid, &reading), -EINVAL);
    assert_int_equal(seen_in(fixture, PRESENCE_SITE, NULL, "someone"), ABSENT);
    assert_int_equal(seen_in(fixture, PRESENCE_SITE, NULL, " "), -EINVAL);
    assert_int_equal(seen_in(fixture, PRESENCE_SITE, NULL, NULL), -EINVAL);
    assert_int_equal(seen_in(fixture, PRESENCE_SITE, NULL, "Null"), -EINVAL);
    char longest[514];
    memset(longest, 'v', sizeof(longest));
    longest[513] = '\0';
    assert_int_equal(seen_in(fixture, PRESENCE_SITE, NULL, longest), -EINVAL);
    longest[512] = '\0';
    assert_int_equal(seen_in(fixture, PRESENCE_SITE, NULL, longest), ABSENT);
    assert_int_equal(seen_in(fixture, PRESENCE_ROOM, "//a/", uuid), 42);
    assert_int_equal(seen_in(fixture, PRESENCE_ROOM, "/b", uuid), ABSENT);
    assert_int_equal(seen_in(fixture, PRESENCE_COUNTRY, "DE", uuid), ABSENT);
    fixture_segment(fixture)->header->tick -= 45; /* the word is ahead of the tick */
    assert_int_equal(seen_in(fixture, PRESENCE_SITE, NULL, uuid), 0);
    fixture_segment(fixture)->header->tick += 45;
    fixture_advance(fixture, 3557);
    assert_int_equal(seen_in(fixture, PRESENCE_SITE, NULL, uuid), 3599);
    fixture_advance(fixture, 1);
    assert_int_equal(seen_in(fixture, PRESENCE_SITE, NULL, uuid), ABSENT);
    fixture_beat(fixture, "visitor-16-bytes", "example.com", NULL);
    assert_int_equal(seen_in(fixture, PRESENCE_SITE, NULL, uuid), 0);
    fixture_deliver(fixture, WIRE_LEAVE, "visitor-16-bytes", "example.com", NULL, NULL, NULL);
    assert_int_equal(seen_in(fixture, PRESENCE_SITE, NULL, uuid), ABSENT);
}

static void status_describes_the_collector(void **state)
{
    struct fixture *fixture = *state;
    struct presence_status status;

    fixture_deliver(fixture, WIRE_HEARTBEAT, "a", "example.com", "/x", "DE", NULL);
    fixture_advance(fixture, 9);
    collector_maintain(fixture->collector);
    assert_int_equal(presence_status(fixture->presence, &status), 0);
    assert_int_equal(status.state, PRESENCE_LISTENING);
    assert_int_equal(status.listening_for_s, 9);
    assert_int_equal(status.warm_up_s, 90);
    assert_int_equal(status.max_window_s, 3600);
    assert_int_equal(status.pid, getpid());
    assert_int_equal(status.workers, 1);
    assert_string_equal(status.receive, "recvmmsg");
    assert_string_equal(status.receive_reason, "a test");
    assert_string_equal(status.filter, "none");
    assert_string_equal(status.filter_interface, "eth0");
    assert_string_equal(status.filter_reason, "another test");
    assert_string_equal(status.spread, "hash");
    assert_string_equal(status.spread_reason, "a third test");
    assert_string_equal(status.listen_missing, "192.0.2.1:9514, [2001:db8::1]:9514");
    assert_int_equal(status.entries_capacity, 10000);
    assert_int_equal(status.entries_live, 3);
    assert_int_equal(status.scopes_capacity, 64);
    assert_int_equal(status.scopes_live, 3);
    assert_int_equal(status.histories_capacity, 8);
    assert_int_equal(status.histories_live, 3);
    assert_int_equal(status.segment_bytes, fixture_segment(fixture)->size);
    assert_string_equal(presence_path(fixture->presence), fixture->scratch.path);
    char *reason = fixture_segment(fixture)->header->keys_refused;
    memset(reason, 'x', sizeof(fixture_segment(fixture)->header->keys_refused));
    assert_int_equal(presence_status(fixture->presence, &status), 0);
    assert_int_equal(strlen(status.keys_refused), sizeof(status.keys_refused) - 1);
}

static void counters_are_summed_over_writers(void **state)
{
    struct fixture *fixture = *state;
    struct presence_counter counters[COUNTERS_SHOWN + 1] = {[COUNTERS_SHOWN] = {.value = 77}};

    fixture_beat(fixture, "a", "example.com", NULL);
    fixture_beat(fixture, "a", "example.com", NULL);
    fixture_segment(fixture)->counters[SEGMENT_WORKERS_MAX].values[COUNTER_datagrams_received] = 5;
    assert_int_equal(presence_counters(fixture->presence, NULL, 0), COUNTERS_SHOWN);
    assert_int_equal(presence_counters(fixture->presence, counters, COUNTERS_SHOWN + 1),
                     COUNTERS_SHOWN);
    assert_int_equal(counters[COUNTERS_SHOWN].value, 77); /* there is no such counter */
    assert_string_equal(counters[COUNTER_datagrams_received].name, "datagrams_received");
    assert_int_equal(counters[COUNTER_datagrams_received].value, 7);
    assert_int_equal(counters[COUNTER_heartbeats_new].value, 1);
    assert_int_equal(counters[COUNTER_heartbeats_refreshed].value, 1);
    assert_true(strlen(counters[COUNTER_table_full].help) > 10);
    assert_int_equal(presence_counter(fixture->presence, "datagrams_received"), 7);
    assert_int_equal(presence_counter(fixture->presence, "no such counter"), 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(every_kind_of_scope_is_counted),
        TEST(a_place_is_found_by_any_of_its_names),
        TEST(unknown_names_are_not_found),
        TEST(impossible_names_and_windows_are_refused),
        TEST(visitors_are_active_within_the_window),
        TEST(readings_have_their_marks),
        TEST(staleness_is_the_age_of_the_tick_or_the_state),
        TEST(a_new_start_has_not_listened),
        TEST(sums_are_clamped),
        TEST(visitors_are_seen),
        TEST(status_describes_the_collector),
        TEST(counters_are_summed_over_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

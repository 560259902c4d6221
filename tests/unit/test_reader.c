/* test_reader.c - the reading half of presence.h: counts, listings, status. */
#include "reader_fixture.h"

static const struct segment_settings settings = {
    .max_visitors = 10000, .max_scopes = 64, .max_window = 3600, .warm_up = 90};

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

/* The count of a place in a window, or the error. */
static int64_t count(struct fixture *fixture, const char *site, const char *room, uint32_t window_s)
{
    struct presence_reading reading;
    int r = presence_count(fixture->presence, site, room, window_s, &reading);
    return r < 0 ? r : (int64_t)reading.count;
}

static int64_t count_scope(struct fixture *fixture, enum presence_kind kind, const char *name)
{
    struct presence_reading reading;
    int r = presence_count_scope(fixture->presence, kind, "example.com", name, 0, &reading);
    return r < 0 ? r : (int64_t)reading.count;
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

static void unknown_names_are_not_found(void **state)
{
    struct fixture *fixture = *state;

    fixture_deliver(fixture, WIRE_HEARTBEAT, "a", "example.com", "/x", "DE", NULL);
    assert_int_equal(count(fixture, "example.org", NULL, 0), -ENOENT);
    assert_int_equal(count(fixture, "example.com", "/nowhere", 0), -ENOENT);
    assert_int_equal(count(fixture, "example.com", "/X", 0), -ENOENT);
    assert_int_equal(count(fixture, "example.org", "/x", 0), -ENOENT);
    assert_int_equal(count_scope(fixture, PRESENCE_SOURCE, "/x"), -ENOENT);
    assert_int_equal(count_scope(fixture, PRESENCE_COUNTRY, "FR"), -ENOENT);
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
    assert_int_equal(count(fixture, "example.com", name, 0), -ENOENT);
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

/* README rule 3, from both sides of each edge. */
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
    assert_int_equal(count(fixture, "example.com", NULL, 3600), -ENOENT);
}

static void readings_say_how_good_they_are(void **state)
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
    assert_int_equal(reading.as_of_age_s, 0);

    fixture_advance(fixture, 82); /* 89 s, in steps that are no gap */
    assert_int_equal(presence_count(fixture->presence, "example.com", NULL, 0, &reading), 0);
    assert_true(reading.warming);
    for (int i = 0; i < 90; i++)
        fixture_advance(fixture, 1);
    assert_int_equal(presence_count(fixture->presence, "example.com", NULL, 0, &reading), 0);
    assert_false(reading.warming);

    /* A tick of the past: by the real clock it is stale. */
    uint64_t past = clock_boottime(NULL) - 100;
    fixture_segment(fixture)->header->tick = past;
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
    uint64_t now = clock_boottime(NULL);

    header->tick = now - SEGMENT_STALE_AGE - 1;
    assert_true(is_stale(fixture));
    bool stale;
    do { /* until the second does not end meanwhile */
        now = clock_boottime(NULL);
        header->tick = now - SEGMENT_STALE_AGE;
        stale = is_stale(fixture);
    } while (clock_boottime(NULL) != now);
    assert_false(stale);
    header->tick = now + AHEAD;
    assert_false(is_stale(fixture));
    header->state = SEGMENT_STARTING;
    assert_false(is_stale(fixture));
    header->state = SEGMENT_STOPPED;
    assert_true(is_stale(fixture));
    header->state = SEGMENT_REPLACED; /* and nothing has taken its place */
    assert_true(is_stale(fixture));
}

static void who_starts_anew_has_not_listened(void **state)
{
    struct fixture *fixture = *state;
    struct segment_header *header = fixture_segment(fixture)->header;
    struct presence_status status;

    header->listening_since -= 1000; /* of an earlier daemon */
    assert_int_equal(presence_status(fixture->presence, &status), 0);
    assert_false(status.warming);
    header->state = SEGMENT_STARTING; /* and goes on */
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

static void listings_are_sorted(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *visitor, *room;
    } beats[] = {{"a", "/b"}, {"b", "/b"}, {"c", "/c"}, {"d", "/c"}, {"e", "/a"}, {"f", "/é"}};
    static const char *const expected[] = {"/b", "/c", "/a", "/é"};
    struct presence_listing listing;

    for (size_t i = 0; i < LENGTH(beats); i++)
        fixture_deliver(fixture, WIRE_HEARTBEAT, beats[i].visitor, "example.com", beats[i].room,
                        "DE", NULL);
    fixture_beat(fixture, "a", "other.example", "/elsewhere");
    fixture_advance(fixture, 3);

    assert_int_equal(presence_top(fixture->presence, "Example.com", PRESENCE_ROOM, 0, 0, &listing),
                     0);
    assert_int_equal(listing.length, LENGTH(expected));
    for (size_t i = 0; i < listing.length; i++) {
        assert_string_equal(listing.entries[i].name, expected[i]);
        assert_int_equal(listing.entries[i].count, i < 2 ? 2 : 1);
        assert_int_equal(listing.entries[i].last_heartbeat_s, 3);
    }
    assert_int_equal(listing.site.count, 6);
    assert_int_equal(listing.site.window_s, 300);
    presence_listing_free(&listing);
    assert_null(listing.entries);

    assert_int_equal(presence_top(fixture->presence, "example.com", PRESENCE_ROOM, 0, 2, &listing),
                     0);
    assert_int_equal(listing.length, 2);
    presence_listing_free(&listing);
    assert_int_equal(
        presence_top(fixture->presence, "example.com", PRESENCE_SOURCE, 0, 0, &listing), 0);
    assert_int_equal(listing.length, 0);
    presence_listing_free(&listing);
    assert_int_equal(
        presence_top(fixture->presence, "nobody.example", PRESENCE_ROOM, 0, 0, &listing), -ENOENT);

    assert_int_equal(presence_sites(fixture->presence, 60, &listing), 0);
    assert_int_equal(listing.length, 2);
    assert_string_equal(listing.entries[0].name, "example.com");
    assert_int_equal(listing.entries[0].count, 6);
    assert_string_equal(listing.entries[1].name, "other.example");
    assert_int_equal(listing.site.count, 0);
    presence_listing_free(&listing);
}

static void listings_leave_out_what_is_gone(void **state)
{
    struct fixture *fixture = *state;
    struct presence_listing listing;

    fixture_beat(fixture, "a", "example.com", "/old");
    fixture_advance(fixture, 3599);
    fixture_beat(fixture, "b", "example.com", "/new");
    fixture_advance(fixture, 1);
    assert_int_equal(presence_top(fixture->presence, "example.com", PRESENCE_ROOM, 0, 0, &listing),
                     0);
    assert_int_equal(listing.length, 1);
    assert_string_equal(listing.entries[0].name, "/new");
    presence_listing_free(&listing);
}

static void visitors_are_seen(void **state)
{
    struct fixture *fixture = *state;
    /* The 16 bytes "visitor-16-bytes" as a UUID. */
    const char *uuid = "76697369-746F-722d-3136-2d6279746573";
    uint32_t age;

    fixture_beat(fixture, "visitor-16-bytes", "example.com", NULL);
    fixture_advance(fixture, 42);
    assert_int_equal(presence_seen(fixture->presence, "EXAMPLE.com", uuid, &age), 0);
    assert_int_equal(age, 42);
    assert_int_equal(presence_seen(fixture->presence, "example.com", "someone", &age), -ENOENT);
    assert_int_equal(presence_seen(fixture->presence, "other.example", uuid, &age), -ENOENT);
    assert_int_equal(presence_seen(fixture->presence, "example.com", " ", &age), -EINVAL);
    assert_int_equal(presence_seen(fixture->presence, "example.com", NULL, &age), -EINVAL);
    assert_int_equal(presence_seen(fixture->presence, "", uuid, &age), -EINVAL);
    fixture_segment(fixture)->header->tick -= 45; /* the word is ahead of the tick */
    assert_int_equal(presence_seen(fixture->presence, "example.com", uuid, &age), 0);
    assert_int_equal(age, 0);
    fixture_segment(fixture)->header->tick += 45;
    fixture_advance(fixture, 3557);
    assert_int_equal(presence_seen(fixture->presence, "example.com", uuid, &age), 0);
    fixture_advance(fixture, 1);
    assert_int_equal(presence_seen(fixture->presence, "example.com", uuid, &age), -ENOENT);
    fixture_beat(fixture, "visitor-16-bytes", "example.com", NULL);
    assert_int_equal(presence_seen(fixture->presence, "example.com", uuid, &age), 0);
    fixture_deliver(fixture, WIRE_LEAVE, "visitor-16-bytes", "example.com", NULL, NULL, NULL);
    assert_int_equal(presence_seen(fixture->presence, "example.com", uuid, &age), -ENOENT);
}

static void status_describes_the_collector(void **state)
{
    struct fixture *fixture = *state;
    struct presence_status status;

    fixture_deliver(fixture, WIRE_HEARTBEAT, "a", "example.com", "/x", "DE", NULL);
    fixture_advance(fixture, 9);
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
    assert_int_equal(status.visitors_capacity, 10000);
    assert_int_equal(status.visitors_live, 3);
    assert_int_equal(status.scopes_capacity, 64);
    assert_int_equal(status.scopes_live, 3);
    assert_int_equal(status.segment_bytes, fixture_segment(fixture)->size);
    assert_string_equal(presence_path(fixture->presence), fixture->scratch.path);
}

static void counters_are_summed_over_writers(void **state)
{
    struct fixture *fixture = *state;
    struct presence_counter counters[COUNTERS];

    fixture_beat(fixture, "a", "example.com", NULL);
    fixture_beat(fixture, "a", "example.com", NULL);
    fixture_segment(fixture)->counters[SEGMENT_WORKERS_MAX].values[COUNTER_datagrams_received] = 5;
    assert_int_equal(presence_counters(fixture->presence, NULL, 0), COUNTERS);
    assert_int_equal(presence_counters(fixture->presence, counters, COUNTERS), COUNTERS);
    assert_string_equal(counters[COUNTER_datagrams_received].name, "datagrams_received");
    assert_int_equal(counters[COUNTER_datagrams_received].value, 7);
    assert_int_equal(counters[COUNTER_heartbeats_new].value, 1);
    assert_int_equal(counters[COUNTER_heartbeats_refreshed].value, 1);
    assert_true(strlen(counters[COUNTER_table_full].help) > 10);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(every_kind_of_scope_is_counted),
        TEST(unknown_names_are_not_found),
        TEST(impossible_names_and_windows_are_refused),
        TEST(visitors_are_active_within_the_window),
        TEST(readings_say_how_good_they_are),
        TEST(staleness_is_the_age_of_the_tick_or_the_state),
        TEST(who_starts_anew_has_not_listened),
        TEST(sums_are_clamped),
        TEST(listings_are_sorted),
        TEST(listings_leave_out_what_is_gone),
        TEST(visitors_are_seen),
        TEST(status_describes_the_collector),
        TEST(counters_are_summed_over_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

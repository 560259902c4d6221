/* test_reader_trends.c - peaks, minutes, activity and events, as presence.h returns them. */
#include "reader_fixture.h"

#include <time.h>

static const struct segment_settings settings = {.max_entries = 1000,
                                                 .max_scopes = 32,
                                                 .max_window = 3600,
                                                 .warm_up = 0,
                                                 .max_histories = 4,
                                                 .max_events = 256};

static struct fixture fixture;

static int open_all(void **state)
{
    (void)state;
    fixture_open(&fixture, settings);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fixture_close(&fixture);
    return 0;
}

/* Let seconds pass, with maintenance in each. */
static void maintain(unsigned seconds)
{
    for (; seconds; seconds--) {
        fixture.now++;
        collector_maintain(fixture.collector);
    }
}

static void beats(const char *prefix, unsigned count, const char *site, const char *room)
{
    char visitor[16];

    for (unsigned i = 0; i < count; i++) {
        snprintf(visitor, sizeof(visitor), "%s%u", prefix, i);
        fixture_beat(&fixture, visitor, site, room);
    }
}

/* Check the wall clock's second in which a tick of the collector's clock began; it may tick on
 * while the test runs. */
static void expect_time(int64_t at, uint64_t tick)
{
    int64_t ahead = fixture_segment(&fixture)->header->clock_offset - time_namespace_offset_s();
    int64_t expected = time(NULL) + (int64_t)(tick - clock_boottime(NULL)) - ahead;
    if (at < expected - 2 || at > expected + 1)
        fail_msg("at %lld, not %lld", (long long)at, (long long)expected);
}

static struct presence_minute minute_of(const char *site, uint64_t minute)
{
    struct presence_history history;
    struct presence_minute found = {0};

    assert_int_equal(presence_history(fixture.presence, PRESENCE_SITE, site, NULL, 0, 0, &history),
                     0);
    for (size_t i = 0; i < history.length; i++)
        if (history.minutes[i].minute == minute)
            found = history.minutes[i];
    presence_history_free(&history);
    return found;
}

static void peaks_are_known_until_forgotten(void **state)
{
    struct presence_peaks peaks;

    (void)state;
    assert_int_equal(presence_peaks(fixture.presence, PRESENCE_SITE, "a", NULL, &peaks), -ENOENT);
    uint64_t began = fixture.now;
    beats("x", 3, "A", "/r");
    maintain(1);
    beats("y", 4, "a", NULL);
    maintain(1);
    uint64_t highest = fixture.now;
    maintain(310);
    beats("z", 2, "a", NULL);
    maintain(1);
    assert_int_equal(presence_peaks(fixture.presence, PRESENCE_SITE, "a", NULL, &peaks), 0);
    assert_int_equal(peaks.window_s, 300);
    assert_int_equal(peaks.ever.count, 7);
    expect_time(peaks.ever.at, highest);
    expect_time(peaks.since, began);
    assert_int_equal(peaks.day % 86400, 0);
    assert_true(peaks.today.count == 7 || time(NULL) / 86400 != peaks.day / 86400);
    assert_int_equal(presence_peaks(fixture.presence, PRESENCE_ROOM, "a", "/r", &peaks), 0);
    assert_int_equal(peaks.ever.count, 3);
    /* The scope is freed after an hour, its history after a day. */
    maintain(3700);
    struct presence_reading reading;
    assert_int_equal(presence_count(fixture.presence, "a", NULL, 0, &reading), 0);
    assert_false(reading.exists);
    assert_int_equal(presence_peaks(fixture.presence, PRESENCE_SITE, "a", NULL, &peaks), 0);
    assert_int_equal(peaks.ever.count, 7);
    fixture.now += 86400;
    maintain(1);
    assert_int_equal(presence_peaks(fixture.presence, PRESENCE_SITE, "a", NULL, &peaks), -ENOENT);
}

static void minutes_have_all_changes(void **state)
{
    uint64_t minute = fixture.now / 60;

    (void)state;
    beats("x", 5, "a", "/r"); /* within second 30 */
    fixture_deliver(&fixture, WIRE_PAGEVIEW, "x0", "a", NULL, NULL, NULL);
    maintain(1);
    fixture_deliver(&fixture, WIRE_LEAVE, "x1", "a", NULL, NULL, NULL);
    fixture_deliver(&fixture, WIRE_LEAVE, "nobody", "a", NULL, NULL, NULL);
    maintain(1);
    struct presence_minute running = minute_of("a", minute);
    assert_true(running.running);
    assert_int_equal(running.seconds, 2);
    maintain(58);
    struct presence_minute complete = minute_of("a", minute);
    assert_false(complete.running || complete.warming);
    assert_int_equal(complete.seconds, 29); /* 31 to 59 */
    assert_int_equal(complete.maximum, 5);
    assert_int_equal(complete.minimum, 4);
    assert_true(complete.mean > (5 + 28 * 4) / 29.0 - 1e-9 &&
                complete.mean < (5 + 28 * 4) / 29.0 + 1e-9);
    assert_int_equal(complete.heartbeats, 6);
    assert_int_equal(complete.pageviews, 1);
    assert_int_equal(complete.entries, 5);
    assert_int_equal(complete.leaves, 1);
    assert_int_equal(complete.departures, 0);
    expect_time(complete.start, minute * 60);
    maintain(300);
    uint64_t departures = 0;
    for (uint64_t later = minute + 1; later <= fixture.now / 60; later++)
        departures += minute_of("a", later).departures;
    assert_int_equal(departures, 4);
}

/* A reader is away for a while: those minutes are absent, and no visitor is counted twice. */
static void gaps_are_absent(void **state)
{
    struct presence_history history;
    uint64_t entries = 0, gone = 0;

    (void)state;
    beats("x", 5, "a", NULL);
    maintain(100);
    fixture_stop_collector(&fixture);
    fixture.now += 7 * 60;
    fixture_start_collector(&fixture, settings);
    maintain(100);
    assert_int_equal(presence_history(fixture.presence, PRESENCE_SITE, "a", NULL, 0, 0, &history),
                     0);
    for (size_t i = 0; i < history.length; i++) {
        entries += history.minutes[i].entries;
        gone += history.minutes[i].departures + history.minutes[i].leaves;
        if (i && history.minutes[i].minute > history.minutes[i - 1].minute + 6)
            gone += 100; /* marks the gap */
    }
    assert_int_equal(entries, 5);
    assert_int_equal(gone, 105);
    presence_history_free(&history);
}

static void ranges_are_cut(void **state)
{
    struct presence_history all, some;

    (void)state;
    beats("x", 1, "a", NULL);
    maintain(600);
    assert_int_equal(presence_history(fixture.presence, PRESENCE_SITE, "a", NULL, 0, 0, &all), 0);
    assert_in_range(all.length, 10, 11);
    int64_t since = all.minutes[3].start - 5, until = all.minutes[6].start - 5;
    assert_int_equal(
        presence_history(fixture.presence, PRESENCE_SITE, "a", NULL, since, until, &some), 0);
    assert_int_equal(some.length, 3);
    assert_int_equal(some.minutes[0].minute, all.minutes[3].minute);
    presence_history_free(&some);
    presence_history_free(&all);
    assert_int_equal(presence_history(fixture.presence, PRESENCE_SITE, "b", NULL, 0, 0, &some),
                     -ENOENT);
    assert_int_equal(presence_history(fixture.presence, PRESENCE_SITE, "", NULL, 0, 0, &some),
                     -EINVAL);
}

/* The ring of a day wraps. */
static void a_day_is_kept(void **state)
{
    struct presence_history history;

    (void)state;
    for (unsigned minute = 0; minute < 1500; minute++) {
        beats("x", 1 + minute % 3, "a", NULL);
        fixture.now += 59;
        maintain(1);
    }
    assert_int_equal(presence_history(fixture.presence, PRESENCE_SITE, "a", NULL, 0, 0, &history),
                     0);
    assert_int_equal(history.length, 1440);
    for (size_t i = 1; i < history.length; i++)
        assert_int_equal(history.minutes[i].minute, history.minutes[i - 1].minute + 1);
    assert_int_equal(history.minutes[1439].minute, fixture.now / 60);
    presence_history_free(&history);
}

/* Sites come first, then those labels that are busiest. */
static void histories_go_to_sites_and_the_busiest(void **state)
{
    struct presence_scopes scopes;

    (void)state;
    beats("x", 3, "a", "/idle");
    maintain(1);
    beats("y", 4, "a", "/busy");
    maintain(1);
    beats("z", 1, "b", NULL);
    maintain(1);
    assert_int_equal(presence_history_scopes(fixture.presence, &scopes), 0);
    assert_int_equal(scopes.length, 4);
    assert_string_equal(scopes.scopes[0].site, "a");
    assert_string_equal(scopes.scopes[1].site, "b");
    assert_string_equal(scopes.scopes[2].name, "/busy");
    assert_string_equal(scopes.scopes[3].name, "/idle");
    presence_scopes_free(&scopes);
    beats("q", 1, "c", NULL);
    beats("p", 30, "a", "/busier");
    maintain(60);
    beats("p", 30, "a", "/busier");
    maintain(60);
    assert_int_equal(presence_history_scopes(fixture.presence, &scopes), 0);
    assert_int_equal(scopes.length, 4);
    assert_string_equal(scopes.scopes[2].site, "c");
    assert_string_equal(scopes.scopes[3].name, "/busier");
    presence_scopes_free(&scopes);
    beats("q", 1, "d", NULL);
    beats("q", 1, "e", NULL);
    maintain(1);
    assert_int_equal(
        fixture_segment(&fixture)->counters[SEGMENT_WORKERS_MAX].values[COUNTER_histories_full], 1);
    struct presence_peaks peaks; /* of one that lost its history */
    assert_int_equal(presence_peaks(fixture.presence, PRESENCE_ROOM, "a", "/busier", &peaks), 0);
    assert_int_equal(peaks.ever.count, 30);
}

/* A site takes a label's history, in the second of the label's peak and after it has come back. */
static void peaks_survive_their_history(void **state)
{
    struct presence_peaks peaks;
    uint64_t began = fixture.now;
    char visitor[16];

    (void)state;
    beats("x", 3, "a", "/r");
    maintain(1);
    for (unsigned passed = 0; passed < 3700; passed += 100) {
        beats("x", 1, "a", NULL);
        maintain(100);
    }
    beats("x", 1, "a", "/r"); /* its entry was freed, its history was not */
    beats("x", 2, "b", "/s");
    maintain(1);
    beats("y", 5, "a", "/r");
    beats("z", 1, "c", NULL);
    maintain(1);
    assert_int_equal(presence_peaks(fixture.presence, PRESENCE_ROOM, "a", "/r", &peaks), 0);
    assert_int_equal(peaks.ever.count, 6);
    expect_time(peaks.since, began);
    for (unsigned i = 0; i < 5; i++) {
        snprintf(visitor, sizeof(visitor), "y%u", i);
        fixture_deliver(&fixture, WIRE_LEAVE, visitor, "a", "/r", NULL, NULL);
    }
    maintain(1);
    assert_int_equal(presence_peaks(fixture.presence, PRESENCE_ROOM, "a", "/r", &peaks), 0);
    assert_int_equal(peaks.ever.count, 6);
    expect_time(peaks.ever.at, fixture.now - 1);
}

static void activity_adds_up(void **state)
{
    struct presence_activity activity;
    uint32_t visitors = 0;

    (void)state;
    beats("old", 3, "a", NULL);
    maintain(100);
    beats("new", 4, "a", NULL);
    fixture_deliver(&fixture, WIRE_LEAVE, "old1", "a", NULL, NULL, NULL);
    maintain(5);
    assert_int_equal(presence_activity(fixture.presence, PRESENCE_SITE, "a", NULL, &activity), 0);
    assert_int_equal(activity.reading.count, 6);
    for (size_t i = 0; i < activity.bands_length; i++) {
        visitors += activity.bands[i].visitors;
        assert_int_equal(activity.bands[i].from_s, i ? activity.bands[i - 1].to_s + 1 : 0);
    }
    assert_int_equal(visitors, 6);
    assert_int_equal(activity.bands[0].visitors, 4);
    assert_int_equal(activity.bands[activity.bands_length - 1].to_s, 299);
    assert_true(activity.has_history);
    assert_int_equal(activity.seconds, 60);
    assert_int_equal(activity.heartbeats, 4);
    assert_int_equal(activity.entries, 4);
    assert_int_equal(activity.leaves, 1);
    assert_int_equal(activity.departures, 0);
    maintain(56);
    assert_int_equal(presence_activity(fixture.presence, PRESENCE_SITE, "a", NULL, &activity), 0);
    assert_int_equal(activity.entries + activity.leaves, 0);
    assert_int_equal(presence_activity(fixture.presence, PRESENCE_SITE, "b", NULL, &activity), 0);
    assert_false(activity.reading.exists || activity.has_history);
    assert_int_equal(activity.bands_length, 0);
}

static void expect_events(const char *site, uint64_t from, size_t limit, const char *expected,
                          uint64_t missed, uint64_t *ret_next)
{
    static const char kinds[] = "?elpc";
    struct presence_events events;
    char text[4096] = "";
    int64_t last_us = 0;

    assert_int_equal(presence_events(fixture.presence, site, from, limit, &events), 0);
    for (size_t i = 0; i < events.length; i++) {
        const struct presence_event *event = &events.events[i];
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%c:%s%s%s%s%s ",
                 kinds[event->kind], event->site, event->room, event->country, event->source,
                 event->name);
        assert_true(event->time_us > last_us);
        last_us = event->time_us;
    }
    assert_string_equal(text, expected);
    assert_int_equal(events.missed, missed);
    assert_false(events.renewed);
    if (ret_next)
        *ret_next = events.next;
    presence_events_free(&events);
}

static void events_are_read(void **state)
{
    uint64_t next, future;

    (void)state;
    expect_events(NULL, PRESENCE_EVENTS_OLDEST, 0, "", 0, NULL);
    expect_events(NULL, PRESENCE_EVENTS_NEW, 0, "", 0, &future);
    fixture_deliver(&fixture, WIRE_HEARTBEAT, "v", "a", "/r", "DE", "s.example");
    fixture_deliver(&fixture, WIRE_HEARTBEAT, "v", "a", "/r", "DE", "s.example");
    fixture_deliver(&fixture, WIRE_PAGEVIEW, "v", "a", "/q", NULL, NULL);
    fixture_deliver(&fixture, WIRE_PAGEVIEW, "w", "b", NULL, NULL, NULL);
    expect_events("A", future, 0, "e:a/rDEs.example p:a/q ", 0, &next);
    expect_events(NULL, next, 0, "", 0, NULL);
    expect_events(NULL, future, 3, "e:a/rDEs.example p:a/q e:b ", 0, &next);
    expect_events(NULL, next, 0, "p:b ", 0, &next);
    fixture_deliver(&fixture, WIRE_LEAVE, "v", "a", "/r", NULL, NULL);
    fixture_deliver(&fixture, WIRE_LEAVE, "v", "a", "/r", NULL, NULL);
    fixture_deliver(&fixture, WIRE_LEAVE, "v", "a", NULL, "DE", NULL);
    fixture_deliver(&fixture, WIRE_LEAVE, "nobody", "a", NULL, NULL, NULL);
    expect_events(NULL, next, 0, "l:a/r l:aDE ", 0, NULL);
    assert_int_equal(fixture_segment(&fixture)->counters[0].values[COUNTER_events_thinned], 0);
}

/* Four a second are a site's share of 256; more are counted as thinned, and have no number. */
static void busy_sites_are_thinned_out(void **state)
{
    (void)state;
    for (unsigned second = 0; second < 3; second++) {
        for (unsigned i = 0; i < 10; i++)
            fixture_deliver(&fixture, WIRE_PAGEVIEW, "v", "a", NULL, NULL, NULL);
        fixture_deliver(&fixture, WIRE_EVENT, "v", "b", NULL, NULL, NULL);
        fixture.now++;
    }
    expect_events("a", 0, 0, "e:a p:a p:a p:a p:a p:a p:a p:a p:a p:a p:a p:a ", 0, NULL);
    expect_events("b", 0, 0, "e:b c:bbuy c:bbuy c:bbuy ", 0, NULL);
    assert_int_equal(fixture_segment(&fixture)->counters[0].values[COUNTER_events_thinned],
                     31 - 12);
}

static void lapped_readers_know_how_much_they_missed(void **state)
{
    struct presence_events events;
    uint64_t start, since;

    (void)state;
    expect_events(NULL, PRESENCE_EVENTS_NEW, 0, "", 0, &start);
    for (unsigned i = 0; i < 300; i++) {
        char visitor[8];
        snprintf(visitor, sizeof(visitor), "%u", i);
        fixture.now++;
        collector_maintain(fixture.collector);
        fixture_beat(&fixture, visitor, "a", NULL);
    }
    assert_int_equal(presence_events(fixture.presence, NULL, start + 10, 5, &events), 0);
    assert_int_equal(events.missed, 300 - 256 - 10);
    assert_int_equal(events.length, 5);
    assert_int_equal(events.events[0].sequence, start + 44);
    assert_int_equal(events.next, start + 49);
    int64_t time_us = events.events[3].time_us;
    presence_events_free(&events);
    assert_int_equal(presence_events_since(fixture.presence, time_us, &since), 0);
    assert_int_equal(since, start + 47);
    assert_int_equal(presence_events_since(fixture.presence, time_us + 1, &since), 0);
    assert_int_equal(since, start + 48);
    assert_int_equal(presence_events_since(fixture.presence, 0, &since), 0);
    assert_int_equal(since, start + 44);
    assert_int_equal(presence_events_since(fixture.presence, INT64_MAX, &since), 0);
    assert_int_equal(since, start + 300);
    /* A number of a former segment. */
    assert_int_equal(presence_events(fixture.presence, NULL, start - 1000, 0, &events), 0);
    assert_true(events.renewed);
    assert_int_equal(events.missed, 44);
    assert_int_equal(events.length, 256);
    presence_events_free(&events);
    assert_int_equal(presence_events(fixture.presence, NULL, start + 5000, 0, &events), 0);
    assert_true(events.renewed);
    presence_events_free(&events);
}

/* A daemon that died while it wrote: readers don't wait for it, whether another one runs or not. */
static void unfinished_events_are_missed(void **state)
{
    struct presence_events events;
    uint64_t start, time_us;

    (void)state;
    fixture_beat(&fixture, "v", "a", NULL);
    expect_events(NULL, PRESENCE_EVENTS_NEW, 0, "", 0, &start);
    events_claim(&fixture_segment(&fixture)->events, 1, &time_us);
    fixture_beat(&fixture, "v", "b", NULL);
    expect_events(NULL, start, 0, "", 0, NULL); /* it may be published yet */
    fixture_segment(&fixture)->header->state = SEGMENT_STOPPED;
    expect_events(NULL, start, 0, "e:b ", 1, NULL);
    fixture_segment(&fixture)->header->state = SEGMENT_LISTENING;
    fixture_stop_collector(&fixture);
    fixture_start_collector(&fixture, settings);
    expect_events(NULL, start, 0, "e:b ", 1, NULL);
    assert_int_equal(presence_events(fixture.presence, NULL, 0, 0, &events), 0);
    assert_int_equal(events.length, 2);
    presence_events_free(&events);
}

static void what_is_turned_off_says_so(void **state)
{
    static const struct segment_settings off = {
        .max_entries = 1000, .max_scopes = 32, .max_window = 3600};
    struct presence_history history;
    struct presence_scopes scopes;
    struct presence_events events;
    struct presence_peaks peaks;
    uint64_t sequence;

    (void)state;
    fixture_open(&fixture, off);
    beats("x", 3, "a", "/r");
    fixture_deliver(&fixture, WIRE_PAGEVIEW, "v", "a", "/q", NULL, NULL);
    maintain(2);
    assert_int_equal(presence_history(fixture.presence, PRESENCE_SITE, "a", NULL, 0, 0, &history),
                     -EOPNOTSUPP);
    assert_int_equal(presence_history_scopes(fixture.presence, &scopes), -EOPNOTSUPP);
    assert_int_equal(presence_events(fixture.presence, NULL, 0, 0, &events), -EOPNOTSUPP);
    assert_int_equal(presence_events_since(fixture.presence, 0, &sequence), -EOPNOTSUPP);
    assert_int_equal(presence_peaks(fixture.presence, PRESENCE_SITE, "a", NULL, &peaks), 0);
    assert_int_equal(peaks.ever.count, 4);
    fixture_close(&fixture);
}

int main(void)
{
#define WITH_COLLECTOR(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)
    const struct CMUnitTest tests[] = {
        WITH_COLLECTOR(peaks_are_known_until_forgotten),
        WITH_COLLECTOR(minutes_have_all_changes),
        WITH_COLLECTOR(gaps_are_absent),
        WITH_COLLECTOR(ranges_are_cut),
        WITH_COLLECTOR(a_day_is_kept),
        WITH_COLLECTOR(histories_go_to_sites_and_the_busiest),
        WITH_COLLECTOR(peaks_survive_their_history),
        WITH_COLLECTOR(activity_adds_up),
        WITH_COLLECTOR(events_are_read),
        WITH_COLLECTOR(busy_sites_are_thinned_out),
        WITH_COLLECTOR(lapped_readers_know_how_much_they_missed),
        WITH_COLLECTOR(unfinished_events_are_missed),
        cmocka_unit_test(what_is_turned_off_says_so),
    };
    return cmocka_run_group_tests_name("trends", tests, NULL, NULL);
}

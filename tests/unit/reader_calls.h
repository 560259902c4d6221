/* reader_calls.h - all calls of libpresence on a segment that may lie: none crashes or hangs, and
 * what they return is valid. */
#ifndef PRESENCE_TESTS_READER_CALLS_H
#define PRESENCE_TESTS_READER_CALLS_H

#include "reader_fixture.h"

#include <core/utf8.h>

static const struct segment_settings calls_settings = {.max_entries = 100,
                                                       .max_scopes = 16,
                                                       .max_window = 3600,
                                                       .warm_up = 90,
                                                       .max_histories = 4,
                                                       .max_events = 64,
                                                       .max_streams = 8};

static inline void expect_result(int r, bool may_be_missing)
{
    if (r == -ERANGE || r == -EAGAIN || r == -EBADMSG)
        return; /* ERANGE: a shorter longest window makes a valid header, too */
    if (r != 0 && !(may_be_missing && r == -ENOENT))
        fail_msg("result %d", r);
}

static inline void expect_name(const char *name)
{
    size_t length = strnlen(name, PRESENCE_NAME_MAX + 1);

    assert_in_range(length, 1, PRESENCE_NAME_MAX);
    assert_true(utf8_is_name((const uint8_t *)name, (uint32_t)length));
}

static inline void expect_listing(int r, bool may_be_missing, struct presence_listing *listing)
{
    expect_result(r, may_be_missing);
    if (r != 0)
        return;
    for (size_t i = 0; i < listing->length; i++) {
        expect_name(listing->entries[i].name);
        if (i > 0)
            assert_true(listing->entries[i - 1].count >= listing->entries[i].count);
    }
    presence_listing_free(listing);
}

static inline void expect_text(const char *text, size_t size)
{
    size_t length = strnlen(text, size);

    assert_true(length < size);
    for (size_t i = 0; i < length; i++)
        assert_in_range(text[i], ' ', '~');
}

/* Make all calls about counts, and check what they return. */
static inline void calls_count(struct presence *presence)
{
    struct presence_reading reading;
    struct presence_listing listing;
    struct presence_status status;
    struct presence_counter counters[COUNTERS_SHOWN];

    for (uint32_t window_s = 1; window_s <= 3600; window_s += 1199) {
        expect_result(presence_count(presence, "example.com", NULL, window_s, &reading), true);
        expect_result(presence_count(presence, "example.com", "/a", window_s, &reading), true);
        expect_listing(presence_sites(presence, window_s, &listing), false, &listing);
        for (enum presence_kind kind = PRESENCE_ROOM; kind <= PRESENCE_SOURCE; kind++)
            expect_listing(presence_top(presence, "example.com", kind, window_s, 5, &listing), true,
                           &listing);
    }
    expect_result(presence_seen(presence, "example.com", "a", &reading), true);
    expect_result(presence_seen_scope(presence, PRESENCE_ROOM, "example.com", "/a", "a", &reading),
                  true);
    presence_refused(presence, PRESENCE_ROOM, "example.com", "/a");
    int r = presence_status(presence, &status);
    expect_result(r, false);
    if (r == 0) {
        expect_text(status.receive, sizeof(status.receive));
        expect_text(status.receive_reason, sizeof(status.receive_reason));
        expect_text(status.filter, sizeof(status.filter));
        expect_text(status.filter_interface, sizeof(status.filter_interface));
        expect_text(status.filter_reason, sizeof(status.filter_reason));
        expect_text(status.spread, sizeof(status.spread));
        expect_text(status.spread_reason, sizeof(status.spread_reason));
        expect_text(status.listen_missing, sizeof(status.listen_missing));
        expect_text(status.keys_refused, sizeof(status.keys_refused));
        assert_in_range(status.scopes_live, 0, calls_settings.max_scopes);
    }
    assert_int_equal(presence_counters(presence, counters, COUNTERS_SHOWN), COUNTERS_SHOWN);
}

static inline void expect_name_or_none(const char *name, size_t size)
{
    size_t length = strnlen(name, size);

    assert_true(length < size);
    assert_true(length == 0 || utf8_is_name((const uint8_t *)name, (uint32_t)length));
}

static inline void read_histories(struct presence *presence)
{
    struct presence_scopes scopes;
    struct presence_history history;

    assert_int_equal(presence_history_scopes(presence, &scopes), 0);
    assert_in_range(scopes.length, 0, calls_settings.max_histories);
    for (size_t i = 0; i < scopes.length; i++) {
        expect_name(scopes.scopes[i].site);
        expect_name_or_none(scopes.scopes[i].name, sizeof(scopes.scopes[i].name));
    }
    presence_scopes_free(&scopes);
    int r = presence_history(presence, PRESENCE_SITE, "example.com", NULL, 0, 0, &history);
    expect_result(r, true);
    if (r == 0) {
        assert_in_range(history.length, 0, HISTORY_MINUTES);
        for (size_t i = 1; i < history.length; i++)
            assert_true(history.minutes[i].minute > history.minutes[i - 1].minute);
        presence_history_free(&history);
    }
}

static inline void read_events(struct presence *presence, uint64_t from)
{
    struct presence_events events;

    assert_int_equal(presence_events(presence, NULL, from, 0, &events), 0);
    assert_in_range(events.length, 0, calls_settings.max_events);
    for (size_t i = 0; i < events.length; i++) {
        expect_name(events.events[i].site);
        expect_name_or_none(events.events[i].room, sizeof(events.events[i].room));
        expect_name_or_none(events.events[i].source, sizeof(events.events[i].source));
        expect_name_or_none(events.events[i].name, sizeof(events.events[i].name));
        expect_text(events.events[i].country, sizeof(events.events[i].country));
    }
    presence_events_free(&events);
}

static inline void read_streams(struct presence *presence)
{
    struct presence_streams list;

    assert_int_equal(presence_streams(presence, &list), 0);
    assert_in_range(list.length, 0, calls_settings.max_streams);
    for (size_t i = 0; i < list.length; i++) {
        expect_text(list.streams[i].address, sizeof(list.streams[i].address));
        assert_true(list.streams[i].lost <= list.streams[i].expected);
        assert_true(i == 0 || list.streams[i - 1].last_s <= list.streams[i].last_s);
    }
    presence_streams_free(&list);
}

/* The same for everything but counts. */
static inline void calls_trends(struct presence *presence)
{
    struct presence_peaks peaks;
    struct presence_activity activity;
    uint64_t sequence;

    expect_result(presence_peaks(presence, PRESENCE_SITE, "example.com", NULL, &peaks), true);
    expect_result(presence_peaks(presence, PRESENCE_ROOM, "example.com", "/a", &peaks), true);
    int r = presence_activity(presence, PRESENCE_SITE, "example.com", NULL, &activity);
    expect_result(r, true);
    if (r == 0)
        assert_in_range(activity.bands_length, 0, PRESENCE_AGE_BANDS);
    read_histories(presence);
    read_events(presence, PRESENCE_EVENTS_OLDEST);
    read_events(presence, PRESENCE_EVENTS_NEW);
    assert_int_equal(presence_events_since(presence, 1, &sequence), 0);
    read_events(presence, sequence);
    read_events(presence, sequence + 7);
    read_streams(presence);
}

/* Fill the segment with some of everything. */
static inline void calls_fill(struct fixture *fixture)
{
    char visitor[16], room[8];

    for (int i = 0; i < 20; i++) {
        snprintf(visitor, sizeof(visitor), "%d", i);
        snprintf(room, sizeof(room), "/%c", 'a' + i % 3);
        fixture_deliver(fixture, WIRE_HEARTBEAT, visitor, i % 4 ? "example.com" : "other.example",
                        room, i % 2 ? "DE" : "FR", i % 5 ? NULL : "news.example");
        fixture_advance(fixture, 20);
        collector_maintain(fixture->collector);
    }
}

#endif

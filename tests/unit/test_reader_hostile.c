/* test_reader_hostile.c - a hostile mapping: no call crashes, hangs or returns invalid values.
 * TEST_SEED repeats a run, TEST_LONG makes it ten times as long. */
#include "reader_fixture.h"

#include <core/utf8.h>

#define ROUNDS 3000

static const struct segment_settings settings = {.max_entries = 100,
                                                 .max_scopes = 16,
                                                 .max_window = 3600,
                                                 .warm_up = 90,
                                                 .max_histories = 4,
                                                 .max_events = 64,
                                                 .max_streams = 8};

/* Choose a number that may do harm: near an edge, or any. */
static uint64_t awkward(uint64_t *random)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     2,
                                     15,
                                     16,
                                     17,
                                     255,
                                     256,
                                     INT32_MAX,
                                     UINT32_MAX,
                                     INT64_MAX,
                                     UINT64_MAX,
                                     UINT64_MAX - 1,
                                     UINT64_C(1) << 63,
                                     UINT64_C(1) << 32};

    return random_next(random) % 3 ? edges[random_next(random) % LENGTH(edges)]
                                   : random_next(random);
}

static void spoil_header(uint64_t *random, struct segment_header *header)
{
    /* Everything below the geometry, and sometimes everything. */
    size_t first = random_next(random) % 8 ? offsetof(struct segment_header, state) : 0;

    for (size_t i = first; i + 8 <= sizeof(*header); i += 8) {
        uint64_t value = awkward(random);
        if (random_next(random) % 4 == 0)
            memcpy((char *)header + i, &value, sizeof(value));
    }
    if (random_next(random) % 2)
        header->state = SEGMENT_LISTENING;
}

static void spoil_entry(uint64_t *random, struct scope_entry *entry)
{
    switch (random_next(random) % 7) {
    case 0:
        entry->state = awkward(random);
        break;
    case 1:
        entry->last_heartbeat = awkward(random);
        break;
    case 2:
        entry->next = (uint32_t)awkward(random);
        break;
    case 3:
        entry->site = (uint32_t)awkward(random);
        break;
    case 4:
        entry->kind = (uint8_t)random_next(random);
        break;
    case 5:
        entry->name_length = (uint8_t)awkward(random);
        break;
    default:
        for (int i = 0; i < 8; i++)
            entry->name[random_next(random) % SCOPE_NAME_MAX] = (uint8_t)random_next(random);
    }
}

static void spoil_words(uint64_t *random, uint64_t *words, uint64_t count)
{
    for (uint64_t i = random_next(random) % 32; i > 0; i--)
        words[random_next(random) % count] = awkward(random);
}

static void spoil_trends(uint64_t *random, struct segment *segment)
{
    struct histories *histories = &segment->histories;
    struct events *events = &segment->events;

    spoil_words(random, (uint64_t *)segment->directory.activities,
                segment->directory.capacity * sizeof(struct activity) / 8);
    spoil_words(random, (uint64_t *)histories->heads,
                histories->capacity * sizeof(struct history) / 8);
    spoil_words(random, (uint64_t *)histories->minutes,
                (uint64_t)histories->capacity * HISTORY_MINUTES * sizeof(struct history_minute) /
                    8);
    spoil_words(random, (uint64_t *)events->head, sizeof(*events->head) / 8);
    spoil_words(random, (uint64_t *)events->slots,
                events->capacity * sizeof(struct event_slot) / 8);
}

/* Only one slot is left odd, since a reader waits for its writer. */
static void spoil_streams(uint64_t *random, const struct streams *streams)
{
    spoil_words(random, (uint64_t *)streams->slots, streams->capacity * sizeof(struct stream) / 8);
    for (uint32_t i = 0; i < streams->capacity; i++)
        streams->slots[i].version &= ~UINT64_C(1);
    streams->slots[0].version |= random_next(random) % 256 == 0;
}

static void spoil(uint64_t *random, struct segment *segment)
{
    struct directory *directory = &segment->directory;

    if (random_next(random) % 2)
        spoil_header(random, segment->header);
    for (uint64_t i = random_next(random) % 16; i > 0; i--)
        spoil_entry(random, &directory->entries[random_next(random) % directory->capacity]);
    for (uint64_t i = random_next(random) % 8; i > 0; i--)
        directory->heads[random_next(random) % (directory->head_mask + 1)] =
            (uint32_t)awkward(random);
    spoil_words(random, (uint64_t *)directory->rings,
                directory->capacity * sizeof(struct ring) / sizeof(uint64_t));
    spoil_words(random, segment->table.words, segment->table.pairs * TABLE_PAIR_WORDS);
    spoil_words(random, (uint64_t *)segment->counters, COUNTERS);
    spoil_trends(random, segment);
    spoil_streams(random, &segment->streams);
}

static void expect_result(int r, bool may_be_missing)
{
    if (r == -ERANGE || r == -EAGAIN || r == -EBADMSG)
        return; /* ERANGE: a shorter longest window makes a valid header, too */
    if (r != 0 && !(may_be_missing && r == -ENOENT))
        fail_msg("result %d", r);
}

static void expect_name(const char *name)
{
    size_t length = strnlen(name, PRESENCE_NAME_MAX + 1);

    assert_in_range(length, 1, PRESENCE_NAME_MAX);
    assert_true(utf8_is_name((const uint8_t *)name, (uint32_t)length));
}

static void expect_listing(int r, bool may_be_missing, struct presence_listing *listing)
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

static void expect_text(const char *text, size_t size)
{
    size_t length = strnlen(text, size);

    assert_true(length < size);
    for (size_t i = 0; i < length; i++)
        assert_in_range(text[i], ' ', '~');
}

/* Read everything there is. */
static void read_all(struct presence *presence)
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
        assert_in_range(status.scopes_live, 0, settings.max_scopes);
    }
    assert_int_equal(presence_counters(presence, counters, COUNTERS_SHOWN), COUNTERS_SHOWN);
}

static void expect_name_or_none(const char *name, size_t size)
{
    size_t length = strnlen(name, size);

    assert_true(length < size);
    assert_true(length == 0 || utf8_is_name((const uint8_t *)name, (uint32_t)length));
}

static void read_histories(struct presence *presence)
{
    struct presence_scopes scopes;
    struct presence_history history;

    assert_int_equal(presence_history_scopes(presence, &scopes), 0);
    assert_in_range(scopes.length, 0, settings.max_histories);
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

static void read_events(struct presence *presence, uint64_t from)
{
    struct presence_events events;

    assert_int_equal(presence_events(presence, NULL, from, 0, &events), 0);
    assert_in_range(events.length, 0, settings.max_events);
    for (size_t i = 0; i < events.length; i++) {
        expect_name(events.events[i].site);
        expect_name_or_none(events.events[i].room, sizeof(events.events[i].room));
        expect_name_or_none(events.events[i].source, sizeof(events.events[i].source));
        expect_name_or_none(events.events[i].name, sizeof(events.events[i].name));
        expect_text(events.events[i].country, sizeof(events.events[i].country));
    }
    presence_events_free(&events);
}

static void read_streams(struct presence *presence)
{
    struct presence_streams list;

    assert_int_equal(presence_streams(presence, &list), 0);
    assert_in_range(list.length, 0, settings.max_streams);
    for (size_t i = 0; i < list.length; i++) {
        expect_text(list.streams[i].address, sizeof(list.streams[i].address));
        assert_true(list.streams[i].lost <= list.streams[i].expected);
        assert_true(i == 0 || list.streams[i - 1].last_s <= list.streams[i].last_s);
    }
    presence_streams_free(&list);
}

/* The same for everything but counts. */
static void read_trends(struct presence *presence)
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

static void fill(struct fixture *fixture)
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

static void a_lying_mapping_does_no_harm(void **state)
{
    uint64_t random = random_seed("hostile");
    int rounds = getenv("TEST_LONG") ? 10 * ROUNDS : ROUNDS;
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture, settings);
    fill(&fixture);
    struct segment *segment = fixture_segment(&fixture);
    void *good = malloc(segment->size);
    memcpy(good, segment->header, segment->size);
    for (int round = 0; round < rounds; round++) {
        spoil(&random, segment);
        read_all(fixture.presence);
        read_trends(fixture.presence);
        struct presence *again;
        if (presence_open(fixture.scratch.path, &again) == 0) {
            read_all(again);
            presence_close(again);
        }
        memcpy(segment->header, good, segment->size);
    }
    free(good);
    fixture_close(&fixture);
}

static void verification_of_nonsense_ends(void **state)
{
    uint64_t random = random_seed("verify");
    struct presence_verification result;
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture, settings);
    fill(&fixture);
    struct segment *segment = fixture_segment(&fixture);
    void *good = malloc(segment->size);
    memcpy(good, segment->header, segment->size);
    for (int round = 0; round < ROUNDS / 10; round++) {
        spoil(&random, segment);
        segment->header->state = SEGMENT_STOPPED; /* or it would wait for the tick to move */
        assert_int_equal(presence_verify(fixture.presence, &result), 0);
        memcpy(segment->header, good, segment->size);
    }
    free(good);
    fixture_close(&fixture);
}

/* Each link to itself, each head to each entry: every walk ends. */
static void circular_chains_end(void **state)
{
    struct presence_reading reading;
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture, settings);
    fill(&fixture);
    struct directory *directory = &fixture_segment(&fixture)->directory;
    for (uint32_t i = 0; i < directory->capacity; i++) {
        directory->entries[i].next = i + 1;
        directory->entries[i].hash++;
    }
    for (uint32_t i = 0; i <= directory->head_mask; i++)
        directory->heads[i] = 1 + i % directory->capacity;
    assert_int_equal(presence_count(fixture.presence, "example.com", NULL, 0, &reading), 0);
    assert_false(reading.exists);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lying_mapping_does_no_harm),
        cmocka_unit_test(verification_of_nonsense_ends),
        cmocka_unit_test(circular_chains_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

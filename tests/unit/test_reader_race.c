/* test_reader_race.c - counts and events while visitors, ticks, scopes and writers move meanwhile.
 */
#include "reader_fixture.h"

#include <pthread.h>

#include "reader.h"

#define VISITORS   200
#define MAX_WINDOW 60
#define READS      100000

static const struct segment_settings settings = {
    .max_entries = 5000, .max_scopes = 24, .max_window = MAX_WINDOW, .warm_up = 0};

struct traffic {
    struct fixture *fixture;
    uint64_t rounds; /* finished */
    bool stop;
};

/* Send all visitors in one datagram: a batch that moves them all from one tick to another. */
static void beat_all(struct fixture *fixture, const char *site, const char *room)
{
    static uint8_t ids[VISITORS][WIRE_VISITOR_SIZE];
    uint8_t datagram[WIRE_VISITOR_SIZE * VISITORS + 600];
    struct wire_heartbeat heartbeat = {
        .site = fixture_name(site),
        .room = fixture_name(room),
        .kind = WIRE_HEARTBEAT,
        .visitors = VISITORS,
        .visitor_ids = &ids[0][0],
    };

    for (int i = 0; i < VISITORS; i++)
        memcpy(ids[i], &i, sizeof(i));
    uint32_t size = wire_v1_encode(&heartbeat, datagram, sizeof(datagram));
    ingest_begin(fixture->ingest);
    ingest_datagram(fixture->ingest, datagram, size);
    ingest_end(fixture->ingest);
}

/* Send the same visitors on a site that stays, once a tick; other sites come and are freed. */
static void *send_traffic(void *context)
{
    struct traffic *traffic = context;
    struct fixture *fixture = traffic->fixture;
    char site[32];

    for (uint64_t round = 0; !atomic_load_relaxed(&traffic->stop); round++) {
        fixture->now++;
        beat_all(fixture, "example.com", "/");
        snprintf(site, sizeof(site), "site-%llu.example", (unsigned long long)(round / 4 % 64));
        fixture_beat(fixture, "a", site, "/b");
        collector_maintain(fixture->collector);
        atomic_store_relaxed(&traffic->rounds, round);
    }
    return NULL;
}

static void check_counts(struct presence *presence, const char *room, uint32_t window_s)
{
    struct presence_reading reading;
    int r = presence_count(presence, "example.com", room, window_s, &reading);

    if (r < 0)
        fail_msg("error %d", r);
    if (reading.count < VISITORS || reading.count > 2 * VISITORS)
        fail_msg("%u of %d visitors in %u s", reading.count, VISITORS, window_s);
}

/* Check that a site that comes and goes is there with its visitor or is not. */
static void check_guest(struct presence *presence, const char *site)
{
    struct presence_reading reading;
    int r = presence_count(presence, site, "/b", 0, &reading);

    if (r != 0 && r != -EAGAIN)
        fail_msg("error %d", r);
    if (r == 0)
        assert_in_range(reading.count, 0, 2);
}

static void check_list(struct presence *presence)
{
    struct presence_listing listing;

    assert_int_equal(presence_sites(presence, 0, &listing), 0);
    assert_true(listing.length >= 1);
    assert_string_equal(listing.entries[0].name, "example.com");
    for (size_t i = 1; i < listing.length; i++) {
        assert_in_range(listing.entries[i].count, 0, 2);
        assert_memory_equal(listing.entries[i].name, "site-", 5);
    }
    presence_listing_free(&listing);
}

static void readers_see_no_dip(void **state)
{
    struct fixture fixture;
    struct traffic traffic = {.fixture = &fixture};
    char site[32];
    pthread_t thread;

    (void)state;
    fixture_open(&fixture, settings);
    beat_all(&fixture, "example.com", "/");
    assert_int_equal(pthread_create(&thread, NULL, send_traffic, &traffic), 0);
    for (uint32_t i = 0; i < READS || atomic_load_relaxed(&traffic.rounds) < 5000; i++) {
        check_counts(fixture.presence, i % 2 ? "/" : NULL, 2 + i % (MAX_WINDOW - 1));
        snprintf(site, sizeof(site), "site-%u.example", i % 64);
        check_guest(fixture.presence, site);
        if (i % 16 == 0)
            check_list(fixture.presence);
    }
    atomic_store_relaxed(&traffic.stop, true);
    pthread_join(thread, NULL);
    fixture_close(&fixture);
}

/* Change the header as if entries were freed all the time. */
static void *keep_freeing(void *context)
{
    struct traffic *traffic = context;

    while (!atomic_load_relaxed(&traffic->stop))
        atomic_add_relaxed(&fixture_segment(traffic->fixture)->header->directory_changes, 1);
    return NULL;
}

static void a_miss_is_believed_only_in_a_directory_at_rest(void **state)
{
    struct fixture fixture;
    struct traffic traffic = {.fixture = &fixture};
    struct reader_place place;
    struct reader_scope scope;
    pthread_t thread;
    int r = -ENOENT;

    (void)state;
    fixture_open(&fixture, settings);
    assert_int_equal(reader_parse_place(PRESENCE_SITE, "nobody.example", NULL, &place), 0);
    assert_int_equal(reader_find(fixture.presence, &place, &scope), -ENOENT);
    assert_int_equal(pthread_create(&thread, NULL, keep_freeing, &traffic), 0);
    for (uint64_t deadline = clock_boottime(NULL) + 20;
         r == -ENOENT && clock_boottime(NULL) < deadline;)
        r = reader_find(fixture.presence, &place, &scope);
    atomic_store_relaxed(&traffic.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(r, -EAGAIN);
    fixture_close(&fixture);
}

static void an_entry_of_another_generation_is_not_the_same(void **state)
{
    struct fixture fixture;
    struct reader_place place;
    struct reader_scope scope;

    (void)state;
    fixture_open(&fixture, settings);
    fixture_beat(&fixture, "a", "example.com", "/x");
    struct scope_entry *entries = fixture_segment(&fixture)->directory.entries;
    assert_int_equal(reader_parse_place(PRESENCE_ROOM, "example.com", "/x", &place), 0);
    assert_int_equal(reader_find(fixture.presence, &place, &scope), 0);
    assert_true(reader_is_same(fixture.presence, &scope));
    entries[scope.index].state += SCOPE_RETIRING - SCOPE_LIVE; /* may be used again */
    assert_true(reader_is_same(fixture.presence, &scope));
    entries[scope.site].state += SCOPE_GENERATION;
    assert_false(reader_is_same(fixture.presence, &scope));
    entries[scope.site].state -= SCOPE_GENERATION;
    entries[scope.index].state += SCOPE_GENERATION;
    assert_false(reader_is_same(fixture.presence, &scope));
    fixture_close(&fixture);
}

/* Others may write as many events as the ring holds while one writer is held up. */
static void a_slow_writer_is_waited_for(void **state)
{
    const uint32_t capacity = 256;
    struct segment_settings with_events = settings;
    struct presence_events events;
    struct event_record record;
    struct fixture fixture;
    uint64_t time_us;

    (void)state;
    with_events.max_events = capacity;
    fixture_open(&fixture, with_events);
    fixture_beat(&fixture, "v", "example.com", NULL);
    const struct events *ring = &fixture_segment(&fixture)->events;
    assert_int_equal(events_load(ring, ring->head->next - 1, &record), EVENT_LOADED);
    uint64_t claimed = events_claim(ring, 1, &time_us);
    for (uint32_t i = 0; i < capacity - 2; i++)
        assert_true(events_write(ring, 1, &record));
    assert_int_equal(presence_events(fixture.presence, NULL, claimed, 0, &events), 0);
    assert_int_equal(events.length + events.missed, 0);
    assert_int_equal(events.next, claimed);
    presence_events_free(&events);
    assert_true(events_write(ring, 1, &record));
    assert_int_equal(presence_events(fixture.presence, NULL, claimed, 0, &events), 0);
    assert_int_equal(events.missed, 1);
    assert_int_equal(events.length, capacity - 1);
    presence_events_free(&events);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_no_dip),
        cmocka_unit_test(a_miss_is_believed_only_in_a_directory_at_rest),
        cmocka_unit_test(an_entry_of_another_generation_is_not_the_same),
        cmocka_unit_test(a_slow_writer_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_event_writer.c - event_writer.h: what an event records, and that sites write their shares.
 */
#include "event_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "event_writer.h"

#define EVENTS 256
#define RATE   4 /* a 64th of them */

static struct fixture *open_events(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings.max_events = EVENTS;
    open_collector(fixture);
    return fixture;
}

static struct event_place place_of(uint32_t site)
{
    return (struct event_place){.scopes = {[SCOPE_SITE] = site,
                                           [SCOPE_ROOM] = SCOPE_NONE,
                                           [SCOPE_COUNTRY] = SCOPE_NONE,
                                           [SCOPE_SOURCE] = SCOPE_NONE}};
}

static void a_ring_of_none_is_closed(void **state)
{
    struct fixture *fixture = *state;

    open_collector(fixture);
    assert_false(event_writer_is_open(segment_of(fixture)));
    kill_collector(fixture);
    fixture->settings.max_events = EVENTS;
    open_collector(fixture);
    assert_true(event_writer_is_open(segment_of(fixture)));
    kill_collector(fixture);
}

static void events_say_where_and_what(void **state)
{
    struct fixture *fixture = open_events(state);
    struct event_place place = place_of(hold_site(fixture, "a.example", START));
    uint32_t site = place.scopes[SCOPE_SITE];
    struct timespec before, after;

    place.scopes[SCOPE_ROOM] = hold_label(fixture, "a.example", site, SCOPE_ROOM, "/r", START);
    place.scopes[SCOPE_COUNTRY] =
        hold_label(fixture, "a.example", site, SCOPE_COUNTRY, "DE", START);
    place.scopes[SCOPE_SOURCE] =
        hold_label(fixture, "a.example", site, SCOPE_SOURCE, "s.example", START);
    place.name_length = 3;
    memcpy(place.name, "buy", 3);

    uint64_t number = next_event(fixture);
    clock_gettime(CLOCK_REALTIME, &before);
    assert_true(event_writer_emit(segment_of(fixture), &fixture->collector.event_share,
                                  EVENT_CUSTOM, &place, START));
    clock_gettime(CLOCK_REALTIME, &after);
    struct event_record record = load_event(fixture, number);
    assert_int_equal(record.kind, EVENT_CUSTOM);
    assert_memory_equal(record.country, "DE", 2);
    expect_names(&record, "a.example", "/r", "s.example", "buy");
    assert_in_range(record.time_us, (uint64_t)before.tv_sec * 1000000,
                    (uint64_t)(after.tv_sec + 1) * 1000000);

    /* Only custom events have a name. */
    assert_true(event_writer_emit(segment_of(fixture), &fixture->collector.event_share,
                                  EVENT_PAGEVIEW, &place, START));
    record = load_event(fixture, number + 1);
    assert_int_equal(record.kind, EVENT_PAGEVIEW);
    expect_names(&record, "a.example", "/r", "s.example", "");

    /* Without labels. */
    place = place_of(site);
    assert_true(event_writer_emit(segment_of(fixture), &fixture->collector.event_share, EVENT_LEFT,
                                  &place, START));
    record = load_event(fixture, number + 2);
    assert_int_equal(record.kind, EVENT_LEFT);
    assert_memory_equal(record.country, "\0", 2);
    expect_names(&record, "a.example", "", "", "");
    kill_collector(fixture);
}

/* The wire's longest names fit the record exactly. */
static void the_longest_names_fit(void **state)
{
    struct fixture *fixture = open_events(state);
    char site[EVENT_SITE_MAX + 1], room[EVENT_ROOM_MAX + 1], source[EVENT_SOURCE_MAX + 1];
    char name[EVENT_NAME_MAX + 1];

    memset(site, 's', sizeof(site));
    memset(room, 'r', sizeof(room));
    memset(source, 'o', sizeof(source));
    memset(name, 'n', sizeof(name));
    site[EVENT_SITE_MAX] = room[EVENT_ROOM_MAX] = source[EVENT_SOURCE_MAX] = '\0';
    name[EVENT_NAME_MAX] = '\0';
    struct event_place place = place_of(hold_site(fixture, site, START));
    uint32_t index = place.scopes[SCOPE_SITE];
    place.scopes[SCOPE_ROOM] = hold_label(fixture, site, index, SCOPE_ROOM, room, START);
    place.scopes[SCOPE_SOURCE] = hold_label(fixture, site, index, SCOPE_SOURCE, source, START);
    place.name_length = EVENT_NAME_MAX;
    memcpy(place.name, name, EVENT_NAME_MAX);
    uint64_t number = next_event(fixture);
    assert_true(event_writer_emit(segment_of(fixture), &fixture->collector.event_share,
                                  EVENT_CUSTOM, &place, START));
    struct event_record record = load_event(fixture, number);
    expect_names(&record, site, room, source, name);
    assert_int_equal(event_slot_at(&segment_of(fixture)->events, number)->reserved[0], 0);
    kill_collector(fixture);
}

static __attribute__((noinline)) void leave_secrets_on_the_stack(void)
{
    volatile uint8_t stack[sizeof(struct event_record) * 4];

    for (size_t i = 0; i < sizeof(stack); i++)
        stack[i] = 0x77;
}

/* Nothing of the writer's stack gets into the record. */
static void no_other_byte_gets_out(void **state)
{
    struct fixture *fixture = open_events(state);
    struct event_place place = place_of(hold_site(fixture, "a", START));
    const struct events *events = &segment_of(fixture)->events;
    uint64_t number = next_event(fixture);

    leave_secrets_on_the_stack();
    assert_true(event_writer_emit(segment_of(fixture), &fixture->collector.event_share,
                                  EVENT_ENTERED, &place, START));
    const struct event_record *record = &event_slot_at(events, number)->record;
    assert_int_equal(record->reserved, 0);
    assert_int_equal(record->names.bytes[0], 'a');
    for (size_t i = 1; i < sizeof(record->names.bytes); i++)
        assert_int_equal(record->names.bytes[i], 0);
    kill_collector(fixture);
}

/* Each site has its own share of a second. */
static void sites_write_their_share(void **state)
{
    struct fixture *fixture = open_events(state);
    struct event_place a = place_of(hold_site(fixture, "a", START));
    struct event_place b = place_of(hold_site(fixture, "b", START));
    const struct segment *segment = segment_of(fixture);
    struct event_share *share = &fixture->collector.event_share;

    for (uint64_t now = START; now < START + 3; now++) {
        uint64_t before = next_event(fixture);
        for (unsigned i = 0; i < 3 * RATE; i++)
            assert_int_equal(event_writer_emit(segment, share, EVENT_PAGEVIEW, &a, now), i < RATE);
        for (unsigned i = 0; i < 2 * RATE; i++)
            assert_int_equal(event_writer_emit(segment, share, EVENT_PAGEVIEW, &b, now), i < RATE);
        assert_int_equal(next_event(fixture),
                         before + 2 * RATE); /* dropped events have no number */
    }
    kill_collector(fixture);
}

/* A new site in an entry whose previous site had used up its share. */
static void shares_are_of_ticks(void **state)
{
    struct fixture *fixture = open_events(state);
    struct event_place place = place_of(hold_site(fixture, "a", START));
    uint64_t *spent = &segment_of(fixture)->directory.activities[place.scopes[0]].events_spent;

    *spent = (uint64_t)(uint32_t)START << 32 | (RATE - 1);
    assert_true(event_writer_emit(segment_of(fixture), &fixture->collector.event_share, EVENT_LEFT,
                                  &place, START));
    assert_false(event_writer_emit(segment_of(fixture), &fixture->collector.event_share, EVENT_LEFT,
                                   &place, START));
    assert_int_equal(*spent, (uint64_t)(uint32_t)START << 32 | RATE);
    *spent = (uint64_t)(uint32_t)(START - 1) << 32 | RATE;
    assert_true(event_writer_emit(segment_of(fixture), &fixture->collector.event_share, EVENT_LEFT,
                                  &place, START));
    kill_collector(fixture);
}

struct writer {
    const struct segment *segment;
    struct event_share *share;
    struct event_place place;
    uint64_t *now;
    unsigned written;
};

#define WRITERS 4
#define ROUNDS  50
#define MANY    16384 /* events, so that writers meet */

static void *write_events(void *context)
{
    struct writer *writer = context;

    for (uint64_t now = START; now < START + ROUNDS; now++) {
        while (atomic_load_acquire(writer->now) != now)
            sched_yield();
        for (unsigned i = 0; i < MANY / 64; i++)
            writer->written += event_writer_emit(writer->segment, writer->share, EVENT_PAGEVIEW,
                                                 &writer->place, now);
        atomic_add_relaxed(&writer->now[1], 1);
    }
    return NULL;
}

/* Workers share a site's second exactly. */
static void workers_share_a_sites_share(void **state)
{
    struct fixture *fixture = *state;
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    uint64_t now[2] = {0, 0};
    unsigned written = 0;

    fixture->settings.max_events = MANY;
    open_collector(fixture);
    uint64_t first = next_event(fixture);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){
            .segment = segment_of(fixture),
            .share = &fixture->collector.event_share,
            .place = place_of(hold_site(fixture, "a", START)),
            .now = now,
        };
        assert_int_equal(pthread_create(&threads[i], NULL, write_events, &writers[i]), 0);
    }
    for (uint64_t round = 0; round < ROUNDS; round++) {
        event_share_update(&fixture->collector.event_share, START + round);
        atomic_store_release(&now[0], START + round);
        while (atomic_load_acquire(&now[1]) != (round + 1) * WRITERS)
            sched_yield();
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        written += writers[i].written;
    }
    assert_int_equal(written, ROUNDS * MANY / 64);
    assert_int_equal(next_event(fixture) - first, ROUNDS * MANY / 64);
    kill_collector(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_ring_of_none_is_closed),    TEST(events_say_where_and_what),
        TEST(the_longest_names_fit),       TEST(no_other_byte_gets_out),
        TEST(sites_write_their_share),     TEST(shares_are_of_ticks),
        TEST(workers_share_a_sites_share),
    };
    return cmocka_run_group_tests_name("event_writer", tests, NULL, NULL);
}

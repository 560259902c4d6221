/* test_segment_copy.c - collector_move: a copy replaces a deleted segment while workers count.
 */
#include "../support/buckets.h"
#include "reader_fixture.h"

#include <pthread.h>

#include "receive/streams.h"

static const struct segment_settings settings = {.max_entries = 400000,
                                                 .max_scopes = 64,
                                                 .max_window = 600,
                                                 .max_histories = 8,
                                                 .max_events = EVENTS_MIN,
                                                 .max_streams = 2};

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

static uint32_t count(struct fixture *fixture, bool *ret_stale)
{
    struct presence_reading reading;

    assert_int_equal(presence_count(fixture->presence, "example.com", NULL, 0, &reading), 0);
    *ret_stale = reading.stale;
    return reading.count;
}

static void a_deleted_segment_goes_on_in_a_copy(void **state)
{
    struct fixture *fixture = *state;
    struct segment before = *fixture_segment(fixture);
    const struct wire_v2_datagram datagram = {.stream = 7, .sequence = 9};
    uint64_t counted[COUNTERS] = {0};
    bool stale;

    fixture_beat(fixture, "a", "example.com", "/room");
    struct stream_table *streams = fixture->collector->streams;
    assert_true(streams_receive(streams, &datagram, 0, NULL, fixture->now, counted));
    int old = open(fixture->scratch.path, O_RDONLY);
    assert_int_equal(unlink(fixture->scratch.path), 0);
    assert_int_equal(collector_move(fixture->collector, fixture->scratch.path), 0);

    /* At the same addresses, in the new file, locked; the old file is marked. */
    const struct segment_file *file = &fixture->collector->file;
    assert_memory_equal(&file->segment, &before, sizeof(before));
    assert_true(segment_file_is_at(file->descriptor, fixture->scratch.path));
    struct segment_header header;
    assert_int_equal(pread(old, &header, sizeof(header), 0), sizeof(header));
    assert_int_equal(header.state, SEGMENT_REPLACED);
    assert_int_equal(before.header->state, SEGMENT_LISTENING);
    close(old);
    struct segment_file second;
    pid_t holder;
    assert_int_equal(
        segment_file_open(fixture->scratch.path, &settings, fixture->now, &second, &holder),
        -EBUSY);
    assert_int_equal(scratch_count(&fixture->scratch), 1);

    /* A stream is known, and recorded there. */
    assert_false(streams_receive(streams, &datagram, 0, NULL, fixture->now, counted));
    assert_int_equal(before.streams.slots[0].duplicates, 1);

    /* An open reader finds the copy, and later counts. */
    fixture_beat(fixture, "b", "example.com", "/room");
    assert_int_equal(count(fixture, &stale), 2);
    assert_false(stale);
}

static void a_copy_that_cannot_be_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    char path[200];
    bool stale;

    fixture_beat(fixture, "a", "example.com", NULL);
    snprintf(path, sizeof(path), "%s/missing/segment", fixture->scratch.directory);
    assert_int_equal(collector_move(fixture->collector, path), -ENOENT);
    fixture_beat(fixture, "b", "example.com", NULL);
    assert_int_equal(count(fixture, &stale), 2);
    assert_false(stale);
    assert_true(segment_file_is_at(fixture->collector->file.descriptor, fixture->scratch.path));
}

/* Another file got the path meanwhile: the copy has no name, and can be linked later. */
static void a_copy_without_a_name_can_be_named(void **state)
{
    struct fixture *fixture = *state;
    const struct segment_file *file = &fixture->collector->file;
    bool stale;

    fixture_beat(fixture, "a", "example.com", NULL);
    assert_int_equal(collector_move(fixture->collector, fixture->scratch.path), -EEXIST);
    assert_false(segment_file_is_at(file->descriptor, fixture->scratch.path));
    fixture_beat(fixture, "b", "example.com", NULL);
    assert_int_equal(unlink(fixture->scratch.path), 0);
    assert_int_equal(segment_file_link(file->descriptor, fixture->scratch.path), 0);
    fixture_advance(fixture, 1);
    struct presence *presence;
    assert_int_equal(presence_open(fixture->scratch.path, &presence), 0);
    presence_close(fixture->presence);
    fixture->presence = presence;
    assert_int_equal(count(fixture, &stale), 2);
}

#define BEATS 20000

static void *beat(void *context)
{
    struct fixture *fixture = context;
    char visitor[16];

    for (unsigned i = 0; i < BEATS; i++) {
        snprintf(visitor, sizeof(visitor), "v%u", i);
        fixture_beat(fixture, visitor, "example.com", NULL);
    }
    return NULL;
}

/* A worker that never pauses yields to it, and loses nothing. */
static void a_worker_goes_on_counting(void **state)
{
    struct fixture *fixture = *state;
    pthread_t worker;
    bool stale;

    assert_int_equal(pthread_create(&worker, NULL, beat, fixture), 0);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(unlink(fixture->scratch.path), 0);
        assert_int_equal(collector_move(fixture->collector, fixture->scratch.path), 0);
    }
    assert_int_equal(pthread_join(worker, NULL), 0);
    assert_int_equal(count(fixture, &stale), BEATS);
    struct presence_verification verification;
    assert_int_equal(presence_verify(fixture->presence, &verification), 0);
    assert_int_equal(verification.difference, 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(a_deleted_segment_goes_on_in_a_copy),
        TEST(a_copy_that_cannot_be_changes_nothing),
        TEST(a_copy_without_a_name_can_be_named),
        TEST(a_worker_goes_on_counting),
    };
    return cmocka_run_group_tests_name("segment_copy", tests, NULL, NULL);
}

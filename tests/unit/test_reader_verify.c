/* test_reader_verify.c - presence_verify finds every disagreement, and reports no other. */
#include "../support/asleep.h"
#include "reader_fixture.h"

#include <pthread.h>

static struct segment_settings settings_for(uint32_t max_window)
{
    return (struct segment_settings){
        .max_entries = 50000, .max_scopes = 64, .max_window = max_window, .warm_up = 0};
}

/* Let visitors come, move about and leave for three hours. */
static void live_through(struct fixture *fixture, uint64_t *random)
{
    char visitor[16], room[16];

    for (int i = 0; i < 3000; i++) {
        snprintf(visitor, sizeof(visitor), "%d", (int)(random_next(random) % 400));
        snprintf(room, sizeof(room), "/%d", (int)(random_next(random) % 5));
        fixture_deliver(fixture, random_next(random) % 10 ? WIRE_HEARTBEAT : WIRE_LEAVE, visitor,
                        random_next(random) % 3 ? "example.com" : "other.example",
                        random_next(random) % 2 ? room : NULL, "DE", NULL);
        if (random_next(random) % 4 == 0)
            fixture_advance(fixture, random_next(random) % 30);
    }
}

static struct presence_verification verify(struct fixture *fixture)
{
    struct presence_verification result;

    assert_int_equal(presence_verify(fixture->presence, &result), 0);
    return result;
}

static void sound_segments_have_no_difference(void **state)
{
    static const uint32_t windows[] = {1, 60, 300, 480, 481, 600, 3600};
    uint64_t random = random_seed("sound");
    struct presence_status status;
    struct fixture fixture;

    (void)state;
    for (size_t i = 0; i < LENGTH(windows); i++) {
        fixture_open(&fixture, settings_for(windows[i]));
        live_through(&fixture, &random);
        struct presence_verification result = verify(&fixture);
        assert_int_equal(result.difference, 0);
        assert_int_equal(result.in_flight, 0);
        assert_int_equal(presence_status(fixture.presence, &status), 0);
        if (windows[i] <= WINDOW_FINE_MAX)
            assert_int_equal(result.words, status.entries_live);
        else /* its oldest minute has begun for some of them only */
            assert_in_range(result.words, status.entries_live, 50000);
        fixture_close(&fixture);
    }
}

/* Verify without waiting: the collector has stopped. */
static struct presence_verification verify_stopped(struct fixture *fixture)
{
    struct segment_header *header = fixture_segment(fixture)->header;
    uint32_t state = header->state;

    header->state = SEGMENT_STOPPED;
    struct presence_verification result = verify(fixture);
    header->state = state;
    return result;
}

static struct ring *first_ring(struct fixture *fixture)
{
    return &fixture_segment(fixture)->directory.rings[0];
}

static void every_bucket_is_compared(void **state)
{
    uint64_t random = random_seed("buckets");
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture, settings_for(3600));
    live_through(&fixture, &random);
    for (uint64_t age = 0; age < 480; age += 7) {
        uint64_t *bucket = &first_ring(&fixture)->seconds[(fixture.now - age) % RING_SECONDS];
        uint64_t word = *bucket;
        ring_add_bucket(bucket, (uint32_t)(fixture.now - age), random_next(&random) % 2 ? 3 : -3);
        struct presence_verification result = verify_stopped(&fixture);
        assert_int_equal(result.difference, 3);
        assert_int_equal(result.in_flight, 0);
        *bucket = word;
    }
    for (uint64_t age = 0; age < 60; age++) {
        uint64_t minute = fixture.now / 60 - age;
        uint64_t *bucket = &first_ring(&fixture)->minutes[minute % RING_MINUTES];
        uint64_t word = *bucket;
        ring_add_bucket(bucket, (uint32_t)minute, -2);
        struct presence_verification result = verify_stopped(&fixture);
        assert_int_equal(result.difference, 2);
        assert_int_equal(result.worst_tick_age_s, fixture.now - minute * 60);
        *bucket = word;
    }
    assert_int_equal(verify_stopped(&fixture).difference, 0);
    fixture_close(&fixture);
}

static void every_word_is_compared(void **state)
{
    uint64_t random = random_seed("words");
    struct fixture fixture;
    unsigned compared = 0;

    (void)state;
    fixture_open(&fixture, settings_for(3600));
    live_through(&fixture, &random);
    const struct table *table = &fixture_segment(&fixture)->table;
    for (uint64_t i = 0; i < table->pairs * TABLE_PAIR_WORDS; i++) {
        uint64_t word = table->words[i];
        uint64_t age = table_age(word, fixture.now);
        if (!word || fixture.now / 60 - (fixture.now - age) / 60 >= 60 || compared++ % 16)
            continue;
        table->words[i] = 0; /* lost */
        struct presence_verification result = verify_stopped(&fixture);
        assert_int_equal(result.difference, 1);
        if (age < 480)
            assert_int_equal(result.worst_tick_age_s, age);
        /* Make the table say that they are long gone. */
        table->words[i] = table_word(word & ~TABLE_TICK_MASK, fixture.now - age - 4000);
        assert_int_equal(verify_stopped(&fixture).difference, 1);
        table->words[i] = word;
    }
    assert_true(compared > 100);
    assert_int_equal(verify_stopped(&fixture).difference, 0);
    fixture_close(&fixture);
}

static void ticks_that_no_window_counts_are_left_out(void **state)
{
    uint64_t random = random_seed("old");
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture, settings_for(300));
    live_through(&fixture, &random);
    for (uint64_t age = 300; age < 512; age++)
        first_ring(&fixture)->seconds[(fixture.now - age) % RING_SECONDS] =
            (fixture.now - age) << 32 | 5;
    memset(first_ring(&fixture)->minutes, 0, sizeof(first_ring(&fixture)->minutes));
    assert_int_equal(verify(&fixture).difference, 0);
    fixture_close(&fixture);
}

/* A longest window of 481 s is rounded to nine minutes. */
static void rounded_windows_are_compared_in_full(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture, settings_for(481));
    fixture_beat(&fixture, "a", "example.com", NULL);
    for (uint64_t age = 7; age <= 9; age++) {
        uint64_t minute = fixture.now / 60 - age;
        uint64_t *bucket = &first_ring(&fixture)->minutes[minute % RING_MINUTES];
        ring_add_bucket(bucket, (uint32_t)minute, 1);
        assert_int_equal(verify_stopped(&fixture).difference, age < 9);
        *bucket = 0;
    }
    fixture_close(&fixture);
}

/* A writer that never pauses, in batches, while the tick moves. */
struct traffic {
    struct fixture *fixture;
    uint64_t random;
    bool stop;
};

static void *send_traffic(void *context)
{
    struct traffic *traffic = context;

    while (!atomic_load_relaxed(&traffic->stop)) {
        live_through(traffic->fixture, &traffic->random);
        fixture_advance(traffic->fixture, 1);
    }
    return NULL;
}

static void traffic_explains_the_difference_it_makes(void **state)
{
    struct fixture fixture;
    struct traffic traffic = {.fixture = &fixture, .random = random_seed("traffic")};
    pthread_t thread;

    (void)state;
    fixture_open(&fixture, settings_for(3600));
    assert_int_equal(pthread_create(&thread, NULL, send_traffic, &traffic), 0);
    for (int i = 0; i < 200; i++) {
        struct presence_verification result = verify(&fixture);
        if (result.difference > result.in_flight)
            fail_msg("difference %llu, in flight %llu", (unsigned long long)result.difference,
                     (unsigned long long)result.in_flight);
    }
    atomic_store_relaxed(&traffic.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(verify(&fixture).difference, 0);
    fixture_close(&fixture);
}

struct beside {
    struct fixture *fixture;
    pid_t id;
    struct presence_verification result;
};

static void *verify_beside(void *context)
{
    struct beside *beside = context;

    atomic_store_release(&beside->id, gettid()); /* pairs with a_batch_in_progress_is_waited_for */
    beside->result = verify(beside->fixture);
    return NULL;
}

/* A batch has changed words, and will publish its buckets and its counters in the end. */
static void a_batch_in_progress_is_waited_for(void **state)
{
    uint8_t ids[100 * WIRE_VISITOR_SIZE], datagram[2048];
    const struct wire_heartbeat heartbeat = {.site = fixture_name("example.com"),
                                             .kind = WIRE_HEARTBEAT,
                                             .visitors = 100,
                                             .visitor_ids = ids};
    struct fixture fixture;
    struct beside beside = {.fixture = &fixture};
    pthread_t thread;

    (void)state;
    for (unsigned i = 0; i < sizeof(ids); i++)
        ids[i] = (uint8_t)(i / WIRE_VISITOR_SIZE);
    fixture_open(&fixture, settings_for(600));
    ingest_begin(fixture.ingest);
    ingest_datagram(fixture.ingest, datagram,
                    wire_v1_encode(&heartbeat, datagram, sizeof(datagram)));
    assert_int_equal(pthread_create(&thread, NULL, verify_beside, &beside), 0);
    while (atomic_load_acquire(&beside.id) == 0)
        sched_yield();
    wait_until_asleep(beside.id);
    ingest_end(fixture.ingest);
    fixture_advance(&fixture, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(beside.result.difference <= beside.result.in_flight);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_segments_have_no_difference),
        cmocka_unit_test(every_bucket_is_compared),
        cmocka_unit_test(every_word_is_compared),
        cmocka_unit_test(ticks_that_no_window_counts_are_left_out),
        cmocka_unit_test(rounded_windows_are_compared_in_full),
        cmocka_unit_test(traffic_explains_the_difference_it_makes),
        cmocka_unit_test(a_batch_in_progress_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

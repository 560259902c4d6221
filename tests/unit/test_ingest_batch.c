/* test_ingest_batch.c - ingest.h: batches, their queue, and concurrent workers. */
#include "event_fixture.h"
#include "ingest_fixture.h"

#include "pending.h"
#include "tally.h"

static void batches_are_seen_when_they_end(void **state)
{
    struct fixture *fixture = *state;
    static const uint32_t sizes[] = {1, PENDING_MAX - 1, PENDING_MAX, 3 * PENDING_MAX, 1000};

    fixture->settings.max_entries = 10000;
    start_ingest(fixture);
    batch(fixture, {"a", .room = "/", .visitor = 1});
    for (size_t i = 0; i < LENGTH(sizes); i++) {
        int64_t before = count_of(fixture, "a", SCOPE_SITE, NULL);
        uint64_t received = counter(fixture, COUNTER_datagrams_received);
        uint64_t entered = counter(fixture, COUNTER_heartbeats_new);
        uint32_t first = (uint32_t)(i + 1) * 2000;
        ingest_begin(fixture->ingests[0]);
        take_beat(fixture->ingests[0],
                  (struct beat){"a", .room = "/", .visitor = first, .count = sizes[i]});
        take_text(fixture->ingests[0], "no heartbeat");
        assert_int_equal(count_of(fixture, "a", SCOPE_SITE, NULL), before);
        assert_int_equal(count_of(fixture, "a", SCOPE_ROOM, "/"), before);
        expect_counter(fixture, datagrams_received, received);
        expect_counter(fixture, heartbeats_new, entered);
        ingest_end(fixture->ingests[0]);
        expect_site(fixture, "a", before + sizes[i]);
        expect_room(fixture, "a", "/", before + sizes[i]);
        expect_counter(fixture, datagrams_received, received + 2);
        expect_counter(fixture, heartbeats_new, entered + sizes[i]);
    }
    ingest_begin(fixture->ingests[0]); /* an empty batch */
    ingest_end(fixture->ingests[0]);
    stop_ingest(fixture);
}

/* A batch works at the tick of its begin. */
static void batches_have_one_tick(void **state)
{
    struct fixture *fixture = *state;

    start_ingest(fixture);
    fixture->clock += 3; /* the tick has not moved yet */
    ingest_begin(fixture->ingests[0]);
    assert_int_equal(collector_tick(&fixture->collector), START + 3);
    take_beat(fixture->ingests[0], (struct beat){"a", .visitor = 1});
    fixture->clock += 5;
    collector_advance(&fixture->collector);
    take_beat(fixture->ingests[0], (struct beat){"a", .visitor = 2});
    ingest_end(fixture->ingests[0]);
    uint32_t index = find_scope(fixture, "a", SCOPE_SITE, NULL);
    const struct ring *ring = &segment_of(fixture)->directory.rings[index];
    assert_int_equal(ring_count(ring, START + 3, 1), 2);
    assert_int_equal(ring_count(ring, START + 8, 5), 0);
    assert_int_equal(segment_of(fixture)->directory.entries[index].last_heartbeat, START + 3);
    /* The clock steps back; the tick does not. */
    fixture->clock = START;
    batch(fixture, {"a", .visitor = 1});
    assert_int_equal(ring_count(ring, START + 8, 1), 1);
    assert_int_equal(ring_count(ring, START + 8, 9), 2);
    stop_ingest(fixture);
}

/* With any number of full groups and a partial one, no visitor is lost or counted twice. */
static void queues_of_any_length_are_applied(void **state)
{
    struct fixture *fixture = *state;
    static const int sizes[] = {1,
                                PENDING_MAX / 4,
                                PENDING_MAX / 4 + 1,
                                PENDING_MAX - 1,
                                PENDING_MAX,
                                PENDING_MAX + 1,
                                2 * PENDING_MAX - 1,
                                2 * PENDING_MAX,
                                2 * PENDING_MAX + 1,
                                4000};

    fixture->settings.max_entries = 50000;
    fixture->settings.max_scopes = 100;
    start_ingest(fixture);
    for (size_t i = 0; i < LENGTH(sizes) * 2; i++) {
        char site[16];
        bool labels = i & 1;
        int count = sizes[i / 2];
        snprintf(site, sizeof(site), "s%zu", i);
        struct beat beat = {site, .visitor = 1, .count = (uint32_t)count};
        if (labels) {
            beat.room = "/";
            beat.country = "DE";
            beat.source = "s";
        }
        uint64_t entered = counter(fixture, COUNTER_heartbeats_new);
        batch(fixture, beat, {site, .visitor = 1});
        expect_site(fixture, site, count);
        expect_room(fixture, site, "/", labels ? count : -1);
        expect_country(fixture, site, "DE", labels ? count : -1);
        expect_source(fixture, site, "s", labels ? count : -1);
        expect_counter(fixture, heartbeats_new, entered + (uint64_t)count);
    }
    stop_ingest(fixture);
}

/* As UDP_GRO delivers them: datagrams of one size back to back, the last one shorter. The buffer is
 * overwritten before the batch ends. */
static void trains_of_datagrams_are_taken_apart(void **state)
{
    struct fixture *fixture = *state;
    const struct beat beats[] = {{"a.example", .room = "/1", .visitor = 1},
                                 {"b.example", .room = "/2", .visitor = 2},
                                 {"a.example", .room = "/2", .visitor = 3},
                                 {"a.example", .visitor = 4}};
    uint8_t *datagram = malloc(WIRE_DATAGRAM_MAX);
    uint32_t size = write_beat(&beats[0], datagram), total = 0;

    start_ingest(fixture);
    ingest_begin(fixture->ingests[0]);
    for (unsigned round = 0; round < 50; round++) {
        uint8_t *train = malloc(LENGTH(beats) * size);
        total = 0;
        for (size_t i = 0; i < LENGTH(beats); i++) {
            struct beat beat = beats[i];
            beat.visitor += round * 10;
            uint32_t length = write_beat(&beat, datagram);
            assert_true(i == 3 ? length < size : length == size);
            memcpy(train + total, datagram, length);
            total += length;
        }
        uint8_t *exact = realloc(train, total); /* for the sanitizer */
        for (uint32_t offset = 0; offset < total; offset += size)
            ingest_datagram(fixture->ingests[0], exact + offset,
                            total - offset < size ? total - offset : size);
        memset(exact, 0xff, total);
        free(exact);
    }
    /* A truncated datagram is malformed and does not affect the others. */
    write_beat(&beats[0], datagram);
    ingest_datagram(fixture->ingests[0], datagram, size - 1);
    ingest_end(fixture->ingests[0]);
    free(datagram);
    expect_site(fixture, "a.example", 150);
    expect_site(fixture, "b.example", 50);
    expect_room(fixture, "a.example", "/1", 50);
    expect_room(fixture, "a.example", "/2", 50);
    expect_room(fixture, "b.example", "/2", 50);
    expect_counter(fixture, datagrams_received, 201);
    expect_counter(fixture, datagrams_rejected_malformed, 1);
    expect_accounted(fixture, 200);
    stop_ingest(fixture);
}

/* A batch that moves more buckets than the tally holds is published in parts. In each, additions
 * come before subtractions. */
static void parts_of_a_batch_miss_nobody(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t at_once = 50, visitors = (TALLY_LIMIT / at_once + 5) * at_once;
    unsigned parts = 0;

    fixture->settings.max_entries = 10000;
    start_ingest(fixture);
    for (uint32_t i = 0; i < visitors; i++) { /* each in a different second */
        fixture->clock++;
        batch(fixture, {"a", .visitor = i});
    }
    fixture->clock++;
    expect_site(fixture, "a", visitors);
    const struct ring *ring = &segment_of(fixture)->directory.rings[0];
    ingest_begin(fixture->ingests[0]);
    for (uint32_t i = 0; i < visitors; i += at_once) {
        int64_t before = ring_count(ring, fixture->clock, 1);
        take_beat(fixture->ingests[0], (struct beat){"a", .visitor = i, .count = at_once});
        take_beat(fixture->ingests[0], (struct beat){"b", .visitor = i, .count = i % 7 + 1});
        parts += ring_count(ring, fixture->clock, 1) != before;
        if (count_of(fixture, "a", SCOPE_SITE, NULL) < visitors)
            fail_msg("after %u of %u heartbeats readers miss %lld visitors", i + at_once, visitors,
                     (long long)(visitors - count_of(fixture, "a", SCOPE_SITE, NULL)));
    }
    ingest_end(fixture->ingests[0]);
    assert_int_equal(parts, 1);
    expect_site(fixture, "a", visitors);
    stop_ingest(fixture);
}

/* Events are of their own datagram, however many wait, and with datagrams without updates between.
 */
static void events_are_of_their_own_datagram(void **state)
{
    struct fixture *fixture = *state;
    const uint32_t beats = 100;
    char room[16], event[16];

    fixture->settings.max_events = 32768; /* 512 a second */
    fixture->settings.max_scopes = 200;
    start_ingest(fixture);
    uint64_t number = next_event(fixture);
    ingest_begin(fixture->ingests[0]);
    for (uint32_t i = 0; i < beats; i++) {
        snprintf(room, sizeof(room), "/r%u", i);
        snprintf(event, sizeof(event), "e%u", i);
        take_beat(fixture->ingests[0], (struct beat){"a", .room = room, .event = event,
                                                     .visitor = 10 * i, .count = 1 + i % 3});
        if (i % 5 == 0)
            take_beat(fixture->ingests[0], (struct beat){"none", .kind = WIRE_LEAVE});
    }
    ingest_end(fixture->ingests[0]);
    for (uint32_t i = 0; i < beats; i++)
        for (uint32_t j = 0; j < 2 * (1 + i % 3); j++) {
            struct event_record record = load_event(fixture, number++);
            snprintf(room, sizeof(room), "/r%u", i);
            snprintf(event, sizeof(event), "e%u", i);
            assert_int_equal(record.kind, j % 2 ? EVENT_CUSTOM : EVENT_ENTERED);
            expect_names(&record, "a", room, "", j % 2 ? event : "");
        }
    assert_int_equal(next_event(fixture), number);
    stop_ingest(fixture);
}

/* The tick moves during another worker's batch. */
static void late_workers_move_nobody_backward(void **state)
{
    struct fixture *fixture = *state;

    fixture->workers = 2;
    start_ingest(fixture);
    ingest_begin(fixture->ingests[1]);
    fixture->clock += 2;
    batch(fixture, {"a", .visitor = 1, .count = 2});
    take_beat(fixture->ingests[1], (struct beat){"a", .visitor = 1});
    take_beat(fixture->ingests[1], (struct beat){"a", .visitor = 3});
    take_beat(fixture->ingests[1], (struct beat){"a", .kind = WIRE_LEAVE, .visitor = 2});
    ingest_end(fixture->ingests[1]);
    uint32_t index = find_scope(fixture, "a", SCOPE_SITE, NULL);
    const struct ring *ring = &segment_of(fixture)->directory.rings[index];
    assert_int_equal(ring_count(ring, START + 2, 300), 2);
    assert_int_equal(ring_count(ring, START + 2, 1), 1); /* visitor 1, at the later tick */
    assert_int_equal(segment_of(fixture)->directory.entries[index].last_heartbeat, START + 2);
    expect_counter(fixture, heartbeats_new, 3);
    expect_counter(fixture, heartbeats_refreshed, 1);
    expect_counter(fixture, heartbeats_left, 1);
    /* Each worker counts in its own block. */
    assert_int_equal(segment_of(fixture)->counters[0].values[COUNTER_datagrams_received], 1);
    assert_int_equal(segment_of(fixture)->counters[1].values[COUNTER_datagrams_received], 3);
    stop_ingest(fixture);
}

/* After a gap in which all words expired, the first batch finds an empty table. */
static void gaps_are_passed_before_the_batch(void **state)
{
    struct fixture *fixture = *state;
    static const uint64_t gaps[] = {3691, 3692, 1 << 19, 1 << 20, (1 << 20) + 5};

    start_ingest(fixture);
    for (size_t i = 0; i < LENGTH(gaps); i++) {
        batch(fixture, {"a", .visitor = 1, .count = 100});
        uint64_t entered = counter(fixture, COUNTER_heartbeats_new);
        fixture->clock += gaps[i];
        batch(fixture, {"a", .visitor = 51, .count = 100});
        expect_site(fixture, "a", 100);
        expect_counter(fixture, heartbeats_new, entered + 100);
    }
    stop_ingest(fixture);
}

struct thread {
    struct fixture *fixture;
    unsigned worker;
    pthread_t id;
    uint64_t random;
    uint64_t visitors;
};

#define THREAD_VISITORS 2000
#define THREAD_BATCHES  400

/* Both threads count heartbeats of the same visitors while the clock moves. */
static void *take_traffic(void *context)
{
    struct thread *thread = context;
    struct ingest *ingest = thread->fixture->ingests[thread->worker];
    uint8_t datagram[2048];

    for (unsigned i = 0; i < THREAD_BATCHES; i++) {
        ingest_begin(ingest);
        for (unsigned j = 0; j < 16; j++) {
            uint64_t draw = random_next(&thread->random);
            uint32_t first = (uint32_t)(draw % THREAD_VISITORS), count = 1 + (draw >> 32 & 31);
            struct wire_heartbeat heartbeat = {.site = wire_name_of("a"),
                                               .room = wire_name_of(draw >> 40 & 1 ? "/1" : "/2"),
                                               .kind = WIRE_HEARTBEAT,
                                               .visitors = count};
            uint8_t ids[32 * WIRE_VISITOR_SIZE];
            for (uint32_t k = 0; k < count; k++)
                make_visitor((first + k) % THREAD_VISITORS, ids + k * WIRE_VISITOR_SIZE);
            heartbeat.visitor_ids = ids;
            ingest_datagram(ingest, datagram,
                            wire_v1_encode(&heartbeat, datagram, sizeof(datagram)));
            thread->visitors += count;
        }
        ingest_end(ingest);
        if (i % 8 == 0)
            atomic_add_relaxed(&thread->fixture->clock, 1);
    }
    return NULL;
}

static void two_threads_count_everybody_once(void **state)
{
    struct fixture *fixture = *state;
    struct thread threads[2];
    uint64_t seed = random_seed("threads"), visitors = THREAD_VISITORS;
    static struct beat everybody = {"a", .room = "/1", .visitor = 0, .count = THREAD_VISITORS};

    fixture->workers = 2;
    fixture->settings.max_entries = 10 * THREAD_VISITORS;
    start_ingest(fixture);
    for (unsigned i = 0; i < 2; i++) {
        threads[i] = (struct thread){.fixture = fixture, .worker = i, .random = seed + i};
        assert_int_equal(pthread_create(&threads[i].id, NULL, take_traffic, &threads[i]), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i].id, NULL), 0);
        visitors += threads[i].visitors;
    }
    /* Count everyone once more, so that all are there. */
    batch(fixture, everybody);
    expect_site(fixture, "a", THREAD_VISITORS);
    expect_room(fixture, "a", "/1", THREAD_VISITORS);
    expect_counter(fixture, heartbeats_new, THREAD_VISITORS);
    expect_counter(fixture, heartbeats_refreshed, visitors - THREAD_VISITORS);
    expect_counter(fixture, datagrams_received, 2 * 16 * THREAD_BATCHES + 1);
    expect_accounted(fixture, visitors);
    stop_ingest(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(batches_are_seen_when_they_end),    TEST(batches_have_one_tick),
        TEST(queues_of_any_length_are_applied),  TEST(trains_of_datagrams_are_taken_apart),
        TEST(parts_of_a_batch_miss_nobody),      TEST(events_are_of_their_own_datagram),
        TEST(late_workers_move_nobody_backward), TEST(gaps_are_passed_before_the_batch),
        TEST(two_threads_count_everybody_once),
    };
    return cmocka_run_group_tests_name("ingest_batch", tests, NULL, NULL);
}

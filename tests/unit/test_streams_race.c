/* test_streams_race.c - streams.h with several workers and a reader at once: no sequence counts
 * twice, no stream has two slots, and what a reader loads fits together. */
#include "stream_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define WORKERS 4

static struct fixture fixture;
static atomic_bool ends;
static atomic_uint_fast64_t accepted, loads;

/* One worker's counters, and what it does. */
struct worker {
    unsigned number;
    pthread_t thread;
    uint64_t counted[COUNTERS];
};

static bool receive_as(struct worker *worker, uint64_t id, uint32_t sequence, uint64_t now)
{
    const struct wire_v2_datagram datagram = {.stream = id, .sequence = sequence, .visitors = 3};

    return streams_receive(fixture.table, &datagram, 0, NULL, now, worker->counted);
}

static void run_workers(void *(*work)(void *), struct worker workers[WORKERS])
{
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.number = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(workers[i].thread, NULL);
}

static uint64_t sum(const struct worker workers[WORKERS], enum counter counter)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < WORKERS; i++)
        total += workers[i].counted[counter];
    return total;
}

/* ---- one stream, received by all ------------------------------------------------------------- */

#define SENT 20000 /* in a round */

static uint32_t sent; /* in earlier rounds */

/* Every worker receives every sequence, in blocks whose order it draws. */
static void *receive_all(void *argument)
{
    struct worker *worker = argument;
    uint64_t random = worker->number, mine = 0;

    for (uint32_t first = sent + 1; first <= sent + SENT; first += 100) {
        uint32_t turn = (uint32_t)(random_next(&random) % 100);
        for (uint32_t i = 0; i < 100; i++)
            mine += receive_as(worker, 1, first + (i + turn) % 100, START);
    }
    atomic_fetch_add(&accepted, mine);
    return NULL;
}

/* Load the stream again and again: each load is of one moment. */
static void *load(void *argument)
{
    static char torn[] = "torn";
    uint64_t received = 0;
    struct stream copy;

    (void)argument;
    while (!atomic_load(&ends)) {
        if (!stream_load(&fixture.segment.streams.slots[0], &copy))
            continue;
        if (copy.received < received || copy.received > stream_expected(&copy) ||
            copy.heartbeats != 3 * copy.received)
            return torn;
        received = copy.received;
        atomic_fetch_add(&loads, 1);
    }
    return NULL;
}

static void a_sequence_counts_once(void **state)
{
    uint64_t counted[COUNTERS] = {0};
    struct worker workers[WORKERS];
    pthread_t reader;
    void *fault;

    (void)state;
    open_streams(&fixture, 4);
    assert_int_equal(pthread_create(&reader, NULL, load, NULL), 0);
    for (sent = 0; sent < SENT || atomic_load(&loads) < 1000; sent += SENT) {
        run_workers(receive_all, workers);
        counted[COUNTER_streams_received] += sum(workers, COUNTER_streams_received);
        counted[COUNTER_streams_expected] += sum(workers, COUNTER_streams_expected);
    }
    atomic_store(&ends, true);
    pthread_join(reader, &fault);
    assert_null(fault);
    const struct stream *stream = stream_of(&fixture, (struct origin){1, 0, 0});
    assert_int_equal(stream->received, sent);
    assert_int_equal(stream_expected(stream), sent);
    assert_int_equal(stream->received + stream->duplicates, WORKERS * (uint64_t)sent);
    assert_int_equal(atomic_load(&accepted), sent);
    assert_int_equal(counted[COUNTER_streams_received], sent);
    assert_int_equal(counted[COUNTER_streams_expected], sent);
    print_message("%llu loads\n", (unsigned long long)atomic_load(&loads));
    close_streams(&fixture);
}

/* ---- many streams in a small table ----------------------------------------------------------- */

/* Streams come, fall silent and are replaced, at ticks of which workers are up to one apart. */
static void *replace(void *argument)
{
    struct worker *worker = argument;
    uint64_t random = worker->number + 100;

    for (unsigned i = 0; i < 30000; i++) {
        uint64_t draw = random_next(&random), now = START + i / 20 + worker->number % 2;
        receive_as(worker, 1 + draw % 8 + i / 4000 * 4, 1 + (uint32_t)(draw >> 8) % 3000, now);
    }
    return NULL;
}

static void places_change_hands(void **state)
{
    struct worker workers[WORKERS];

    (void)state;
    open_streams(&fixture, 8);
    run_workers(replace, workers);
    uint64_t received = sum(workers, COUNTER_streams_received);
    uint64_t held = 0;
    for (unsigned i = 0; i < 8; i++) {
        const struct stream *stream = &fixture.segment.streams.slots[i];
        held += stream->received;
        assert_non_null(stream_of(&fixture, (struct origin){stream->id, 0, 0})); /* only one */
    }
    assert_true(received > held); /* some were replaced */
    assert_true(sum(workers, COUNTER_streams_expected) >= received);
    fixture.now = START + 30000 / 20 + 1;
    reopen_streams(&fixture);
    close_streams(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sequence_counts_once),
        cmocka_unit_test(places_change_hands),
    };
    return cmocka_run_group_tests_name("streams_race", tests, NULL, NULL);
}

/* test_concurrent.c - workers on overlapping visitors, a moving tick, and readers alongside. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "consistency.h"
#include "core/ring_sum.h"
#include "core/wire.h"
#include "crew.h"
#include "fixture.h"
#include "random_source.h"

#define SITES       4    /* that grow, one after another */
#define SHARED      6000 /* visitors of each, sent by all workers in the same order */
#define OWNED       500  /* visitors of each worker at the site with leaves */
#define CONTESTED   200  /* visitors there that all workers send and let leave */
#define BATCH_MAX   64
#define READERS     2
#define FIRST_TICK  1000
#define TICKS       290  /* fewer than make a worker's late heartbeat an enter again */
#define TICK_US     1500 /* length of a tick */
#define WORKERS_MAX 4
#define GOING       "comings.and.goings"

struct progress {
    _Alignas(128) uint64_t begun; /* growing heartbeats in batches that were started, */
    uint64_t completed;           /* and in those that are published */
};

struct worker {
    struct random_source random;
    uint64_t sent, left; /* visitors of heartbeats and of leaves */
    bool is_on_site[OWNED];
    bool is_in_room[OWNED];
};

struct load {
    struct fixture fixture;
    struct progress progress[WORKERS_MAX];
    struct worker workers[WORKERS_MAX];
    unsigned worker_count;
    bool with_leaves;
    uint64_t seed;
    uint64_t reads;
    int64_t tightest; /* fewest heartbeats in flight at a read */
    bool is_over;
};

static struct load the_load;

static const char *site_name(unsigned site)
{
    static const char *const names[SITES] = {"first.example", "second", "third.example", "fourth"};
    return names[site];
}

static const char *room_name(unsigned visitor)
{
    return visitor / 100 % 2 ? "/odd" : "/even"; /* a datagram's visitors are of one hundred */
}

static bool is_over(const struct load *load)
{
    return __atomic_load_n(&load->is_over, __ATOMIC_ACQUIRE) || crew_has_failed();
}

/* ---- workers ----------------------------------------------------------------------------- */

/* Send the next visitors of the sites that grow, and record this worker's progress. */
static void grow(struct load *load, unsigned number)
{
    struct progress *progress = &load->progress[number];
    struct worker *worker = &load->workers[number];
    struct ingest *ingest = load->fixture.ingests[number];
    uint64_t begun = progress->begun;
    unsigned site = (unsigned)(begun / SHARED % SITES), first = (unsigned)(begun % SHARED);
    unsigned count = random_between(&worker->random, 1, BATCH_MAX);
    uint8_t datagram[2048];

    if (count > 100 - first % 100)
        count = 100 - first % 100;
    uint32_t length = fixture_encode(datagram, sizeof(datagram), WIRE_HEARTBEAT, site_name(site),
                                     room_name(first), first, count);
    /* Ordered: a reader that sees a count sees the progress before it. */
    __atomic_store_n(&progress->begun, begun + count, __ATOMIC_SEQ_CST);
    ingest_begin(ingest);
    ingest_datagram(ingest, datagram, length);
    ingest_end(ingest);
    __atomic_store_n(&progress->completed, begun + count, __ATOMIC_SEQ_CST);
    worker->sent += count;
}

/* Let one of this worker's own visitors enter or leave, and one that all workers share. */
static void come_and_go(struct load *load, unsigned number)
{
    struct worker *worker = &load->workers[number];
    struct ingest *ingest = load->fixture.ingests[number];
    unsigned own = random_below(&worker->random, OWNED);
    unsigned visitors[2] = {number * OWNED + own,
                            WORKERS_MAX * OWNED + random_below(&worker->random, CONTESTED)};
    uint8_t datagram[256];

    ingest_begin(ingest);
    for (int i = 0; i < 2; i++) {
        bool is_leave = random_one_in(&worker->random, 3);
        const char *room = random_one_in(&worker->random, 2) ? "/room" : NULL;
        uint32_t length =
            fixture_encode(datagram, sizeof(datagram), is_leave ? WIRE_LEAVE : WIRE_HEARTBEAT,
                           GOING, room, visitors[i], 1);
        ingest_datagram(ingest, datagram, length);
        worker->left += is_leave;
        worker->sent += !is_leave;
        if (i == 0 && room)
            worker->is_in_room[own] = !is_leave;
        if (i == 0 && !(room && is_leave))
            worker->is_on_site[own] = !is_leave;
    }
    ingest_end(ingest);
}

static void work(void *context, unsigned number)
{
    struct load *load = context;

    while (!is_over(load)) {
        grow(load, number);
        if (load->with_leaves)
            come_and_go(load, number);
    }
}

/* ---- the clock ---------------------------------------------------------------------------- */

static void tick(void *context, unsigned number)
{
    struct load *load = context;
    const struct timespec pause = {.tv_nsec = TICK_US * 1000};

    (void)number;
    for (unsigned i = 0; i < TICKS && !crew_has_failed(); i++) {
        nanosleep(&pause, NULL); /* the pace of the clock */
        fixture_set_clock(&load->fixture, FIRST_TICK + i);
        collector_maintain(&load->fixture.collector);
    }
    __atomic_store_n(&load->is_over, true, __ATOMIC_RELEASE); /* pairs with is_over */
}

/* ---- readers ----------------------------------------------------------------------------- */

struct bounds {
    int64_t surely;   /* published by at least one worker before the read */
    int64_t settled;  /* by all: no insert of these is in flight */
    int64_t possibly; /* started by at least one before the read's end */
    int64_t in_flight;
};

/* Return how many of a site's visitors a worker with this progress has sent. */
static int64_t visitors_by(uint64_t progress, unsigned site)
{
    uint64_t before = (uint64_t)site * SHARED;

    if (progress <= before)
        return 0;
    return progress - before < SHARED ? (int64_t)(progress - before) : SHARED;
}

static void record_start(const struct load *load, unsigned site, struct bounds *ret)
{
    *ret = (struct bounds){.settled = SHARED};
    for (unsigned i = 0; i < load->worker_count; i++) {
        uint64_t completed = __atomic_load_n(&load->progress[i].completed, __ATOMIC_SEQ_CST);
        int64_t visitors = visitors_by(completed, site);
        ret->in_flight -= (int64_t)completed;
        ret->surely = visitors > ret->surely ? visitors : ret->surely;
        ret->settled = visitors < ret->settled ? visitors : ret->settled;
    }
}

static void record_end(const struct load *load, unsigned site, struct bounds *bounds)
{
    for (unsigned i = 0; i < load->worker_count; i++) {
        uint64_t begun = __atomic_load_n(&load->progress[i].begun, __ATOMIC_SEQ_CST);
        int64_t visitors = visitors_by(begun, site);
        bounds->in_flight += (int64_t)begun;
        bounds->possibly = visitors > bounds->possibly ? visitors : bounds->possibly;
    }
}

/* Check that a visitor who only moves is never missed, whatever is in flight. */
static bool is_within(const struct bounds *bounds, int64_t count)
{
    int64_t least = bounds->settled == SHARED ? SHARED : bounds->surely - bounds->in_flight;
    return count >= least && count <= bounds->possibly + bounds->in_flight;
}

/* Sum as a reader does, again if the tick has moved. Returns false if it always had. */
static bool sum(const struct fixture *fixture, const struct ring *ring, uint32_t window,
                int64_t *ret)
{
    for (int attempts = 8; attempts; attempts--) {
        uint64_t now = collector_tick(&fixture->collector);
        *ret = ring_count(ring, now, window);
        if (collector_tick(&fixture->collector) == now)
            return true;
    }
    return false;
}

/* Check that both rooms of a site together have exactly its visitors. */
static bool sum_scopes(const struct fixture *fixture, unsigned site, bool by_rooms, uint32_t window,
                       int64_t *ret)
{
    const struct segment *segment = &fixture->collector.file.segment;
    const char *const rooms[2] = {by_rooms ? "/even" : NULL, "/odd"};
    int64_t total = 0;

    for (int i = 0; i < (by_rooms ? 2 : 1); i++) {
        int64_t count = 0;
        uint64_t state;
        uint32_t found = fixture_scope(segment, site_name(site), rooms[i], &state);
        if (found != SCOPE_NONE && !sum(fixture, &segment->directory.rings[found], window, &count))
            return false;
        total += count;
    }
    *ret = total;
    return true;
}

static void read_counts(void *context, unsigned number)
{
    struct load *load = context;
    struct random_source random = {load->seed + number};
    uint64_t reads = 0;
    int64_t tightest = INT64_MAX;

    while (!is_over(load)) {
        unsigned site = random_below(&random, SITES);
        bool by_rooms = random_one_in(&random, 2);
        uint32_t window = random_one_in(&random, 2) ? 480 : 3600;
        struct bounds bounds;
        int64_t count;

        record_start(load, site, &bounds);
        bool is_summed = sum_scopes(&load->fixture, site, by_rooms, window, &count);
        record_end(load, site, &bounds);
        if (!is_summed)
            continue;
        reads++;
        if (bounds.in_flight < tightest)
            tightest = bounds.in_flight;
        if (!is_within(&bounds, count))
            crew_fail("%u workers: %s%s, window %u: read %lld; surely %lld, settled %lld, "
                      "possibly %lld, in flight %lld",
                      load->worker_count, site_name(site), by_rooms ? "'s rooms" : "", window,
                      (long long)count, (long long)bounds.surely, (long long)bounds.settled,
                      (long long)bounds.possibly, (long long)bounds.in_flight);
    }
    __atomic_fetch_add(&load->reads, reads, __ATOMIC_RELAXED);
    if (number == load->worker_count) /* the first reader */
        load->tightest = tightest;
}

/* ---- checks at the end --------------------------------------------------------------------- */

/* Check each worker's own visitors, which no other worker sends. */
static void check_owned(const struct load *load)
{
    const struct segment *segment = &load->fixture.collector.file.segment;
    uint64_t state;
    uint32_t site = fixture_scope(segment, GOING, NULL, &state);
    uint32_t room = fixture_scope(segment, GOING, "/room", &state);

    for (unsigned i = 0; i < load->worker_count; i++) {
        for (unsigned own = 0; own < OWNED; own++) {
            const struct worker *worker = &load->workers[i];
            bool on_site = consistency_word(segment, site, i * OWNED + own) != 0;
            bool in_room = consistency_word(segment, room, i * OWNED + own) != 0;
            if (on_site != worker->is_on_site[own] || in_room != worker->is_in_room[own])
                fail_msg("visitor %u of worker %u: on the site %d, not %d; in the room %d, not %d",
                         own, i, on_site, worker->is_on_site[own], in_room,
                         worker->is_in_room[own]);
        }
    }
}

static void check_end(struct load *load)
{
    const struct fixture *fixture = &load->fixture;
    const struct segment *segment = &fixture->collector.file.segment;
    unsigned going = WORKERS_MAX * OWNED + CONTESTED;
    uint64_t sent = 0, left = 0, furthest = 0, on_sites = 0, words = 0, in_table = 0;

    for (unsigned i = 0; i < load->worker_count; i++) {
        sent += load->workers[i].sent;
        left += load->workers[i].left;
        if (load->progress[i].completed > furthest)
            furthest = load->progress[i].completed;
    }
    for (unsigned site = 0; site < SITES; site++) {
        uint64_t visitors = consistency_check_scope(fixture, site_name(site), NULL, SHARED);
        assert_int_equal((int64_t)visitors, visitors_by(furthest, site));
        on_sites += visitors;
        words += visitors + consistency_check_scope(fixture, site_name(site), "/even", SHARED) +
                 consistency_check_scope(fixture, site_name(site), "/odd", SHARED);
    }
    assert_int_equal(words, 2 * on_sites);
    words += consistency_check_scope(fixture, GOING, NULL, going) +
             consistency_check_scope(fixture, GOING, "/room", going);
    for (uint64_t i = 0; i < segment->table.pairs * TABLE_PAIR_WORDS; i++)
        in_table += segment->table.words[i] != 0;
    assert_int_equal(in_table, words);
    consistency_check_histogram(segment, collector_tick(&fixture->collector), 480);
    consistency_check_entries(segment);
    if (load->with_leaves)
        check_owned(load);
    else
        assert_int_equal(fixture_counter(fixture, COUNTER_heartbeats_new), on_sites);
    assert_int_equal(fixture_counter(fixture, COUNTER_heartbeats_left), left);
    assert_int_equal(fixture_counter(fixture, COUNTER_heartbeats_new) +
                         fixture_counter(fixture, COUNTER_heartbeats_refreshed),
                     sent);
}

/* ---- the runs ---------------------------------------------------------------------------- */

static void open_load(unsigned workers, bool with_leaves)
{
    const struct segment_settings settings = {
        .max_entries = 3 * SITES * SHARED,
        .max_scopes = 64,
        .max_window = 3600,
        .warm_up = 90,
    };

    memset(&the_load, 0, sizeof(the_load));
    the_load.worker_count = workers;
    the_load.with_leaves = with_leaves;
    the_load.seed = random_seed();
    for (unsigned i = 0; i < workers; i++)
        the_load.workers[i].random.state = the_load.seed + i;
    fixture_create(&the_load.fixture, &settings, FIRST_TICK);
    fixture_start(&the_load.fixture, workers);
}

static void run_load(unsigned workers, bool with_leaves)
{
    const struct crew_job jobs[] = {{work, workers}, {read_counts, READERS}, {tick, 1}, {0}};

    open_load(workers, with_leaves);
    crew_run(jobs, &the_load);
    check_end(&the_load);
    print_message(
        "%u workers%s: %llu heartbeats, %llu reads, with at least %lld in flight\n", workers,
        with_leaves ? ", leaves" : "",
        (unsigned long long)fixture_counter(&the_load.fixture, COUNTER_datagrams_accepted),
        (unsigned long long)the_load.reads, (long long)the_load.tightest);
    fixture_stop(&the_load.fixture);
    fixture_remove(&the_load.fixture);
}

static void run_loads(bool with_leaves)
{
    double end = fixture_seconds() + fixture_budget(0);

    do {
        for (unsigned workers = 2; workers <= WORKERS_MAX; workers++)
            run_load(workers, with_leaves);
    } while (fixture_seconds() < end);
}

static void workers_count_growing_sites(void **state)
{
    (void)state;
    run_loads(false);
}

static void workers_count_comings_and_goings(void **state)
{
    (void)state;
    run_loads(true);
}

/* ---- gaps ------------------------------------------------------------------------------- */

#define JUMPS 150

static void jump(void *context, unsigned number)
{
    struct load *load = context;
    const struct timespec pause = {.tv_nsec = 3 * TICK_US * 1000};
    struct random_source random = {load->seed + number};
    uint64_t clock = FIRST_TICK;

    for (unsigned i = 0; i < JUMPS && !crew_has_failed(); i++) {
        nanosleep(&pause, NULL);
        clock += random_one_in(&random, 2) ? random_between(&random, 3600, 4000)
                                           : random_between(&random, 1 << 19, 1 << 20);
        fixture_set_clock(&load->fixture, clock);
        if (random_one_in(&random, 2)) /* otherwise a worker notices it first */
            collector_maintain(&load->fixture.collector);
    }
    __atomic_store_n(&load->is_over, true, __ATOMIC_RELEASE); /* pairs with is_over */
}

/* A word that a worker wrote at an old tick after the table was cleared would seem fresh for days.
 */
static void check_after_gaps(struct load *load)
{
    const struct segment *segment = &load->fixture.collector.file.segment;
    uint64_t now = collector_tick(&load->fixture.collector);

    for (uint64_t i = 0; i < segment->table.pairs * TABLE_PAIR_WORDS; i++) {
        uint64_t age = (now - segment->table.words[i]) & 0xfffff;
        if (segment->table.words[i] && age >= 1 << 19)
            fail_msg("TEST_SEED=%llu: a word seems to be %llu s ahead",
                     (unsigned long long)load->seed, (unsigned long long)((1 << 20) - age));
    }
    for (unsigned site = 0; site < SITES; site++) {
        for (unsigned first = 0; first < SHARED; first += 1000)
            fixture_send(&load->fixture, 0, WIRE_HEARTBEAT, site_name(site), NULL, first, 1000);
        assert_int_equal(consistency_check_scope(&load->fixture, site_name(site), NULL, SHARED),
                         SHARED);
        assert_int_equal(fixture_count(&load->fixture, site_name(site), 3600), SHARED);
    }
    /* The tick again: the workers may have ended before the last jump, which this noticed. */
    consistency_check_histogram(segment, collector_tick(&load->fixture.collector), 480);
}

static void gaps_come_amid_traffic(void **state)
{
    const struct crew_job jobs[] = {{work, 3}, {jump, 1}, {0}};

    (void)state;
    open_load(3, true);
    crew_run(jobs, &the_load);
    check_after_gaps(&the_load);
    fixture_stop(&the_load.fixture);
    fixture_remove(&the_load.fixture);
}

static int clean_up(void **state)
{
    (void)state;
    fixture_remove(&the_load.fixture);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(workers_count_growing_sites, clean_up),
        cmocka_unit_test_teardown(workers_count_comings_and_goings, clean_up),
        cmocka_unit_test_teardown(gaps_come_amid_traffic, clean_up),
    };

    return cmocka_run_group_tests_name("concurrent", tests, NULL, NULL);
}

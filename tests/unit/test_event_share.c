/* test_event_share.c - event_share.h: busy sites leave room for quiet ones, whatever their number
 * and the ring's size. */
#include "event_ring.h"

#include <pthread.h>
#include <sched.h>

#define QUIET 0 /* a site; busy ones follow */
#define BUSY  1

static uint32_t events_of(const struct ring *ring)
{
    return (uint32_t)ring->share.word;
}

static uint32_t ticks_of(const struct ring *ring)
{
    return (uint32_t)(ring->share.word >> 32);
}

/* Return the seconds for which a quiet site's event can be read while others write all they may. */
static unsigned survival(struct ring *ring, unsigned busy)
{
    unsigned seconds = 0;

    assert_true(ring_write(ring, QUIET));
    while (ring_holds(ring, ring->last[QUIET]) && seconds < 2 * EVENT_SHARE_TURN) {
        ring_pass(ring, 1, BUSY, busy);
        seconds++;
    }
    return seconds;
}

/* A site that is alone always has a 64th of the ring in each second: nobody else loses by it. */
static void a_site_alone_writes_the_most(void **state)
{
    static const uint32_t capacities[] = {64, 128, 256, 1024, 16384};

    (void)state;
    for (unsigned i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
        struct ring *ring = ring_open(capacities[i]);
        for (unsigned second = 1; second <= 3 * EVENT_SHARE_TURN; second++) {
            ring_pass(ring, 1, BUSY, 1);
            assert_int_equal(ring->written[BUSY], (uint64_t)second * capacities[i] / 64);
        }
        ring_close(ring);
    }
}

/* Five minutes with one busy site, and minutes with several, from the first second on. */
static void a_quiet_sites_events_survive(void **state)
{
    static const struct {
        uint32_t capacity;
        unsigned busy, seconds;
    } cases[] = {{64, 1, 290},      {256, 1, 290},    {1024, 1, 300},   {16384, 1, 300},
                 {1 << 17, 1, 300}, {64, 2, 180},     {1024, 4, 120},   {16384, 2, 300},
                 {16384, 8, 300},   {16384, 20, 300}, {16384, 50, 120}, {16384, 100, 60},
                 {1 << 17, 8, 300}};

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ring *ring = ring_open(cases[i].capacity);
        unsigned seconds = survival(ring, cases[i].busy);
        print_message("%7u slots, %3u busy sites: %u s\n", cases[i].capacity, cases[i].busy,
                      seconds);
        assert_in_range(seconds, cases[i].seconds, 2 * EVENT_SHARE_TURN);
        ring_close(ring);
    }
}

/* A site that has been busy alone has no burst left when another comes, but no debt, either. */
static void who_was_alone_keeps_the_pace(void **state)
{
    struct ring *ring = ring_open(16384);

    (void)state;
    ring_pass(ring, EVENT_SHARE_TURN, BUSY, 1);
    assert_true(ring_write(ring, QUIET));
    ring_pass(ring, 2, BUSY, 1);
    for (unsigned second = 0; second < EVENT_SHARE_TURN - 20; second++) {
        ring_pass(ring, 1, BUSY, 1);
        assert_in_range(events_of(ring), 20, 16384 / EVENT_SHARE_TURN + 1);
        assert_int_equal(ticks_of(ring), 1);
        assert_true(ring_holds(ring, ring->last[QUIET]));
    }
    /* Ten minutes after the other's event was seen, it is alone again. */
    ring_pass(ring, 18, BUSY, 1);
    assert_in_range(events_of(ring), 20, 16384 / EVENT_SHARE_TURN + 1);
    ring_pass(ring, 1, BUSY, 1);
    assert_int_equal(events_of(ring), 16384 / 64);
    ring_close(ring);
}

/* Few events at a time are never dropped, however busy others are, and stay for minutes. */
static void a_quiet_site_is_never_thinned_out(void **state)
{
    struct ring *ring = ring_open(16384);

    (void)state;
    for (unsigned minute = 0; minute < 120; minute++) {
        uint64_t before = ring->last[QUIET];
        for (unsigned i = 0; i < 4; i++) /* enter, page view, and so on */
            assert_true(ring_write(ring, QUIET));
        assert_true(minute == 0 || ring_holds(ring, before));
        ring_pass(ring, 60, BUSY, 3 + minute % 20);
    }
    ring_close(ring);
}

/* Everybody may write one a second, whatever the others do. */
static void the_least_is_one_a_second(void **state)
{
    struct ring *ring = ring_open(1024);
    const unsigned sites = 200, seconds = 400;

    (void)state;
    for (unsigned second = 0; second < seconds; second++) {
        if (second)
            assert_true(ring_write(ring, QUIET));
        ring_pass(ring, 1, BUSY, sites);
    }
    for (unsigned site = BUSY; site < BUSY + sites; site++)
        assert_in_range(ring->written[site], seconds, seconds * 3 / 2);
    ring_close(ring);
}

/* Many sites at once can't write the ring full in one second, before the share is computed. */
static void a_second_has_a_limit(void **state)
{
    struct ring *ring = ring_open(16384);

    (void)state;
    ring->now++;
    ring_flood(ring, BUSY, 1000);
    uint64_t written = ring->events.head->next - RING_FIRST;
    assert_in_range(written, 16384 / 4, 16384 / 4 + 4 * 1000);
    assert_int_equal(events_of(ring), 4); /* in four seconds */
    assert_int_equal(ticks_of(ring), 4);
    event_share_update(&ring->share, ++ring->now); /* several sites: less from now on */
    ring_flood(ring, BUSY, 1000);
    assert_in_range(ring->events.head->next - RING_FIRST - written, 16384 / 16, 16384 / 8);
    ring_close(ring);
}

/* What was too much is paid for, in minutes at most; then there is a burst again. */
static void a_debt_is_paid(void **state)
{
    struct ring *ring = ring_open(16384);

    (void)state;
    ring_pass(ring, 300, BUSY, 500);
    event_share_update(&ring->share, ring->now += 160);
    assert_in_range(events_of(ring), 1, 20);
    event_share_update(&ring->share, ring->now += 300);
    assert_int_equal(events_of(ring), 16384 / 64);
    ring_close(ring);
}

/* Seconds without the maintenance thread count, too; several calls in one don't. */
static void time_passes_unevenly(void **state)
{
    struct ring *ring = ring_open(16384);

    (void)state;
    ring_pass(ring, 300, BUSY, 8);
    uint64_t word = ring->share.word;
    for (unsigned i = 0; i < 100; i++)
        event_share_update(&ring->share, ring->now);
    assert_int_equal(ring->share.word, word);
    event_share_update(&ring->share, ring->now += 30);
    assert_in_range(events_of(ring), 16, 40);
    event_share_update(&ring->share, ring->now += UINT64_C(1) << 40);
    assert_int_equal(ring->share.word, UINT64_C(1) << 32 | 16384 / 64);
    ring_close(ring);
}

/* The ring of an earlier daemon says who writes. */
static void a_restart_knows_the_sites(void **state)
{
    (void)state;
    for (unsigned sites = 0; sites <= 2; sites++) {
        struct ring *ring = ring_open(1024);
        ring_pass(ring, 100, BUSY, sites);
        event_share_init(&ring->share, &ring->events, ring->now);
        assert_int_equal(events_of(ring), 1024 / 64); /* with the whole burst */
        ring_pass(ring, 300, BUSY, 1);
        if (sites < 2)
            assert_int_equal(events_of(ring), 1024 / 64);
        else
            assert_in_range(events_of(ring), 1, 4);
        ring_close(ring);
    }
}

/* An event that is claimed, but not published yet when sites are counted, is looked at later. */
static void an_event_in_flight_is_of_a_site(void **state)
{
    struct ring *ring = ring_open(16384);
    struct event_record record = ring_record(QUIET);

    (void)state;
    ring_pass(ring, 400, BUSY, 1);
    uint64_t number = events_claim(&ring->events, 0, &record.time_us);
    struct event_slot *slot = event_slot_at(&ring->events, number);
    ring_pass(ring, 3, BUSY, 1);
    assert_int_equal(events_of(ring), 16384 / 64);
    assert_true(events_enter(slot, number));
    slot->record = record;
    atomic_store_release(&slot->state, number * 2);
    ring_pass(ring, 1, BUSY, 1);
    assert_in_range(events_of(ring), 20, 27);
    ring_close(ring);

    /* And one whose writer never publishes it hides nothing for long. */
    ring = ring_open(64);
    ring_pass(ring, 10, BUSY, 1);
    events_claim(&ring->events, 0, &record.time_us);
    ring_pass(ring, 70, BUSY, 1);
    assert_true(ring_write(ring, QUIET));
    ring_pass(ring, 2, BUSY, 1);
    assert_in_range(ticks_of(ring), 2, 10);
    ring_close(ring);
}

/* A share of several ticks: the first event of a site begins them. */
static void a_share_of_several_ticks(void **state)
{
    const struct event_share share = {.word = UINT64_C(5) << 32 | 2};
    uint64_t spent = (uint64_t)(uint32_t)(RING_START + 1000) << 32 | 7; /* of another boot */

    (void)state;
    for (uint64_t now = RING_START; now < RING_START + 20; now += 5) {
        assert_true(event_share_spend(&share, &spent, now));
        assert_int_equal(spent, (uint64_t)(uint32_t)now << 32 | 1);
        assert_true(event_share_spend(&share, &spent, now + 3));
        assert_false(event_share_spend(&share, &spent, now + 3));
        assert_false(event_share_spend(&share, &spent, now + 4));
        assert_int_equal(spent, (uint64_t)(uint32_t)now << 32 | 2);
    }
}

/* A worker whose batch began in an earlier second spends the share of the one that has come. */
static void workers_of_two_seconds_share_the_later(void **state)
{
    const struct event_share share = {.word = UINT64_C(1) << 32 | 3};
    uint64_t spent = 0;

    (void)state;
    assert_true(event_share_spend(&share, &spent, RING_START + 1));
    assert_true(event_share_spend(&share, &spent, RING_START));
    assert_true(event_share_spend(&share, &spent, RING_START + 1));
    assert_false(event_share_spend(&share, &spent, RING_START));
    assert_false(event_share_spend(&share, &spent, RING_START + 1));
    assert_true(event_share_spend(&share, &spent, RING_START + 2));
    /* A site that has written nothing has no second yet: 0 is not one that has come. */
    spent = 0;
    assert_true(event_share_spend(&share, &spent, (UINT64_C(1) << 32) - 9));
    assert_int_equal(spent, UINT64_C(0xfffffff7) << 32 | 1);
}

/* Without a ring there is nothing to share. */
static void no_ring(void **state)
{
    struct ring *ring = ring_open(0);

    (void)state;
    event_share_update(&ring->share, ++ring->now);
    assert_int_equal(ring->share.word, 0);
    ring_close(ring);
}

#define WRITERS 4
#define ROUNDS  200
#define TRIES   400 /* of each writer in each second */

struct writer {
    struct ring *ring;
    uint64_t *now; /* of the writers, who may be late */
    unsigned site;
    uint64_t written, thinned;
    uint64_t tried; /* the last second in which it did */
};

static void *write_events(void *context)
{
    struct writer *writer = context;
    struct ring *ring = writer->ring;

    for (uint64_t now; (now = atomic_load_acquire(writer->now)) < RING_START + ROUNDS;) {
        for (unsigned i = 0; i < TRIES; i++) {
            struct event_record record = ring_record(writer->site);
            if (!event_share_spend(&ring->share, &ring->spent[writer->site], now)) {
                writer->thinned++;
                continue;
            }
            writer->written++;
            events_write(&ring->events, 0, &record);
            event_share_brake(&ring->share);
        }
        atomic_store_release(&writer->tried, now); /* pairs with wait_for_writers */
        sched_yield();
    }
    return NULL;
}

/* Wait until each has tried in this second: otherwise a site may be alone for long. */
static void wait_for_writers(struct writer *writers, uint64_t tick)
{
    for (unsigned i = 0; i < WRITERS; i++)
        while (atomic_load_acquire(&writers[i].tried) < tick)
            sched_yield();
}

/* Workers and the maintenance thread at once: no event is lost between the two, and all of two
 * sites' workers together keep below what a second has. */
static void workers_write_while_shares_change(void **state)
{
    struct ring *ring = ring_open(16384);
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    uint64_t now = RING_START, written = 0;

    (void)state;
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.ring = ring, .now = &now, .site = i % 2};
        assert_int_equal(pthread_create(&threads[i], NULL, write_events, &writers[i]), 0);
    }
    for (uint64_t tick = RING_START + 1; tick <= RING_START + ROUNDS; tick++) {
        uint64_t before = atomic_load_acquire(&ring->events.head->next);
        atomic_store_release(&now, tick);
        event_share_update(&ring->share, tick);
        if (tick < RING_START + ROUNDS) /* in the last one they end */
            wait_for_writers(writers, tick);
        assert_in_range(atomic_load_acquire(&ring->events.head->next) - before, 0, 4 * 16384 / 64);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        written += writers[i].written;
    }
    assert_int_equal(ring->events.head->next - RING_FIRST, written);
    /* All that went beyond the pace came out of the burst. */
    assert_in_range(written, 1, 16384 / 2 + ROUNDS * 28 + 2 * 16384 / 64);
    ring_close(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_site_alone_writes_the_most),
        cmocka_unit_test(a_quiet_sites_events_survive),
        cmocka_unit_test(who_was_alone_keeps_the_pace),
        cmocka_unit_test(a_quiet_site_is_never_thinned_out),
        cmocka_unit_test(the_least_is_one_a_second),
        cmocka_unit_test(a_second_has_a_limit),
        cmocka_unit_test(a_debt_is_paid),
        cmocka_unit_test(time_passes_unevenly),
        cmocka_unit_test(a_restart_knows_the_sites),
        cmocka_unit_test(an_event_in_flight_is_of_a_site),
        cmocka_unit_test(a_share_of_several_ticks),
        cmocka_unit_test(workers_of_two_seconds_share_the_later),
        cmocka_unit_test(no_ring),
        cmocka_unit_test(workers_write_while_shares_change),
    };
    return cmocka_run_group_tests_name("event_share", tests, NULL, NULL);
}

/* test_scopes.c - scopes are created and retired while workers hold them.
 *
 * The directory has room for a few of many sites. Each site that comes and goes belongs to one
 * worker, and each of its datagrams has all its visitors. So a reader sees multiples of the site's
 * number, a prime, or has read another site's ring. The daemon's own code is compiled with random
 * pauses (pauses.h). */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "consistency.h"
#include "core/wire.h"
#include "crew.h"
#include "fixture.h"
#include "observer.h"
#include "pauses.h"
#include "random_source.h"

#define WORKERS    3 /* and one more, the maintenance thread's */
#define FIRST_TICK 1000
#define TICK_US    100
#define SITE_OWN   "stable" /* it gets heartbeats at every tick */

struct churn {
    struct fixture fixture;
    struct random_source random[WORKERS];
    uint64_t sent[WORKERS + 1], left[WORKERS]; /* visitors */
    uint32_t stable;                           /* its entry */
    double end;
    uint64_t seed;
    bool is_over;
};

static struct churn the_churn;

static bool is_over(const struct churn *churn)
{
    return __atomic_load_n(&churn->is_over, __ATOMIC_ACQUIRE) || crew_has_failed();
}

/* Send one of this worker's sites, with or without a room. */
static void send_site(struct churn *churn, unsigned number)
{
    struct random_source *random = &churn->random[number];
    unsigned site = random_below(random, OBSERVER_SITES / WORKERS) * WORKERS + number;
    char name[32];
    uint8_t datagram[8192];

    observer_site_name(site, name);
    uint32_t length =
        fixture_encode(datagram, sizeof(datagram), WIRE_HEARTBEAT, name,
                       random_one_in(random, 2) ? "/room" : NULL, 0, observer_visitors(site));
    ingest_datagram(churn->fixture.ingests[number], datagram, length);
    churn->sent[number] += observer_visitors(site);
}

static bool is_on_stable_site(const struct churn *churn, unsigned visitor)
{
    const struct segment *segment = &churn->fixture.collector.file.segment;
    uint64_t word;
    uint8_t id[16];

    fixture_visitor(visitor, id);
    struct hash128 hash = hash_visitor(&segment->directory.entries[churn->stable].key, id);
    return table_find(&segment->table, table_key(hash, segment->table.pairs), &word) != NULL;
}

/* Let this worker's own visitor of the stable site enter or leave; nothing may get lost, unless the
 * worker was suspended until the heartbeat had expired. */
static void visit_stable_site(struct churn *churn, unsigned number, bool is_leave)
{
    const struct collector *collector = &churn->fixture.collector;
    struct ingest *ingest = churn->fixture.ingests[number];
    uint64_t begun = collector_tick(collector);
    uint8_t datagram[128];
    uint32_t length =
        fixture_encode(datagram, sizeof(datagram), is_leave ? WIRE_LEAVE : WIRE_HEARTBEAT, SITE_OWN,
                       NULL, 1000 + number, 1);

    /* Only here: while this worker pauses, the others create and retire scopes. */
    pauses_begin(random_next(&churn->random[number]), 16);
    ingest_begin(ingest);
    ingest_datagram(ingest, datagram, length);
    ingest_end(ingest);
    pauses_begin(0, 0);
    churn->sent[number] += !is_leave;
    churn->left[number] += is_leave;
    bool is_wrong = is_on_stable_site(churn, 1000 + number) == is_leave;
    uint64_t now = collector_tick(collector);
    if (is_wrong && (is_leave || now - begun < collector->file.segment.table.expiry))
        crew_fail("TEST_SEED=%llu, worker %u, tick %llu: a %s of the stable site was lost",
                  (unsigned long long)churn->seed, number, (unsigned long long)now,
                  is_leave ? "leave" : "heartbeat");
}

static void work(void *context, unsigned number)
{
    struct churn *churn = context;
    struct random_source *random = &churn->random[number];

    while (!is_over(churn)) {
        visit_stable_site(churn, number, false);
        ingest_begin(churn->fixture.ingests[number]);
        for (unsigned sites = random_below(random, 4); sites; sites--)
            send_site(churn, number);
        ingest_end(churn->fixture.ingests[number]);
        visit_stable_site(churn, number, true);
        if (random_one_in(random, 20)) /* let sites become idle */
            sched_yield();
    }
}

/* Move the clock, run maintenance, and keep the stable site from being idle. */
static void keep(void *context, unsigned number)
{
    struct churn *churn = context;
    const struct timespec pause = {.tv_nsec = TICK_US * 1000};
    struct random_source random = {churn->seed + number};

    while (fixture_seconds() < churn->end && !crew_has_failed()) {
        fixture_set_clock(&churn->fixture, fixture_clock(&churn->fixture) + 1);
        fixture_send(&churn->fixture, number, WIRE_HEARTBEAT, SITE_OWN, NULL, 0, OBSERVER_STABLE);
        churn->sent[number] += OBSERVER_STABLE;
        collector_maintain(&churn->fixture.collector);
        if (random_one_in(&random, 2))
            nanosleep(&pause, NULL); /* the pace of the clock */
    }
    __atomic_store_n(&churn->is_over, true, __ATOMIC_RELEASE); /* pairs with is_over */
}

static void check_counters(const struct churn *churn)
{
    const struct fixture *fixture = &churn->fixture;
    const struct directory *directory = &fixture->collector.file.segment.directory;
    uint64_t sent = 0, left = 0, in_use = 0;

    for (unsigned i = 0; i < WORKERS + 1; i++)
        sent += churn->sent[i];
    for (unsigned i = 0; i < WORKERS; i++)
        left += churn->left[i];
    assert_int_equal(fixture_counter(fixture, COUNTER_heartbeats_left), left);
    assert_int_equal(fixture_counter(fixture, COUNTER_heartbeats_new) +
                         fixture_counter(fixture, COUNTER_heartbeats_refreshed) +
                         fixture_counter(fixture, COUNTER_table_full) +
                         fixture_counter(fixture, COUNTER_scopes_full),
                     sent);
    for (uint32_t i = 0; i < directory->capacity; i++)
        in_use += scope_state_of(directory->entries[i].state) != SCOPE_FREE;
    assert_int_equal(fixture_counter(fixture, COUNTER_scopes_created) -
                         fixture_counter(fixture, COUNTER_scopes_retired),
                     in_use);
}

/* Once all idle scopes are retired, any site can be counted again, as many as have room.
 */
static void check_reuse(struct churn *churn, unsigned capacity)
{
    struct fixture *fixture = &churn->fixture;
    uint64_t refused = fixture_counter(fixture, COUNTER_scopes_full);

    for (unsigned site = 0; site < OBSERVER_SITES; site++) {
        char name[32];
        if (site % (capacity - 1) == 0)
            fixture_set_clock(fixture, fixture_clock(fixture) + OBSERVER_WINDOW + 1);
        fixture_send(fixture, 0, WIRE_HEARTBEAT, SITE_OWN, NULL, 0, 1);
        observer_site_name(site, name);
        fixture_send(fixture, 0, WIRE_HEARTBEAT, name, NULL, 0, observer_visitors(site));
        assert_int_equal(fixture_count(fixture, name, OBSERVER_WINDOW), observer_visitors(site));
    }
    assert_int_equal(fixture_counter(fixture, COUNTER_scopes_full), refused);
}

static void churn_directory(unsigned capacity)
{
    const struct crew_job jobs[] = {{work, WORKERS}, {keep, 1}, {0}};
    const struct segment_settings settings = {
        .max_entries = 20000,
        .max_scopes = capacity,
        .max_window = OBSERVER_WINDOW,
        .warm_up = 90,
    };
    uint64_t state;

    memset(&the_churn, 0, sizeof(the_churn));
    the_churn.seed = random_seed();
    for (unsigned i = 0; i < WORKERS; i++)
        the_churn.random[i].state = the_churn.seed + i;
    fixture_create(&the_churn.fixture, &settings, FIRST_TICK);
    fixture_start(&the_churn.fixture, WORKERS + 1);
    fixture_send(&the_churn.fixture, WORKERS, WIRE_HEARTBEAT, SITE_OWN, NULL, 0, OBSERVER_STABLE);
    the_churn.sent[WORKERS] = OBSERVER_STABLE;
    the_churn.stable =
        fixture_scope(&the_churn.fixture.collector.file.segment, SITE_OWN, NULL, &state);

    struct observer observer;
    observer_start(&observer, the_churn.fixture.path, SITE_OWN);
    the_churn.end = fixture_seconds() + fixture_budget(1.5);
    crew_run(jobs, &the_churn);
    observer_stop(&observer);
    check_counters(&the_churn);
    check_reuse(&the_churn, capacity);
    consistency_check_histogram(&the_churn.fixture.collector.file.segment,
                                collector_tick(&the_churn.fixture.collector), OBSERVER_WINDOW);
    consistency_check_entries(&the_churn.fixture.collector.file.segment);
    print_message("room for %u scopes: %llu were created, %llu retired, %llu heartbeats refused, "
                  "%llu counts read, %llu in vain\n",
                  capacity,
                  (unsigned long long)fixture_counter(&the_churn.fixture, COUNTER_scopes_created),
                  (unsigned long long)fixture_counter(&the_churn.fixture, COUNTER_scopes_retired),
                  (unsigned long long)fixture_counter(&the_churn.fixture, COUNTER_scopes_full),
                  (unsigned long long)observer.reads, (unsigned long long)observer.changed);
    fixture_stop(&the_churn.fixture);
    fixture_remove(&the_churn.fixture);
}

static void scopes_come_and_go(void **state)
{
    const unsigned capacities[] = {3, 6, 12, 40};

    (void)state;
    for (unsigned i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++)
        churn_directory(capacities[i]);
}

static int clean_up(void **state)
{
    (void)state;
    fixture_remove(&the_churn.fixture);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(scopes_come_and_go, clean_up),
    };

    return cmocka_run_group_tests_name("scopes", tests, NULL, NULL);
}

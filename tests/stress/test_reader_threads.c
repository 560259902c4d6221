/* test_reader_threads.c - the shipped reader's functions beside a collector that never waits.
 *
 * Workers, maintenance and readers are threads that run freely. In the build with ThreadSanitizer,
 * readers use the collector's own mapping (one_view.c), since it cannot see that two mappings are
 * the same memory: then each access of the two to the same bytes is either atomic, or ordered, or
 * reported. In other builds readers map the file, as they do elsewhere. */
#include <arpa/inet.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../support/encode_v2.h"
#include "core/wire.h"
#include "crew.h"
#include "fixture.h"
#include "model_clock.h"
#include "one_view.h"
#include "questions.h"
#include "random_source.h"

#define WORKERS       2 /* and one more, the maintenance thread's */
#define READERS       2
#define SITES         6 /* more than have entries */
#define VISITORS      20
#define PORTS         8
#define TURNS         2000 /* of maintenance */

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct race {
    struct fixture fixture;
    struct random_source random[WORKERS + READERS + 1];
    uint64_t asked[READERS]; /* atomic: questions that have been answered */
    uint32_t sequence[WORKERS];
    bool is_over;
} the_race;

static bool is_over(const struct race *race)
{
    return __atomic_load_n(&race->is_over, __ATOMIC_ACQUIRE) || crew_has_failed();
}

/* ---- the collector ------------------------------------------------------------------------- */

static void name_site(unsigned site, char ret[32])
{
    if (site == 0)
        strcpy(ret, QUESTIONS_SITE);
    else
        snprintf(ret, 32, "%u.example", site);
}

/* Send heartbeats or leaves of one site in a stream of this worker's own. */
static void send_datagram(struct race *race, unsigned number)
{
    struct random_source *random = &race->random[number];
    struct ingest *ingest = race->fixture.ingests[number];
    unsigned first = random_below(random, VISITORS);
    char site[32], room[32];
    uint8_t ids[VISITORS * WIRE_VISITOR_SIZE], datagram[1024];
    const struct sockaddr_in sender = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)(1 + random_below(random, PORTS))),
        .sin_addr = {htonl(INADDR_LOOPBACK)},
    };

    name_site(random_below(random, SITES), site);
    snprintf(room, sizeof(room), random_one_in(random, 2) ? QUESTIONS_ROOM : "/%u", first);
    for (unsigned i = 0; i < VISITORS; i++)
        fixture_visitor(i, ids + i * WIRE_VISITOR_SIZE);
    const struct wire_heartbeat heartbeat = {
        .site = {(const uint8_t *)site, (uint32_t)strlen(site)},
        .room = {(const uint8_t *)room, (uint32_t)strlen(room)},
        .kind = random_one_in(random, 4) ? WIRE_LEAVE : WIRE_HEARTBEAT,
        .visitors = (uint16_t)(VISITORS - first),
        .visitor_ids = ids + first * WIRE_VISITOR_SIZE,
    };
    const struct wire_v2_header header = {
        .stream = number + 10 * random_below(random, 4) + 1,
        .sequence = ++race->sequence[number],
    };
    uint32_t length = encode_v2(header, &heartbeat, 1, datagram, sizeof(datagram));
    if (length == 0)
        crew_fail("a datagram that cannot be encoded");
    ingest_from(ingest, (const struct sockaddr *)&sender);
    ingest_datagram(ingest, datagram, length);
}

static void work(void *context, unsigned number)
{
    struct race *race = context;

    while (!is_over(race)) {
        ingest_begin(race->fixture.ingests[number]);
        for (unsigned i = random_below(&race->random[number], 8); i; i--)
            send_datagram(race, number);
        ingest_end(race->fixture.ingests[number]);
        sched_yield();
    }
}

static bool all_have_asked(const struct race *race)
{
    for (unsigned i = 0; i < READERS; i++) {
        if (__atomic_load_n(&race->asked[i], __ATOMIC_RELAXED) == 0)
            return false;
    }
    return true;
}

/* Move the clock and do maintenance; now and then the clock jumps, so that all scopes expire. It
 * goes on until each reader has asked: on a busy machine, a reader may start late. */
static void keep(void *context, unsigned number)
{
    struct race *race = context;
    struct random_source *random = &race->random[number];

    for (double turns = fixture_budget(TURNS);
         (turns > 0 || !all_have_asked(race)) && !crew_has_failed(); turns--) {
        uint64_t seconds = random_one_in(random, 50) ? 61 : random_below(random, 3);
        fixture_set_clock(&race->fixture, fixture_clock(&race->fixture) + seconds);
        collector_maintain(&race->fixture.collector);
        collector_make_room(&race->fixture.collector);
        sched_yield();
    }
    __atomic_store_n(&race->is_over, true, __ATOMIC_RELEASE); /* pairs with is_over */
}

/* ---- readers ------------------------------------------------------------------------------- */

static void ask_events(struct presence *presence, struct answer *ret)
{
    struct presence_events events;
    uint64_t first;

    ret->error = presence_events_since(presence, 0, &first);
    if (ret->error == 0)
        ret->error = presence_events(presence, NULL, first, 10, &events);
    if (ret->error == 0)
        presence_events_free(&events);
}

static const ask_function questions[] = {
    ask_site,    ask_as_of,     ask_room,         ask_nowhere,  ask_hour,
    ask_seen,    ask_top,       ask_sites,        ask_busiest,  ask_scan,
    ask_status,  ask_peaks,     ask_room_peaks,   ask_activity, ask_room_activity,
    ask_history, ask_histories, ask_room_history, ask_refused,  ask_room_refused,
    ask_streams, ask_verify,    ask_events,
};

static void read_all(void *context, unsigned number)
{
    struct race *race = context;
    struct random_source *random = &race->random[number];
    uint64_t *asked = &race->asked[number - WORKERS - 1];
    struct presence *presence;
    struct answer answer;

    if (presence_open(race->fixture.path, &presence) < 0) {
        crew_fail("the segment cannot be opened");
        return;
    }
    while (!is_over(race)) {
        answer = (struct answer){0};
        questions[random_below(random, LENGTH(questions))](presence, &answer);
        __atomic_fetch_add(asked, 1, __ATOMIC_RELAXED);
    }
    presence_close(presence);
}

static void readers_race_workers(void **state)
{
    const struct crew_job jobs[] = {{work, WORKERS}, {keep, 1}, {read_all, READERS}, {0}};
    const struct segment_settings settings = {
        .max_entries = 256,
        .max_scopes = 8,
        .max_window = 60,
        .max_histories = 3,
        .max_events = EVENTS_MIN,
        .max_streams = 3,
    };
    uint64_t seed = random_seed();

    (void)state;
    print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
    for (unsigned i = 0; i < LENGTH(the_race.random); i++)
        the_race.random[i].state = seed + i;
    fixture_create(&the_race.fixture, &settings, 6000);
    the_race.fixture.wall = 1767225600; /* 2026 */
    fixture_start(&the_race.fixture, WORKERS + 1);
    model_clock.fixture = &the_race.fixture;
    one_view_begin(the_race.fixture.collector.file.segment.header);
    crew_run(jobs, &the_race);
    one_view_end();
    model_clock.fixture = NULL;
    print_message(
        "%llu and %llu questions were asked, %llu datagrams accepted, %llu scopes created\n",
        (unsigned long long)the_race.asked[0], (unsigned long long)the_race.asked[1],
        (unsigned long long)fixture_counter(&the_race.fixture, COUNTER_datagrams_accepted),
        (unsigned long long)fixture_counter(&the_race.fixture, COUNTER_scopes_created));
    fixture_stop(&the_race.fixture);
    fixture_remove(&the_race.fixture);
}

static int clean_up(void **state)
{
    (void)state;
    fixture_remove(&the_race.fixture);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(readers_race_workers, clean_up),
    };

    return cmocka_run_group_tests_name("reader_threads", tests, NULL, NULL);
}

#include "scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model_clock.h"

#define WARM_UP       90
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

void scenario_fail(const struct scenario *scenario, const char *format, ...)
{
    char what[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    fail_msg("%s, TEST_SEED=%llu, step %u, tick %llu: %s", scenario->variant->name,
             (unsigned long long)scenario->seed, scenario->step, (unsigned long long)scenario->tick,
             what);
    abort(); /* not reached */
}

/* ---- the clock --------------------------------------------------------------------------- */

/* Choose a tick around which rings and words roll over. */
static uint64_t first_tick(struct random_source *random)
{
    uint64_t any = random_next(random);

    switch (random_below(random, 9)) {
    case 0:
        return any % 5;
    case 1:
        return any % (UINT64_C(1) << 31);
    case 2:
        return any % (UINT64_C(1) << 38);
    case 3:
        return (any % 10000 + 1) * 512 - any % 7;
    case 4:
        return (any % 10000 + 1) * (60 * 64) - any % 200;
    case 5:
        return (any % 100 + 1) * (UINT64_C(1) << 20) - any % 4000;
    case 6:
        return (UINT64_C(1) << 32) - any % 4000;
    case 7:
        return (UINT64_C(1) << 31) - any % 4000;
    default:
        return (UINT64_C(60) << 32) - any % 8000; /* the tags of minutes roll over */
    }
}

/* Choose what the wall clock is ahead of the ticks. Native datagrams have 32 bits for their time.
 */
static uint64_t first_wall(struct scenario *scenario)
{
    uint64_t any = random_next(&scenario->random);

    if (scenario->variant->keys)
        return (UINT64_C(1) << 30) + any % (UINT64_C(1) << 31) - fixture_clock(scenario->fixture);
    return (UINT64_C(1) << 30) + any % (UINT64_C(1) << 40);
}

static uint64_t short_gap(struct random_source *random)
{
    static const unsigned edges[] = {11,  60,  61,  299, 300, 301,  391,  392,  393,  479,
                                     480, 481, 511, 512, 513, 3540, 3541, 3599, 3600, 3691};

    return edges[random_below(random, LENGTH(edges))];
}

static uint64_t gap(struct random_source *random)
{
    uint64_t any = random_next(random);

    switch (random_below(random, 8)) {
    case 0:
        return 3599 + any % 202;
    case 1:
        return any % 4000;
    case 2:
        return any % 10 * 86400 + any % 3600;
    case 3:
        return (UINT64_C(1) << 19) - 2 + any % 5;
    case 4:
        return (any % 3 + 1) * (UINT64_C(1) << 20) - 3 + any % 6;
    case 5:
        return (any % 3 + 1) * (UINT64_C(1) << 20) + any % 3700;
    default:
        return short_gap(random);
    }
}

/* Choose a step of a collector that is up most of the time, for days. */
static uint64_t steady_step(struct random_source *random)
{
    unsigned kind = random_below(random, 100);

    if (kind < 25)
        return 0;
    if (kind < 55)
        return 1;
    if (kind < 80)
        return random_between(random, 2, 59);
    if (kind < 98)
        return random_between(random, 60, 900);
    return random_one_in(random, 8) ? random_between(random, 3600, 80000) : short_gap(random);
}

static uint64_t clock_step(struct scenario *scenario)
{
    struct random_source *random = &scenario->random;
    unsigned kind = random_below(random, 100);

    if (scenario->variant->is_steady)
        return steady_step(random);
    if (kind < 50)
        return 0;
    if (kind < 75)
        return 1;
    if (kind < 86)
        return random_between(random, 2, 10);
    if (kind < 88)
        return random_between(random, 59, 61); /* a stream is silent, or not yet */
    if (kind < 95)
        return random_between(random, 1, scenario->variant->max_window + 2);
    return gap(random);
}

/* At times somebody sets the wall clock, which no tick follows, or the machine was asleep. */
static void step_clocks(struct scenario *scenario)
{
    struct random_source *random = &scenario->random;

    model_clock.boot_ns = random_below(random, 1000000000);
    if (random_one_in(random, 100))
        model_clock.asleep_ns += random_next(random) % (UINT64_C(1) << 40);
    if (!random_one_in(random, 100))
        return;
    uint64_t far = random_one_in(random, 3) ? random_below(random, 200000) : 3;
    scenario->fixture->wall += random_one_in(random, 2) ? far : -far;
    model_clock.wall_ns = random_below(random, 1000000000);
}

/* Expect what collector_advance must do. */
static void expect_advance(struct scenario *scenario)
{
    uint64_t clock = fixture_clock(scenario->fixture);

    if (clock > scenario->tick + SEGMENT_GAP)
        scenario->listening_since = clock;
    scenario->tick = clock;
}

/* Expect the maintenance thread's work, once a tick. */
static void expect_samples(struct scenario *scenario)
{
    uint64_t day = (scenario->tick + scenario->fixture->wall) / 86400;
    struct oracle_round round = {
        .now = scenario->tick,
        .before = scenario->sampled,
        .is_new_day = day != scenario->day,
        .is_warming = scenario->tick - scenario->listening_since < WARM_UP,
    };

    if (scenario->sampled != ORACLE_ABSENT && scenario->tick <= scenario->sampled)
        return;
    oracle_sample(&scenario->oracle, &round);
    scenario->sampled = scenario->tick;
    scenario->day = day;
    check_holders(scenario, &round);
}

/* ---- datagrams --------------------------------------------------------------------------- */

static void run_batch(struct scenario *scenario)
{
    struct ingest *ingest =
        scenario->fixture->ingests[random_below(&scenario->random, scenario->fixture->workers)];
    unsigned datagrams = random_below(&scenario->random, 9);

    feed_log_begin_batch(&scenario->feed, scenario->fixture);
    ingest_begin(ingest);
    expect_advance(scenario);
    for (; datagrams; datagrams--) {
        const struct packet *packet = senders_next(scenario);
        arrivals_expect(scenario, packet, arrivals_ingest(scenario, ingest, packet),
                        (struct oracle_refusal){0});
    }
    ingest_end(ingest);
    check_feed(scenario);
}

/* Check that no visitor who is there is refused. */
static void check_refusal(struct scenario *scenario, const struct beat *beat,
                          struct oracle_refusal refusal)
{
    int site = beat->names[PLACE_SITE];
    unsigned visitor = beat->visitor[0], refusable = 0;

    if (beat->kind == BEAT_LEAVE && (refusal.site || refusal.labels))
        scenario_fail(scenario, "a leave was refused");
    if (refusal.site &&
        oracle_is_held(&scenario->oracle, oracle_scope(&scenario->oracle, site, PLACE_SITE, 0),
                       visitor, scenario->tick))
        scenario_fail(scenario, "site %d refused visitor %u, who is there", site, visitor);
    for (int place = PLACE_ROOM; place < PLACES; place++)
        if (beat->names[place] >= 0)
            refusable += !oracle_is_held(
                &scenario->oracle,
                oracle_scope(&scenario->oracle, site, (enum place)place, beat->names[place]),
                visitor, scenario->tick);
    if (refusal.labels > refusable)
        scenario_fail(scenario, "site %d: %u labels refused visitor %u, who is in all but %u", site,
                      refusal.labels, visitor, refusable);
}

static void run_refusable_batch(struct scenario *scenario)
{
    struct fixture *fixture = scenario->fixture;
    struct ingest *ingest = fixture->ingests[random_below(&scenario->random, fixture->workers)];
    uint64_t site = fixture_counter(fixture, COUNTER_table_full);
    uint64_t labels = fixture_counter(fixture, COUNTER_label_table_full);

    feed_log_begin_batch(&scenario->feed, scenario->fixture);
    ingest_begin(ingest);
    expect_advance(scenario);
    const struct packet *packet = senders_next(scenario);
    struct arrival arrival = arrivals_ingest(scenario, ingest, packet);
    ingest_end(ingest);
    struct oracle_refusal refusal = {
        .site = fixture_counter(fixture, COUNTER_table_full) != site,
        .labels = (unsigned)(fixture_counter(fixture, COUNTER_label_table_full) - labels),
    };
    if (packet->records)
        check_refusal(scenario, &packet->beats[0], refusal);
    arrivals_expect(scenario, packet, arrival, refusal);
    check_feed(scenario);
}

/* ---- the scenario -------------------------------------------------------------------------- */

static void start(struct scenario *scenario, bool is_first)
{
    uint64_t before = scenario->tick;
    uint64_t gap = fixture_start(scenario->fixture, random_between(&scenario->random, 1, 4));

    expect_advance(scenario);
    if (is_first)
        scenario->listening_since = scenario->tick;
    if (gap != scenario->tick - before)
        scenario_fail(scenario, "collector_listen says %llu s, not %llu", (unsigned long long)gap,
                      (unsigned long long)(scenario->tick - before));
}

/* Nobody writes: readers return what was last known. */
static void check_meanwhile(struct scenario *scenario)
{
    check_activities(scenario);
    check_peaks(scenario);
    check_some_minutes(scenario);
    check_listings(scenario);
    check_listed_streams(scenario);
    check_followers(scenario);
}

/* Start with another ring and room for other streams: the segment is a new one, and everything has
 * moved into it. */
static void renew(struct scenario *scenario)
{
    const struct variant *variant = scenario->variant;
    struct segment_settings *settings = &scenario->fixture->settings;

    settings->max_events =
        settings->max_events == variant->max_events ? 2 * variant->max_events : variant->max_events;
    if (variant->max_streams)
        settings->max_streams = random_between(&scenario->random, 1, 2 * variant->max_streams);
    start(scenario, false);
    if (scenario->fixture->collector.file.origin != SEGMENT_RENEWED)
        scenario_fail(scenario, "the segment was not replaced");
    check_moved_holders(scenario);
    feed_log_move(&scenario->feed, scenario->fixture);
    oracle_streams_resize(&scenario->oracle.streams, settings->max_streams);
}

static void restart(struct scenario *scenario)
{
    if (random_one_in(&scenario->random, 2) && scenario->seed % 2) {
        feed_log_kill(&scenario->feed, scenario->fixture, &scenario->random);
        fixture_kill(scenario->fixture);
        oracle_kill(&scenario->oracle);
    } else {
        fixture_stop(scenario->fixture);
        expect_advance(scenario);
        scenario->is_stopped = true;
    }
    if (random_one_in(&scenario->random, 2))
        check_meanwhile(scenario);
    fixture_set_clock(scenario->fixture, fixture_clock(scenario->fixture) + clock_step(scenario));
    check_meanwhile(scenario);
    if (scenario->variant->max_events && random_one_in(&scenario->random, 8))
        renew(scenario);
    else
        start(scenario, false);
    scenario->is_stopped = false;
    feed_log_adopt(&scenario->feed);
}

static struct segment_settings settings_of(const struct scenario *scenario)
{
    const struct variant *variant = scenario->variant;
    bool for_all = variant->max_histories == VARIANT_FOR_ALL;

    return (struct segment_settings){
        .max_entries = variant->max_entries,
        .max_scopes = variant->max_scopes,
        .max_window = variant->max_window,
        .warm_up = WARM_UP,
        .max_histories = for_all ? scenario->oracle.scope_count : variant->max_histories,
        .max_events = variant->max_events,
        .max_streams = variant->max_streams,
    };
}

void scenario_open(struct scenario *scenario, const struct variant *variant, uint64_t seed,
                   struct fixture *fixture)
{
    memset(scenario, 0, sizeof(*scenario));
    scenario->variant = variant;
    scenario->seed = seed;
    scenario->random.state = seed;
    scenario->fixture = fixture;
    names_make(&scenario->names, variant->names, variant->visitors, &scenario->random);
    oracle_open(&scenario->oracle, variant->names, variant->visitors, variant->max_scopes,
                variant->max_window);
    scenario->holdings = calloc(scenario->oracle.scope_count, sizeof(*scenario->holdings));
    struct segment_settings settings = settings_of(scenario);
    fixture_create(fixture, &settings, first_tick(&scenario->random));
    fixture->wall = first_wall(scenario);
    model_clock = (struct model_clock){.fixture = fixture};
    scenario->tick = fixture_clock(fixture);
    scenario->sampled = scenario->day = ORACLE_ABSENT;
    fixture->admission = scenario->admission = arrivals_admission(scenario);
    start(scenario, true);
    feed_log_open(&scenario->feed, fixture, &scenario->random);
    check_streams_open(scenario);
    senders_open(scenario);
    int r = presence_open(fixture->path, &scenario->reader);
    if (r < 0)
        scenario_fail(scenario, "presence_open: %s", strerror(-r));
}

void scenario_close(struct scenario *scenario)
{
    presence_close(scenario->reader);
    scenario->reader = NULL;
    if (scenario->fixture && scenario->fixture->is_running)
        fixture_stop(scenario->fixture);
    if (scenario->fixture)
        fixture_remove(scenario->fixture);
    model_clock.fixture = NULL;
    oracle_close(&scenario->oracle);
    senders_close(scenario);
    oracle_streams_close(&scenario->oracle.streams);
    arrivals_admission_free(scenario->admission);
    scenario->admission = NULL;
    free(scenario->holdings);
    scenario->holdings = NULL;
    feed_log_close(&scenario->feed);
}

void scenario_step(struct scenario *scenario)
{
    struct fixture *fixture = scenario->fixture;

    scenario->step++;
    fixture_set_clock(fixture, fixture_clock(fixture) + clock_step(scenario));
    step_clocks(scenario);
    if (random_one_in(&scenario->random, 40))
        restart(scenario);
    if (!random_one_in(&scenario->random, 4)) {
        collector_maintain(&fixture->collector);
        expect_advance(scenario);
        expect_samples(scenario);
    }
    for (unsigned batches = random_below(&scenario->random, 4); batches; batches--) {
        if (scenario->variant->table_may_fill)
            run_refusable_batch(scenario);
        else
            run_batch(scenario);
    }
}

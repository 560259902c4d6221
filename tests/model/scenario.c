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
    if (kind < 88)
        return random_between(random, 2, 10);
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

/* ---- beats ------------------------------------------------------------------------------- */

static void choose_place(struct scenario *scenario, struct beat *beat)
{
    for (int place = 0; place < PLACES; place++) {
        unsigned count = scenario->variant->names[place];
        bool is_given = count && (place == PLACE_SITE || random_one_in(&scenario->random, 2));
        beat->names[place] = is_given ? (int)random_below(&scenario->random, count) : -1;
    }
}

static void choose_visitors(struct scenario *scenario, struct beat *beat)
{
    struct random_source *random = &scenario->random;
    unsigned all = scenario->variant->visitors;
    unsigned nearby = all < 16 ? all : 16; /* most come back soon */
    unsigned first = scenario->step / 8;

    beat->visitors = 1;
    if (!scenario->variant->table_may_fill && random_one_in(random, 3))
        beat->visitors = random_one_in(random, 8) ? random_between(random, 1, BEAT_VISITORS_MAX)
                                                  : random_between(random, 1, 12);
    bool anybody = random_one_in(random, 3);
    for (unsigned i = 0; i < beat->visitors; i++)
        beat->visitor[i] =
            anybody ? random_below(random, all) : (first + random_below(random, nearby)) % all;
}

static struct beat choose_beat(struct scenario *scenario)
{
    static const char *const events[] = {
        "sign-up",
        "sign up",
        "e",
        "\"quoted\" = \\",
        "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
        "of the greatest length, which is sixty-three bytes: ...........",
    };
    static const enum beat_kind kinds[] = {
        BEAT_HEARTBEAT, BEAT_HEARTBEAT, BEAT_HEARTBEAT, BEAT_HEARTBEAT,
        BEAT_PAGEVIEW,  BEAT_EVENT,     BEAT_LEAVE,     BEAT_LEAVE,
    };
    struct beat beat = {.kind = kinds[random_below(&scenario->random, LENGTH(kinds))]};

    if (beat.kind == BEAT_EVENT)
        beat.event = events[random_below(&scenario->random, LENGTH(events))];
    choose_place(scenario, &beat);
    choose_visitors(scenario, &beat);
    return beat;
}

/* ---- datagrams --------------------------------------------------------------------------- */

/* Ingest a copy of exactly its size, so that a sanitizer detects any read beyond it. */
static void ingest_copy(struct ingest *ingest, const uint8_t *datagram, uint32_t length)
{
    uint8_t *copy = malloc(length);

    if (length)
        memcpy(copy, datagram, length);
    ingest_datagram(ingest, copy, length);
    free(copy);
}

static uint32_t encode_beat(struct scenario *scenario, struct beat *beat, uint8_t *datagram)
{
    if (encode_text_can_carry(&scenario->names, beat) && random_one_in(&scenario->random, 2))
        return encode_text(&scenario->names, beat, &scenario->random, datagram);
    return encode_native(&scenario->names, beat, &scenario->random, datagram);
}

static void send_rejected(struct scenario *scenario, struct ingest *ingest)
{
    struct oracle_counters *counters = &scenario->oracle.counters;
    uint8_t datagram[ENCODE_MAX];
    enum rejection reason;
    uint32_t length = encode_rejected(&scenario->random, datagram, &reason);

    ingest_copy(ingest, datagram, length);
    counters->received++;
    counters->version += reason == REJECTED_VERSION;
    counters->malformed += reason == REJECTED_MALFORMED;
    counters->visitor += reason == REJECTED_VISITOR;
}

static void run_batch(struct scenario *scenario)
{
    struct ingest *ingest =
        scenario->fixture->ingests[random_below(&scenario->random, scenario->fixture->workers)];
    unsigned datagrams = random_below(&scenario->random, 9);
    uint8_t datagram[ENCODE_MAX];

    ingest_begin(ingest);
    expect_advance(scenario);
    for (; datagrams; datagrams--) {
        if (random_one_in(&scenario->random, 12)) {
            send_rejected(scenario, ingest);
            continue;
        }
        struct beat beat = choose_beat(scenario);
        uint32_t length = encode_beat(scenario, &beat, datagram);
        ingest_copy(ingest, datagram, length);
        oracle_apply(&scenario->oracle, &beat, scenario->tick, (struct oracle_refusal){0});
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
    struct beat beat = choose_beat(scenario);
    uint8_t datagram[ENCODE_MAX];
    uint32_t length = encode_beat(scenario, &beat, datagram);
    uint64_t site = fixture_counter(fixture, COUNTER_table_full);
    uint64_t labels = fixture_counter(fixture, COUNTER_label_table_full);

    ingest_begin(ingest);
    expect_advance(scenario);
    ingest_copy(ingest, datagram, length);
    ingest_end(ingest);
    struct oracle_refusal refusal = {
        .site = fixture_counter(fixture, COUNTER_table_full) != site,
        .labels = (unsigned)(fixture_counter(fixture, COUNTER_label_table_full) - labels),
    };
    check_refusal(scenario, &beat, refusal);
    oracle_apply(&scenario->oracle, &beat, scenario->tick, refusal);
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
    check_followers(scenario);
}

/* Start with another ring: the segment is a new one, and everything has moved into it. */
static void renew(struct scenario *scenario)
{
    const struct variant *variant = scenario->variant;
    uint32_t *max_events = &scenario->fixture->settings.max_events;

    *max_events =
        *max_events == variant->max_events ? 2 * variant->max_events : variant->max_events;
    start(scenario, false);
    if (scenario->fixture->collector.file.origin != SEGMENT_RENEWED)
        scenario_fail(scenario, "the segment was not replaced");
    feed_log_move(&scenario->feed, scenario->fixture);
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
    fixture->wall = (UINT64_C(1) << 30) + random_next(&scenario->random) % (UINT64_C(1) << 40);
    model_clock = (struct model_clock){.fixture = fixture};
    scenario->tick = fixture_clock(fixture);
    scenario->sampled = scenario->day = ORACLE_ABSENT;
    start(scenario, true);
    feed_log_open(&scenario->feed, fixture, &scenario->random);
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

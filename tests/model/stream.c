#include "stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model_clock.h"

#define WARM_UP       90
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

void stream_fail(const struct stream *stream, const char *format, ...)
{
    char what[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    fail_msg("%s, TEST_SEED=%llu, step %u, tick %llu: %s", stream->variant->name,
             (unsigned long long)stream->seed, stream->step, (unsigned long long)stream->tick,
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

static uint64_t clock_step(struct stream *stream)
{
    struct random_source *random = &stream->random;
    unsigned kind = random_below(random, 100);

    if (stream->variant->is_steady)
        return steady_step(random);
    if (kind < 50)
        return 0;
    if (kind < 75)
        return 1;
    if (kind < 88)
        return random_between(random, 2, 10);
    if (kind < 95)
        return random_between(random, 1, stream->variant->max_window + 2);
    return gap(random);
}

/* At times somebody sets the wall clock, which no tick follows, or the machine was asleep. */
static void step_clocks(struct stream *stream)
{
    struct random_source *random = &stream->random;

    model_clock.boot_ns = random_below(random, 1000000000);
    if (random_one_in(random, 100))
        model_clock.asleep_ns += random_next(random) % (UINT64_C(1) << 40);
    if (!random_one_in(random, 100))
        return;
    uint64_t far = random_one_in(random, 3) ? random_below(random, 200000) : 3;
    stream->fixture->wall += random_one_in(random, 2) ? far : -far;
    model_clock.wall_ns = random_below(random, 1000000000);
}

/* Expect what collector_advance must do. */
static void expect_advance(struct stream *stream)
{
    uint64_t clock = fixture_clock(stream->fixture);

    if (clock > stream->tick + SEGMENT_GAP)
        stream->listening_since = clock;
    stream->tick = clock;
}

/* Expect the maintenance thread's work, once a tick. */
static void expect_samples(struct stream *stream)
{
    uint64_t day = (stream->tick + stream->fixture->wall) / 86400;
    struct oracle_round round = {
        .now = stream->tick,
        .before = stream->sampled,
        .is_new_day = day != stream->day,
        .is_warming = stream->tick - stream->listening_since < WARM_UP,
    };

    if (stream->sampled != ORACLE_ABSENT && stream->tick <= stream->sampled)
        return;
    oracle_sample(&stream->oracle, &round);
    stream->sampled = stream->tick;
    stream->day = day;
    check_holders(stream, &round);
}

/* ---- beats ------------------------------------------------------------------------------- */

static void choose_place(struct stream *stream, struct beat *beat)
{
    for (int place = 0; place < PLACES; place++) {
        unsigned count = stream->variant->names[place];
        bool is_given = count && (place == PLACE_SITE || random_one_in(&stream->random, 2));
        beat->names[place] = is_given ? (int)random_below(&stream->random, count) : -1;
    }
}

static void choose_visitors(struct stream *stream, struct beat *beat)
{
    struct random_source *random = &stream->random;
    unsigned all = stream->variant->visitors;
    unsigned nearby = all < 16 ? all : 16; /* most come back soon */
    unsigned first = stream->step / 8;

    beat->visitors = 1;
    if (!stream->variant->table_may_fill && random_one_in(random, 3))
        beat->visitors = random_one_in(random, 8) ? random_between(random, 1, BEAT_VISITORS_MAX)
                                                  : random_between(random, 1, 12);
    bool anybody = random_one_in(random, 3);
    for (unsigned i = 0; i < beat->visitors; i++)
        beat->visitor[i] =
            anybody ? random_below(random, all) : (first + random_below(random, nearby)) % all;
}

static struct beat choose_beat(struct stream *stream)
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
    struct beat beat = {.kind = kinds[random_below(&stream->random, LENGTH(kinds))]};

    if (beat.kind == BEAT_EVENT)
        beat.event = events[random_below(&stream->random, LENGTH(events))];
    choose_place(stream, &beat);
    choose_visitors(stream, &beat);
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

static uint32_t encode_beat(struct stream *stream, struct beat *beat, uint8_t *datagram)
{
    if (encode_text_can_carry(&stream->names, beat) && random_one_in(&stream->random, 2))
        return encode_text(&stream->names, beat, &stream->random, datagram);
    return encode_native(&stream->names, beat, &stream->random, datagram);
}

static void send_rejected(struct stream *stream, struct ingest *ingest)
{
    struct oracle_counters *counters = &stream->oracle.counters;
    uint8_t datagram[ENCODE_MAX];
    enum rejection reason;
    uint32_t length = encode_rejected(&stream->random, datagram, &reason);

    ingest_copy(ingest, datagram, length);
    counters->received++;
    counters->version += reason == REJECTED_VERSION;
    counters->malformed += reason == REJECTED_MALFORMED;
    counters->visitor += reason == REJECTED_VISITOR;
}

static void run_batch(struct stream *stream)
{
    struct ingest *ingest =
        stream->fixture->ingests[random_below(&stream->random, stream->fixture->workers)];
    unsigned datagrams = random_below(&stream->random, 9);
    uint8_t datagram[ENCODE_MAX];

    ingest_begin(ingest);
    expect_advance(stream);
    for (; datagrams; datagrams--) {
        if (random_one_in(&stream->random, 12)) {
            send_rejected(stream, ingest);
            continue;
        }
        struct beat beat = choose_beat(stream);
        uint32_t length = encode_beat(stream, &beat, datagram);
        ingest_copy(ingest, datagram, length);
        oracle_apply(&stream->oracle, &beat, stream->tick, (struct oracle_refusal){0});
    }
    ingest_end(ingest);
    check_feed(stream);
}

/* Check that no visitor who is there is refused. */
static void check_refusal(struct stream *stream, const struct beat *beat,
                          struct oracle_refusal refusal)
{
    int site = beat->names[PLACE_SITE];
    unsigned visitor = beat->visitor[0], refusable = 0;

    if (beat->kind == BEAT_LEAVE && (refusal.site || refusal.labels))
        stream_fail(stream, "a leave was refused");
    if (refusal.site &&
        oracle_is_held(&stream->oracle, oracle_scope(&stream->oracle, site, PLACE_SITE, 0), visitor,
                       stream->tick))
        stream_fail(stream, "site %d refused visitor %u, who is there", site, visitor);
    for (int place = PLACE_ROOM; place < PLACES; place++)
        if (beat->names[place] >= 0)
            refusable += !oracle_is_held(
                &stream->oracle,
                oracle_scope(&stream->oracle, site, (enum place)place, beat->names[place]), visitor,
                stream->tick);
    if (refusal.labels > refusable)
        stream_fail(stream, "site %d: %u labels refused visitor %u, who is in all but %u", site,
                    refusal.labels, visitor, refusable);
}

static void run_refusable_batch(struct stream *stream)
{
    struct fixture *fixture = stream->fixture;
    struct ingest *ingest = fixture->ingests[random_below(&stream->random, fixture->workers)];
    struct beat beat = choose_beat(stream);
    uint8_t datagram[ENCODE_MAX];
    uint32_t length = encode_beat(stream, &beat, datagram);
    uint64_t site = fixture_counter(fixture, COUNTER_table_full);
    uint64_t labels = fixture_counter(fixture, COUNTER_label_table_full);

    ingest_begin(ingest);
    expect_advance(stream);
    ingest_copy(ingest, datagram, length);
    ingest_end(ingest);
    struct oracle_refusal refusal = {
        .site = fixture_counter(fixture, COUNTER_table_full) != site,
        .labels = (unsigned)(fixture_counter(fixture, COUNTER_label_table_full) - labels),
    };
    check_refusal(stream, &beat, refusal);
    oracle_apply(&stream->oracle, &beat, stream->tick, refusal);
    check_feed(stream);
}

/* ---- the stream -------------------------------------------------------------------------- */

static void start(struct stream *stream, bool is_first)
{
    uint64_t before = stream->tick;
    uint64_t gap = fixture_start(stream->fixture, random_between(&stream->random, 1, 4));

    expect_advance(stream);
    if (is_first)
        stream->listening_since = stream->tick;
    if (gap != stream->tick - before)
        stream_fail(stream, "collector_listen says %llu s, not %llu", (unsigned long long)gap,
                    (unsigned long long)(stream->tick - before));
}

/* Nobody writes: readers return what was last known. */
static void check_meanwhile(struct stream *stream)
{
    check_activities(stream);
    check_peaks(stream);
    check_some_minutes(stream);
    check_listings(stream);
    check_followers(stream);
}

/* Start with another ring: the segment is a new one, and everything has moved into it. */
static void renew(struct stream *stream)
{
    const struct variant *variant = stream->variant;
    uint32_t *max_events = &stream->fixture->settings.max_events;

    *max_events =
        *max_events == variant->max_events ? 2 * variant->max_events : variant->max_events;
    start(stream, false);
    if (stream->fixture->collector.file.origin != SEGMENT_RENEWED)
        stream_fail(stream, "the segment was not replaced");
    feed_log_move(&stream->feed, stream->fixture);
}

static void restart(struct stream *stream)
{
    if (random_one_in(&stream->random, 2) && stream->seed % 2) {
        feed_log_kill(&stream->feed, stream->fixture, &stream->random);
        fixture_kill(stream->fixture);
        oracle_kill(&stream->oracle);
    } else {
        fixture_stop(stream->fixture);
        expect_advance(stream);
        stream->is_stopped = true;
    }
    if (random_one_in(&stream->random, 2))
        check_meanwhile(stream);
    fixture_set_clock(stream->fixture, fixture_clock(stream->fixture) + clock_step(stream));
    check_meanwhile(stream);
    if (stream->variant->max_events && random_one_in(&stream->random, 8))
        renew(stream);
    else
        start(stream, false);
    stream->is_stopped = false;
    feed_log_adopt(&stream->feed);
}

static struct segment_settings settings_of(const struct stream *stream)
{
    const struct variant *variant = stream->variant;
    bool for_all = variant->max_histories == VARIANT_FOR_ALL;

    return (struct segment_settings){
        .max_entries = variant->max_entries,
        .max_scopes = variant->max_scopes,
        .max_window = variant->max_window,
        .warm_up = WARM_UP,
        .max_histories = for_all ? stream->oracle.scope_count : variant->max_histories,
        .max_events = variant->max_events,
    };
}

void stream_open(struct stream *stream, const struct variant *variant, uint64_t seed,
                 struct fixture *fixture)
{
    memset(stream, 0, sizeof(*stream));
    stream->variant = variant;
    stream->seed = seed;
    stream->random.state = seed;
    stream->fixture = fixture;
    names_make(&stream->names, variant->names, variant->visitors, &stream->random);
    oracle_open(&stream->oracle, variant->names, variant->visitors, variant->max_scopes,
                variant->max_window);
    stream->holdings = calloc(stream->oracle.scope_count, sizeof(*stream->holdings));
    struct segment_settings settings = settings_of(stream);
    fixture_create(fixture, &settings, first_tick(&stream->random));
    fixture->wall = (UINT64_C(1) << 30) + random_next(&stream->random) % (UINT64_C(1) << 40);
    model_clock = (struct model_clock){.fixture = fixture};
    stream->tick = fixture_clock(fixture);
    stream->sampled = stream->day = ORACLE_ABSENT;
    start(stream, true);
    feed_log_open(&stream->feed, fixture, &stream->random);
    int r = presence_open(fixture->path, &stream->reader);
    if (r < 0)
        stream_fail(stream, "presence_open: %s", strerror(-r));
}

void stream_close(struct stream *stream)
{
    presence_close(stream->reader);
    stream->reader = NULL;
    if (stream->fixture && stream->fixture->is_running)
        fixture_stop(stream->fixture);
    if (stream->fixture)
        fixture_remove(stream->fixture);
    model_clock.fixture = NULL;
    oracle_close(&stream->oracle);
    free(stream->holdings);
    stream->holdings = NULL;
    feed_log_close(&stream->feed);
}

void stream_step(struct stream *stream)
{
    struct fixture *fixture = stream->fixture;

    stream->step++;
    fixture_set_clock(fixture, fixture_clock(fixture) + clock_step(stream));
    step_clocks(stream);
    if (random_one_in(&stream->random, 40))
        restart(stream);
    if (!random_one_in(&stream->random, 4)) {
        collector_maintain(&fixture->collector);
        expect_advance(stream);
        expect_samples(stream);
    }
    for (unsigned batches = random_below(&stream->random, 4); batches; batches--) {
        if (stream->variant->table_may_fill)
            run_refusable_batch(stream);
        else
            run_batch(stream);
    }
}

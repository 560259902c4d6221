/* test_decoder.c - compare the relay's decoder with the judge, and its accounts with those of a
 * collector that has no keys and gets the same datagrams: many random ones, some of them twice.
 * TEST_SEED repeats a run. */
#include "../unit/ingest_fixture.h"
#include "generate.h"
#include "judge.h"

#include <inttypes.h>
#include <receive/decoder.h>
#include <time.h>

#define DATAGRAMS 300000
#define BATCH     100
#define KEPT      64 /* earlier datagrams that may come again */

static uint64_t seed;
static struct generator generator;
static struct decoder *decoder;
static struct decoder_counts counts;

/* Keep the datagram that was generated, or take an earlier one. */
static void repeat_some(void)
{
    static struct generator kept[KEPT];
    struct generator *one = &kept[generate_below(&generator, KEPT)];

    if (one->length && generate_below(&generator, 8) == 0) {
        memcpy(generator.bytes, one->bytes, one->length);
        generator.length = one->length;
    } else {
        memcpy(one->bytes, generator.bytes, generator.length);
        one->length = generator.length;
    }
}

static void generate(void)
{
    static void (*const kinds[])(struct generator *) = {generate_native, generate_v2,
                                                        generate_text};

    kinds[generate_below(&generator, LENGTH(kinds))](&generator);
    repeat_some();
}

static void require(bool condition, const char *what)
{
    if (!condition)
        fail_msg("seed %" PRIu64 ": %s", seed, what);
}

/* True if a name is as judged, and ends there. */
static bool is_name(const char *got, const struct judge_name *expected)
{
    if (expected->length == 0)
        return !got;
    return got && strlen(got) == expected->length &&
           memcmp(got, expected->bytes, expected->length) == 0;
}

/* Compare the next heartbeats of the decoder with one place that was judged. */
static void compare_next(const struct judgement *expected)
{
    struct decoded got;
    struct judge_name country = {.length = expected->country[0] ? 2 : 0};

    memcpy(country.bytes, expected->country, 2);
    require(decoder_next(decoder, &got), "heartbeats are missing");
    require((uint32_t)got.place.kind == expected->kind, "the kind");
    require(is_name(got.place.site, &expected->site), "the site");
    require(is_name(got.place.room, &expected->room), "the room");
    require(is_name(got.place.source, &expected->source), "the source");
    require(is_name(got.place.event, &expected->event), "the event");
    require(is_name(got.place.country, &country), "the country");
    require(got.count == expected->visitors &&
                memcmp(got.visitors, expected->visitor_ids, (size_t)got.count * 16) == 0,
            "the visitors");
}

/* Let the decoder read a copy of exactly the datagram's size, and compare it with the judge. */
static void compare_datagram(const uint8_t *datagram, uint32_t length)
{
    static struct judgement_v2 many;
    static struct judgement one;
    bool is_v2 = judge_is_v2(datagram, length);
    enum judge_reason reason;
    uint64_t duplicates = counts.datagrams_rejected[DECODER_DUPLICATE];
    struct decoded rest;

    if (is_v2)
        judge_v2(datagram, length, &many);
    else
        judge(datagram, length, &one);
    reason = is_v2 ? many.reason : one.reason;
    uint64_t rejected = counts.datagrams_rejected[reason];
    bool is_accepted = decoder_read(decoder, datagram, length);
    if (reason != JUDGE_ACCEPTED) {
        require(!is_accepted && counts.datagrams_rejected[reason] == rejected + 1, "the reason");
    } else if (!is_accepted) {
        require(is_v2 && many.stream && duplicates < counts.datagrams_rejected[DECODER_DUPLICATE],
                "it is rejected");
    } else if (is_v2) {
        for (uint32_t i = 0; i < many.record_count; i++) {
            judge_one_record(&many, i, &one);
            compare_next(&one);
        }
    } else {
        compare_next(&one);
    }
    require(!decoder_next(decoder, &rest), "there is more than was sent");
}

/* Compare what the decoder has counted with a collector's counters. */
static void compare_counts(struct fixture *fixture)
{
    static const enum counter reasons[DECODER_REASONS] = {
        [DECODER_SENDER] = COUNTER_datagrams_rejected_sender,
        [DECODER_VERSION] = COUNTER_datagrams_rejected_version,
        [DECODER_MALFORMED] = COUNTER_datagrams_rejected_malformed,
        [DECODER_VISITOR] = COUNTER_datagrams_rejected_visitor,
        [DECODER_UNAUTHENTICATED] = COUNTER_datagrams_rejected_unauthenticated,
        [DECODER_STALE] = COUNTER_datagrams_rejected_stale,
        [DECODER_DUPLICATE] = COUNTER_datagrams_rejected_duplicate,
        [DECODER_SITE] = COUNTER_datagrams_rejected_site,
    };

    expect_counter(fixture, datagrams_received, counts.datagrams_received);
    expect_counter(fixture, datagrams_accepted, counts.datagrams_accepted);
    expect_counter(fixture, datagrams_empty, counts.datagrams_empty);
    expect_counter(fixture, label_invalid, counts.labels_invalid);
    expect_counter(fixture, room_too_long, counts.rooms_too_long);
    expect_counter(fixture, streams_expected, counts.streams_expected);
    expect_counter(fixture, streams_received, counts.streams_received);
    expect_counter(fixture, streams_full, counts.streams_full);
    for (unsigned i = DECODER_SENDER; i < DECODER_REASONS; i++)
        require(counter(fixture, reasons[i]) == counts.datagrams_rejected[i],
                decoder_reason_name((enum decoder_reason)i));
    expect_accounted(fixture, counts.heartbeats);
}

static void random_datagrams(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings.max_streams = DECODER_STREAMS;
    start_ingest(fixture);
    assert_int_equal(decoder_open(NULL, &counts, &decoder), 0);
    generator.state = seed;
    for (uint32_t i = 0; i < DATAGRAMS / BATCH; i++) {
        fixture->clock += i % 16 == 0;
        decoder_set_time(decoder, fixture->clock);
        ingest_begin(fixture->ingests[0]);
        for (uint32_t j = 0; j < BATCH; j++) {
            generate();
            uint8_t *copy = malloc(generator.length);
            memcpy(copy, generator.bytes, generator.length);
            compare_datagram(copy, generator.length);
            ingest_datagram(fixture->ingests[0], copy, generator.length);
            free(copy);
        }
        ingest_end(fixture->ingests[0]);
        compare_counts(fixture);
    }
    print_message("%" PRIu64 " accepted, %" PRIu64 " duplicates\n", counts.datagrams_accepted,
                  counts.datagrams_rejected[DECODER_DUPLICATE]);
    assert_in_range(counts.datagrams_accepted, DATAGRAMS / 4, DATAGRAMS * 3 / 4);
    assert_true(counts.datagrams_rejected[DECODER_DUPLICATE] > DATAGRAMS / 1000);
    decoder_close(decoder);
    stop_ingest(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_datagrams, open_fixture, close_fixture)};
    const char *given = getenv("TEST_SEED");

    seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("TEST_SEED=%" PRIu64 "\n", seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

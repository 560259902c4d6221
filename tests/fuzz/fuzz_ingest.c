/* fuzz_ingest.c - a sequence of datagrams and seconds, through a collector of small limits. Each
 * datagram is accounted for as the judge says, each visitor too, and the rings add up to the words
 * of the table. A relay's decoder gets the same datagrams, and has the same accounts.
 *
 * An input is a byte that chooses the limits, and steps: a byte, and for a datagram its length in
 * two bytes and its bytes. */
#include "../unit/move_fixture.h"

#include <receive/decoder.h>

#include "fuzz.h"
#include "judge.h"

#define STEPS_MAX 200

enum flag {
    FLAG_FEW_SCOPES = 1,
    FLAG_FEW_ENTRIES = 2,
    FLAG_FEW_LABELS = 4, /* rooms and sources of a site */
    FLAG_NOTHING_KEPT = 8,
    FLAG_SHORT_WINDOW = 16,
};

enum step {
    STEP_DATAGRAM,
    STEP_TEXT, /* up to a line's end, behind PH1 */
    STEP_SECONDS,
    STEP_MINUTES,
    STEPS,
};

static struct decoder *decoder;
static struct decoder_counts counts;

/* What the judge expects. */
struct expected {
    uint64_t received, accepted, version, malformed, visitor;
    uint64_t visitors; /* of datagrams of version 1 and text, and of version 2 */
};

static void choose_settings(struct fixture *fixture, unsigned flags)
{
    fixture->settings = (struct segment_settings){
        .max_entries = flags & FLAG_FEW_ENTRIES ? 8 : 1000,
        .max_scopes = flags & FLAG_FEW_SCOPES ? 3 : 64,
        .max_window = flags & FLAG_SHORT_WINDOW ? 60 : 3600,
        .warm_up = 90,
        .max_histories = flags & FLAG_NOTHING_KEPT ? 0 : 4,
        .max_events = flags & FLAG_NOTHING_KEPT ? 0 : 64,
        .max_streams = flags & FLAG_NOTHING_KEPT ? 0 : 2,
    };
}

/* Judge a datagram. Returns how many visitors it has if it is accepted. */
static uint32_t judge_datagram(const uint8_t *bytes, uint32_t length, struct expected *expected)
{
    static struct judgement one;
    static struct judgement_v2 many;
    bool is_v2 = judge_is_v2(bytes, length);

    if (is_v2)
        judge_v2(bytes, length, &many);
    else
        judge(bytes, length, &one);
    enum judge_reason reason = is_v2 ? many.reason : one.reason;
    expected->received++;
    expected->accepted += reason == JUDGE_ACCEPTED;
    expected->version += reason == JUDGE_VERSION;
    expected->malformed += reason == JUDGE_MALFORMED;
    expected->visitor += reason == JUDGE_VISITOR;
    if (reason != JUDGE_ACCEPTED)
        return 0;
    return is_v2 ? many.visitors : one.visitors;
}

static uint64_t accounted(struct fixture *fixture)
{
    return counter(fixture, COUNTER_heartbeats_new) +
           counter(fixture, COUNTER_heartbeats_refreshed) +
           counter(fixture, COUNTER_heartbeats_left) + counter(fixture, COUNTER_table_full) +
           counter(fixture, COUNTER_scopes_full) + counter(fixture, COUNTER_site_refused);
}

static void read_by_relay(struct fixture *fixture, const uint8_t *bytes, uint32_t length)
{
    struct decoded decoded;
    uint64_t before = counts.heartbeats, visitors = 0;

    decoder_set_time(decoder, fixture->clock);
    decoder_read(decoder, bytes, length);
    while (decoder_next(decoder, &decoded))
        visitors += decoded.count;
    fuzz_check(counts.heartbeats - before == visitors);
}

/* Deliver a datagram as a batch of its own. A duplicate, of version 2, counts nobody. */
static void deliver(struct fixture *fixture, const uint8_t *bytes, uint32_t length,
                    struct expected *expected)
{
    uint8_t *copy = malloc(length); /* of exactly that size */
    uint64_t duplicates = counter(fixture, COUNTER_datagrams_rejected_duplicate);
    uint32_t visitors = judge_datagram(bytes, length, expected);

    if (length)
        memcpy(copy, bytes, length);
    ingest_begin(fixture->ingests[0]);
    ingest_datagram(fixture->ingests[0], copy, length);
    ingest_end(fixture->ingests[0]);
    read_by_relay(fixture, copy, length);
    free(copy);
    if (counter(fixture, COUNTER_datagrams_rejected_duplicate) == duplicates)
        expected->visitors += visitors;
    if (accounted(fixture) != expected->visitors)
        fuzz_fail("%llu of %llu visitors are accounted for", (unsigned long long)accounted(fixture),
                  (unsigned long long)expected->visitors);
}

static void deliver_text(struct fixture *fixture, struct fuzz_input rest, struct expected *expected)
{
    char *line;
    int length = asprintf(&line, "PH1 %.*s", (int)rest.size, (const char *)rest.bytes);

    fuzz_check(length >= 4);
    deliver(fixture, (uint8_t *)line, (uint32_t)length, expected);
    free(line);
}

static void step(struct fixture *fixture, struct fuzz_input *input, struct expected *expected)
{
    unsigned what = (unsigned)fuzz_number(input, 1);
    struct fuzz_input part;

    switch (what % STEPS) {
    case STEP_DATAGRAM:
        part.size = fuzz_number(input, 2);
        part.size = part.size < input->size ? part.size : input->size;
        part.bytes = input->bytes;
        input->bytes += part.size;
        input->size -= part.size;
        deliver(fixture, part.bytes, (uint32_t)part.size, expected);
        break;
    case STEP_TEXT:
        deliver_text(fixture, fuzz_piece(input, '\n'), expected);
        break;
    case STEP_SECONDS:
        fixture->clock += 1 + what / STEPS;
        collector_maintain(&fixture->collector);
        break;
    default:
        fixture->clock += 60 * (1 + (uint64_t)what / STEPS);
        collector_advance(&fixture->collector);
    }
}

static void check_end(struct fixture *fixture, const struct expected *expected)
{
    expect_counter(fixture, datagrams_received, expected->received);
    expect_counter(fixture, datagrams_accepted,
                   expected->accepted - counter(fixture, COUNTER_datagrams_rejected_duplicate));
    expect_counter(fixture, datagrams_rejected_version, expected->version);
    expect_counter(fixture, datagrams_rejected_malformed, expected->malformed);
    expect_counter(fixture, datagrams_rejected_visitor, expected->visitor);
    expect_verified(fixture);
    fuzz_check(counts.datagrams_received == expected->received);
    fuzz_check(counts.datagrams_rejected[DECODER_VERSION] == expected->version);
    fuzz_check(counts.datagrams_rejected[DECODER_MALFORMED] == expected->malformed);
    fuzz_check(counts.datagrams_rejected[DECODER_VISITOR] == expected->visitor);
    fuzz_check(counts.datagrams_accepted + counts.datagrams_rejected[DECODER_DUPLICATE] ==
               expected->accepted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    unsigned flags = (unsigned)fuzz_number(&input, 1);
    struct expected expected = {0};
    void *state;

    setenv("CMOCKA_TEST_ABORT", "1", 1); /* the fixture's assertions abort */
    open_fixture(&state);
    alarm(0);
    struct fixture *fixture = state;
    choose_settings(fixture, flags);
    start_ingest(fixture);
    counts = (struct decoder_counts){0};
    fuzz_check(decoder_open(NULL, &counts, &decoder) == 0);
    fixture->collector.directory.labels_max = flags & FLAG_FEW_LABELS ? 2 : 0;
    for (unsigned i = 0; i < STEPS_MAX && input.size > 0; i++)
        step(fixture, &input, &expected);
    check_end(fixture, &expected);
    decoder_close(decoder);
    stop_ingest(fixture);
    close_fixture(&state);
    return 0;
}

/* test_replays.c - who listens on the way can repeat signed datagrams, and who has a key can sign
 * others: neither may change what is known of visitors, or of the streams of other keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/stream.h"
#include "model_clock.h"
#include "scenario.h"

#define CAPTURED 300

#define PLACES_OF_ALL                                                                    \
    .names = {3, 4, 3, 3}, .visitors = 60, .max_entries = 12000, .max_scopes = 64,       \
    .max_window = 3600, .max_events = 1024, .max_histories = VARIANT_FOR_ALL, .keys = 2, \
    .is_honest = true, .has_networks = true

static const struct variant with_room = {.name = "replays", PLACES_OF_ALL, .max_streams = 1024};

static const struct variant without_room = {.name = "forgeries", PLACES_OF_ALL, .max_streams = 32};

static struct fixture fixture;
static struct scenario scenario;
static struct packet captured[CAPTURED];
static uint8_t *snapshot; /* of the segment */

/* ---- what was on the way --------------------------------------------------------------------- */

/* Send random datagrams, and capture those of streams that were accepted. */
static void capture(void)
{
    struct oracle_counters *counters = &scenario.oracle.counters;

    for (unsigned count = 0; count < CAPTURED;) {
        const struct packet *packet = senders_next(&scenario);
        uint64_t accepted = counters->accepted;
        ingest_begin(fixture.ingests[0]);
        struct arrival arrival = arrivals_ingest(&scenario, fixture.ingests[0], packet);
        ingest_end(fixture.ingests[0]);
        arrivals_expect(&scenario, packet, arrival, (struct oracle_refusal){0});
        if (packet->format == PACKET_V2 && packet->stream && counters->accepted > accepted)
            captured[count++] = packet_copy(packet);
    }
    check_step(&scenario);
    assert_true(counters->pageviews > 0 && counters->custom_events > 0 && counters->left > 0);
}

static void set_up(const struct variant *variant)
{
    scenario_open(&scenario, variant, random_seed(), &fixture);
    capture();
}

static int clean_up(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CAPTURED; i++)
        packet_free(&captured[i]);
    free(snapshot);
    snapshot = NULL;
    scenario_close(&scenario);
    return 0;
}

static const struct segment *segment_of(void)
{
    return &fixture.collector.file.segment;
}

static void take_snapshot(void)
{
    free(snapshot);
    snapshot = malloc(segment_of()->size);
    memcpy(snapshot, segment_of()->header, segment_of()->size);
}

/* Send a datagram again, from anywhere. */
static void send_again(const struct packet *packet)
{
    struct ingest *ingest = fixture.ingests[random_below(&scenario.random, fixture.workers)];

    ingest_begin(ingest);
    arrivals_ingest(&scenario, ingest, packet);
    ingest_end(ingest);
}

/* ---- replays --------------------------------------------------------------------------------- */

/* Check that all is as it was, except for counters and streams. */
static void expect_nothing_changed(void)
{
    const struct segment *segment = segment_of();
    const struct segment_section *sections = segment->header->geometry.sections;

    for (unsigned i = 0; i < SECTIONS; i++) {
        const uint8_t *now = (const uint8_t *)segment->header + sections[i].offset;
        if (i == SECTION_COUNTERS || i == SECTION_STREAMS)
            continue;
        if (memcmp(now, snapshot + sections[i].offset, sections[i].size) != 0)
            scenario_fail(&scenario, "a replay changed section %u", i);
    }
}

/* Replay all, in any order, while time passes. */
static void replay(unsigned seconds)
{
    uint64_t accepted = fixture_counter(&fixture, COUNTER_datagrams_accepted);
    uint64_t received = fixture_counter(&fixture, COUNTER_streams_received);

    take_snapshot();
    for (unsigned i = 0; i < 3 * CAPTURED; i++) {
        send_again(&captured[random_below(&scenario.random, CAPTURED)]);
        if (i % CAPTURED == 0)
            fixture_set_clock(&fixture, fixture_clock(&fixture) + seconds);
    }
    expect_nothing_changed();
    assert_int_equal(fixture_counter(&fixture, COUNTER_datagrams_accepted), accepted);
    assert_int_equal(fixture_counter(&fixture, COUNTER_streams_received), received);
}

static void a_replay_changes_nothing(void **state)
{
    (void)state;
    set_up(&with_room);
    replay(0);
    uint64_t duplicates = fixture_counter(&fixture, COUNTER_datagrams_rejected_duplicate);
    assert_true(duplicates >= CAPTURED); /* the others came from a sender that is not allowed */
    replay(3);
    fixture_kill(&fixture);
    fixture_start(&fixture, 3);
    replay(2);
    fixture_stop(&fixture);
    fixture_start(&fixture, 2);
    replay(1);
    assert_true(fixture_counter(&fixture, COUNTER_datagrams_rejected_duplicate) > duplicates);
}

/* ---- forgeries ------------------------------------------------------------------------------- */

/* Sign a datagram of key 1 with key 2, or badly with key 1, and send it with any sequence. */
static void send_forged(const struct packet *packet)
{
    struct random_source *random = &scenario.random;
    struct packet forged = packet_copy(packet);
    struct signature signature = {
        .key_id = (uint8_t)random_between(random, 1, 2),
        .sent_at = packet->signature.sent_at,
    };

    signature.is_valid = signature.key_id == 2;
    forged.bytes[6] = signature.key_id;
    for (unsigned i = 20; i < 24 && random_one_in(random, 2); i++)
        forged.bytes[i] = (uint8_t)random_next(random);
    if (random_one_in(random,
                      4)) /* another stream: there are more of them than there is room for */
        forged.bytes[12 + random_below(random, 8)] ^= (uint8_t)random_between(random, 1, 255);
    encode_tag(&signature, forged.bytes, forged.length - 8);
    send_again(&forged);
    packet_free(&forged);
}

/* Check that the streams of key 1 are as they were. */
static void expect_streams_of_key_1(void)
{
    const struct segment *segment = segment_of();
    uint64_t offset = segment->header->geometry.sections[SECTION_STREAMS].offset;
    const struct stream *before = (const void *)(snapshot + offset);
    unsigned streams = 0;

    for (unsigned i = 0; i < segment->streams.capacity; i++) {
        const struct stream *now = &segment->streams.slots[i];
        if (before[i].key_id != 1 && now->key_id != 1)
            continue;
        streams++;
        if (memcmp(now, &before[i], sizeof(*now)) != 0)
            scenario_fail(&scenario, "slot %u of stream %llx of key 1 changed", i,
                          (unsigned long long)before[i].id);
    }
    assert_true(streams > 0);
}

static void forgeries_leave_streams_of_other_keys_alone(void **state)
{
    (void)state;
    set_up(&without_room);
    take_snapshot();
    for (unsigned i = 0; i < 4 * CAPTURED; i++) {
        const struct packet *packet = &captured[i % CAPTURED];
        if (packet->signature.key_id == 1)
            send_forged(packet);
        if (i % CAPTURED == 0)
            fixture_set_clock(&fixture, fixture_clock(&fixture) + 5);
    }
    expect_streams_of_key_1();
    assert_true(fixture_counter(&fixture, COUNTER_streams_full) > 0);
    assert_true(fixture_counter(&fixture, COUNTER_datagrams_rejected_unauthenticated) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_replay_changes_nothing, clean_up),
        cmocka_unit_test_teardown(forgeries_leave_streams_of_other_keys_alone, clean_up),
    };

    return cmocka_run_group_tests_name("replays", tests, NULL, NULL);
}

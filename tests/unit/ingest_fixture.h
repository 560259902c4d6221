/* ingest_fixture.h - a listening collector with workers that count the tests' datagrams. */
#ifndef PRESENCE_TESTS_INGEST_FIXTURE_H
#define PRESENCE_TESTS_INGEST_FIXTURE_H

#include "collector_fixture.h"

#include <core/ring_sum.h>
#include <core/text.h>
#include <core/wire.h>

#include "ingest.h"

static inline void start_ingest(struct fixture *fixture)
{
    start_collector(fixture);
    for (unsigned i = 0; i < fixture->workers; i++)
        assert_int_equal(ingest_open(&fixture->collector, i, &fixture->ingests[i]), 0);
}

static inline void stop_ingest(struct fixture *fixture)
{
    for (unsigned i = 0; i < fixture->workers; i++)
        ingest_close(fixture->ingests[i]);
    collector_close(&fixture->collector);
}

/* Record a datagram of a stream, without its counters. Returns false if it is a duplicate. */
static inline bool take_sequence(struct fixture *fixture, uint64_t stream, uint32_t sequence)
{
    const struct wire_v2_datagram datagram = {.stream = stream, .sequence = sequence};
    uint64_t counted[COUNTERS] = {0};

    return streams_receive(fixture->collector.streams, &datagram, 0, NULL, fixture->clock, counted);
}

/* A native datagram; NULL and 0 are absent. Its visitors are `count` consecutive numbers. */
struct beat {
    const char *site, *room, *country, *source, *event;
    enum wire_kind kind; /* 0: heartbeat, or event if it has a name */
    uint32_t visitor;
    uint32_t count; /* 0: one */
};

static inline struct wire_name wire_name_of(const char *text)
{
    return (struct wire_name){(const uint8_t *)text, text ? (uint32_t)strlen(text) : 0};
}

static inline void make_visitor(uint32_t number, uint8_t *id)
{
    memset(id, 0x40, WIRE_VISITOR_SIZE);
    memcpy(id + 12, &number, sizeof(number));
}

/* Return the heartbeat of a beat, whose visitors are written to `ids`. */
static inline struct wire_heartbeat heartbeat_of(const struct beat *beat, uint8_t *ids)
{
    struct wire_heartbeat heartbeat = {
        .site = wire_name_of(beat->site),
        .room = wire_name_of(beat->room),
        .source = wire_name_of(beat->source),
        .event = wire_name_of(beat->event),
        .kind = beat->kind    ? (uint8_t)beat->kind
                : beat->event ? WIRE_EVENT
                              : WIRE_HEARTBEAT,
        .visitors = beat->count ? beat->count : 1,
        .visitor_ids = ids,
    };

    if (beat->country)
        memcpy(heartbeat.country, beat->country, 2);
    for (uint32_t i = 0; i < heartbeat.visitors; i++)
        make_visitor(beat->visitor + i, ids + (size_t)i * WIRE_VISITOR_SIZE);
    return heartbeat;
}

/* Encode it in at most WIRE_DATAGRAM_MAX bytes. Returns how many. */
static inline uint32_t write_beat(const struct beat *beat, uint8_t *datagram)
{
    static uint8_t ids[WIRE_DATAGRAM_MAX];
    struct wire_heartbeat heartbeat = heartbeat_of(beat, ids);
    uint32_t length = wire_v1_encode(&heartbeat, datagram, WIRE_DATAGRAM_MAX);

    if (length == 0)
        fail_msg("the test wants a datagram that can't be written");
    return length;
}

/* Ingest one datagram inside a batch; its bytes are freed at once. */
static inline void take_beat(struct ingest *ingest, struct beat beat)
{
    static uint8_t datagram[WIRE_DATAGRAM_MAX];
    uint32_t length = write_beat(&beat, datagram);

    ingest_datagram(ingest, datagram, length);
    memset(datagram, 0xee, length);
}

static inline void take_text(struct ingest *ingest, const char *text)
{
    ingest_datagram(ingest, (const uint8_t *)text, (uint32_t)strlen(text));
}

/* Ingest a whole batch with the first worker. */
#define batch(fixture, ...)                                 \
    take_batch(fixture, (const struct beat[]){__VA_ARGS__}, \
               sizeof((const struct beat[]){__VA_ARGS__}) / sizeof(struct beat))

static inline void take_batch(struct fixture *fixture, const struct beat *beats, size_t count)
{
    ingest_begin(fixture->ingests[0]);
    for (size_t i = 0; i < count; i++)
        take_beat(fixture->ingests[0], beats[i]);
    ingest_end(fixture->ingests[0]);
}

static inline void text_batch(struct fixture *fixture, const char *text)
{
    ingest_begin(fixture->ingests[0]);
    take_text(fixture->ingests[0], text);
    ingest_end(fixture->ingests[0]);
}

static inline uint64_t counter(struct fixture *fixture, enum counter which)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < SEGMENT_COUNTER_BLOCKS; i++)
        sum += segment_of(fixture)->counters[i].values[which];
    return sum;
}

#define expect_counter(fixture, name, expected) \
    check_counter(fixture, COUNTER_##name, #name, expected, __LINE__)

static inline void check_counter(struct fixture *fixture, enum counter which, const char *name,
                                 uint64_t expected, int line)
{
    if (counter(fixture, which) != expected)
        fail_msg("line %d: %s is %lld, not %llu", line, name, (long long)counter(fixture, which),
                 (unsigned long long)expected);
}

/* Check that the counters account for every datagram and visitor. */
static inline void expect_accounted(struct fixture *fixture, uint64_t visitors)
{
    uint64_t rejected = counter(fixture, COUNTER_datagrams_rejected_duplicate);

    for (int i = COUNTER_datagrams_rejected_sender; i <= COUNTER_datagrams_rejected_site; i++)
        rejected += counter(fixture, (enum counter)i);
    expect_counter(fixture, datagrams_received,
                   counter(fixture, COUNTER_datagrams_accepted) + rejected);
    uint64_t accounted =
        counter(fixture, COUNTER_heartbeats_new) + counter(fixture, COUNTER_heartbeats_refreshed) +
        counter(fixture, COUNTER_heartbeats_left) + counter(fixture, COUNTER_table_full) +
        counter(fixture, COUNTER_scopes_full) + counter(fixture, COUNTER_site_refused);
    if (accounted != visitors)
        fail_msg("%lld of %llu visitors are accounted for", (long long)accounted,
                 (unsigned long long)visitors);
}

static inline uint32_t find_scope(struct fixture *fixture, const char *site, enum scope_kind kind,
                                  const char *label)
{
    uint32_t index = hold_site(fixture, site, 0);

    if (kind == SCOPE_SITE || index == SCOPE_NONE)
        return index;
    return hold_label(fixture, site, index, kind, label, 0);
}

/* Count a place in the longest window; -1 if there is no such scope. */
static inline int64_t count_of(struct fixture *fixture, const char *site, enum scope_kind kind,
                               const char *label)
{
    uint32_t index = find_scope(fixture, site, kind, label);

    if (index == SCOPE_NONE)
        return -1;
    return ring_count(&segment_of(fixture)->directory.rings[index], header_of(fixture)->tick,
                      segment_of(fixture)->max_window);
}

/* Return a scope's total of heartbeats, which histories take. */
static inline uint64_t heartbeats_in(struct fixture *fixture, const char *site,
                                     enum scope_kind kind, const char *label)
{
    uint32_t index = find_scope(fixture, site, kind, label);

    assert_int_not_equal(index, SCOPE_NONE);
    collector_wait_for_batches(&fixture->collector); /* workers publish what they have summed up */
    return segment_of(fixture)->directory.activities[index].heartbeats;
}

#define expect_site(fixture, site, expected) \
    check_count(fixture, site, SCOPE_SITE, NULL, expected, __LINE__)
#define expect_room(fixture, site, room, expected) \
    check_count(fixture, site, SCOPE_ROOM, room, expected, __LINE__)
#define expect_country(fixture, site, country, expected) \
    check_count(fixture, site, SCOPE_COUNTRY, country, expected, __LINE__)
#define expect_source(fixture, site, source, expected) \
    check_count(fixture, site, SCOPE_SOURCE, source, expected, __LINE__)

static inline void check_count(struct fixture *fixture, const char *site, enum scope_kind kind,
                               const char *label, int64_t expected, int line)
{
    int64_t got = count_of(fixture, site, kind, label);

    if (got != expected)
        fail_msg("line %d: %lld in %s %s, not %lld", line, (long long)got, site, label ? label : "",
                 (long long)expected);
}

#endif

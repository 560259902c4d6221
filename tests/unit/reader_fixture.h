/* reader_fixture.h - a collector without sockets, fed by hand, and a reader of its segment. */
#ifndef PRESENCE_TESTS_READER_FIXTURE_H
#define PRESENCE_TESTS_READER_FIXTURE_H

#include <errno.h>

#include "../support/buckets.h"
#include "../support/scratch.h"
#include "../support/unit.h"

#include <presence/presence.h>
#include <core/wire.h>

#include "collector.h"
#include "ingest.h"

/* Far enough ahead of the real clock that no test is so slow as to find the tick stale. */
#define AHEAD 100000

struct fixture {
    struct scratch scratch;
    uint64_t now; /* the collector's clock */
    struct collector *collector;
    struct ingest *ingest;
    struct presence *presence;
};

static inline uint64_t fixture_clock(void *context)
{
    return *(const uint64_t *)context;
}

/* A tick that is well inside its minute. */
static inline uint64_t fixture_start(void)
{
    return (clock_boottime(NULL) + AHEAD) / 60 * 60 + 30;
}

static inline void fixture_start_collector(struct fixture *fixture, struct segment_settings segment)
{
    pid_t holder;
    const struct collector_settings settings = {
        .path = fixture->scratch.path,
        .segment = segment,
        .workers = 1,
        .clock = fixture_clock,
        .clock_context = &fixture->now,
    };

    fixture->collector = aligned_alloc(128, (sizeof(struct collector) + 127) / 128 * 128);
    assert_non_null(fixture->collector);
    assert_int_equal(collector_open(&settings, fixture->collector, &holder), 0);
    assert_int_equal(ingest_open(fixture->collector, 0, &fixture->ingest), 0);
    collector_tell_filter(fixture->collector, "none", "eth0", "another test");
    collector_listen(fixture->collector, "recvmmsg", "a test");
}

static inline void fixture_stop_collector(struct fixture *fixture)
{
    ingest_close(fixture->ingest);
    collector_close(fixture->collector);
    free(fixture->collector);
    fixture->collector = NULL;
}

static inline void fixture_open(struct fixture *fixture, struct segment_settings settings)
{
    *fixture = (struct fixture){.now = fixture_start()};
    scratch_open(&fixture->scratch);
    fixture_start_collector(fixture, settings);
    assert_int_equal(presence_open(fixture->scratch.path, &fixture->presence), 0);
}

static inline void fixture_close(struct fixture *fixture)
{
    presence_close(fixture->presence);
    if (fixture->collector)
        fixture_stop_collector(fixture);
    scratch_close(&fixture->scratch);
}

static inline void fixture_advance(struct fixture *fixture, uint64_t seconds)
{
    fixture->now += seconds;
    collector_advance(fixture->collector);
}

static inline struct segment *fixture_segment(const struct fixture *fixture)
{
    return &fixture->collector->file.segment;
}

static inline struct wire_name fixture_name(const char *text)
{
    return (struct wire_name){(const uint8_t *)text, text ? (uint32_t)strlen(text) : 0};
}

/* Deliver one datagram with one visitor, whose id is the text padded with zeros. */
static inline void fixture_deliver(struct fixture *fixture, uint8_t kind, const char *visitor,
                                   const char *site, const char *room, const char *country,
                                   const char *source)
{
    uint8_t id[WIRE_VISITOR_SIZE] = {0}, datagram[2048];
    struct wire_heartbeat heartbeat = {
        .site = fixture_name(site),
        .room = fixture_name(room),
        .source = fixture_name(source),
        .event = fixture_name(kind == WIRE_EVENT ? "buy" : NULL),
        .kind = kind,
        .visitors = 1,
        .visitor_ids = id,
    };

    for (size_t i = 0; i < sizeof(id) && visitor[i]; i++)
        id[i] = (uint8_t)visitor[i];
    if (country)
        memcpy(heartbeat.country, country, 2);
    uint32_t size = wire_encode(&heartbeat, datagram, sizeof(datagram));
    assert_int_not_equal(size, 0);
    ingest_begin(fixture->ingest);
    ingest_datagram(fixture->ingest, datagram, size);
    ingest_end(fixture->ingest);
}

/* A heartbeat on a site, perhaps in a room. */
static inline void fixture_beat(struct fixture *fixture, const char *visitor, const char *site,
                                const char *room)
{
    fixture_deliver(fixture, WIRE_HEARTBEAT, visitor, site, room, NULL, NULL);
}

#endif

/* reader_fixture.h - a collector without sockets, to which tests give datagrams, and a reader of
 * its segment. */
#ifndef PRESENCE_TESTS_READER_FIXTURE_H
#define PRESENCE_TESTS_READER_FIXTURE_H

#include <errno.h>

#include "../support/buckets.h"
#include "../support/scratch.h"
#include "../support/unit.h"

#include <common/time_namespace.h>
#include <core/wire.h>
#include <presence/presence.h>

#include "collector.h"
#include "ingest.h"

/* The collector's clock is ahead of the real one, as in a time namespace. */
#define AHEAD 100000

/* Ticks are that far ahead of what readers take for the collector's clock, so that even a slow test
 * finds none stale. Not 3: the readers' clock may be a few milliseconds, and so a tick, behind. */
#define LEAD 2

struct fixture {
    struct scratch scratch;
    uint64_t now; /* the collector's clock */
    bool is_open; /* the collector is */
    struct collector *collector;
    struct ingest *ingest;
    struct presence *presence;
};

/* Make readers see the collector's clock as the test has set it. */
static inline void fixture_show_clock(struct fixture *fixture)
{
    int64_t ahead = (int64_t)(fixture->now - clock_boottime(NULL)) + time_namespace_offset_s();

    atomic_store_relaxed(&fixture->collector->file.segment.header->clock_offset, ahead - LEAD);
}

static inline uint64_t fixture_clock(void *context)
{
    struct fixture *fixture = context;

    if (fixture->is_open)
        fixture_show_clock(fixture);
    return fixture->now;
}

/* Return a tick that is well inside its minute. */
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
        .clock_context = fixture,
    };

    fixture->collector = aligned_alloc(128, (sizeof(struct collector) + 127) / 128 * 128);
    assert_non_null(fixture->collector);
    assert_int_equal(collector_open(&settings, fixture->collector, &holder), 0);
    fixture->is_open = true;
    assert_int_equal(ingest_open(fixture->collector, 0, &fixture->ingest), 0);
    collector_publish_filter(fixture->collector, "none", "eth0", "another test");
    collector_publish_spread(fixture->collector, "hash", "a third test");
    collector_publish_missing(fixture->collector, "192.0.2.1:9514, [2001:db8::1]:9514");
    collector_listen(fixture->collector, "recvmmsg", "a test");
}

static inline void fixture_stop_collector(struct fixture *fixture)
{
    ingest_close(fixture->ingest);
    collector_close(fixture->collector);
    fixture->is_open = false;
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
    uint32_t size = wire_v1_encode(&heartbeat, datagram, sizeof(datagram));
    assert_int_not_equal(size, 0);
    ingest_begin(fixture->ingest);
    ingest_datagram(fixture->ingest, datagram, size);
    ingest_end(fixture->ingest);
}

/* Send a heartbeat on a site, or in a room unless NULL. */
static inline void fixture_beat(struct fixture *fixture, const char *visitor, const char *site,
                                const char *room)
{
    fixture_deliver(fixture, WIRE_HEARTBEAT, visitor, site, room, NULL, NULL);
}

#endif

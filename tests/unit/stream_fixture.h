/* stream_fixture.h - streams in memory, and the daemon's table of them, which tests can reopen. */
#ifndef PRESENCE_TESTS_STREAM_FIXTURE_H
#define PRESENCE_TESTS_STREAM_FIXTURE_H

#include "../support/memory_segment.h"

#include <arpa/inet.h>
#include <unistd.h>

#include "receive/streams.h"
#include "segment_judge.h"

#define START UINT64_C(1000000) /* tick */

struct fixture {
    struct segment segment;
    struct stream_table *table;
    uint64_t now;
    uint64_t counted[COUNTERS];
};

/* Whose datagram arrives. */
struct origin {
    uint64_t id;
    uint16_t target;
    uint8_t key_id;
};

static inline void open_streams(struct fixture *fixture, uint32_t capacity)
{
    const struct segment_settings settings = {
        .max_entries = 100, .max_scopes = 4, .max_window = 300, .max_streams = capacity};

    *fixture = (struct fixture){.segment = memory_segment_of(&settings), .now = START};
    fixture->segment.header->state = SEGMENT_LISTENING;
    assert_int_equal(streams_open(&fixture->segment, &fixture->table), 0);
}

static inline void close_streams(struct fixture *fixture)
{
    streams_close(fixture->table);
    memory_segment_close(&fixture->segment);
}

/* Check that a daemon may go on with the segment. */
static inline void expect_sound_streams(struct fixture *fixture)
{
    struct segment_fault fault;
    uint64_t entries;

    fixture->segment.header->tick = fixture->now;
    if (!segment_is_sound(&fixture->segment, fixture->now, &entries, &fault))
        fail_msg("%s %llu: %s", fault.part, (unsigned long long)fault.index, fault.what);
}

/* Reopen it, as the next daemon does. */
static inline void reopen_streams(struct fixture *fixture)
{
    streams_close(fixture->table);
    expect_sound_streams(fixture);
    assert_int_equal(streams_open(&fixture->segment, &fixture->table), 0);
}

static inline bool receive_from(struct fixture *fixture, struct origin origin, uint32_t sequence,
                                uint32_t visitors, const void *sender)
{
    struct wire_v2_datagram datagram = {
        .stream = origin.id,
        .target = origin.target,
        .sequence = sequence,
        .visitors = visitors,
    };

    return streams_receive(fixture->table, &datagram, origin.key_id, sender, fixture->now,
                           fixture->counted);
}

/* Receive a datagram without visitors from an unknown address. */
static inline bool receive(struct fixture *fixture, struct origin origin, uint32_t sequence)
{
    return receive_from(fixture, origin, sequence, 0, NULL);
}

/* Return the slot of a stream, NULL if it has none. There must not be two. */
static inline struct stream *stream_of(const struct fixture *fixture, struct origin origin)
{
    struct stream *found = NULL;

    for (uint32_t i = 0; i < fixture->segment.streams.capacity; i++) {
        struct stream *stream = &fixture->segment.streams.slots[i];
        if (stream->id != origin.id || stream->target != origin.target ||
            stream->key_id != origin.key_id)
            continue;
        assert_null(found);
        found = stream;
    }
    return found;
}

#endif

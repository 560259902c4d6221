/* oracle_streams.h - what docs/protocol.md says of streams, computed in the simplest way.
 *
 * A stream is the list of all sequences that were received. Written from that page alone:
 * nothing is shared with the code under test.
 */
#ifndef PRESENCE_TESTS_ORACLE_STREAMS_H
#define PRESENCE_TESTS_ORACLE_STREAMS_H

#include <stdbool.h>
#include <stdint.h>

/* A stream is known by these three. */
struct oracle_stream_key {
    uint64_t id;
    unsigned target;
    unsigned key; /* 0: datagrams need no key */
};

/* Where a datagram came from. */
struct oracle_sender {
    uint8_t family; /* 4, 6, or 0 if it is unknown */
    uint8_t address[16];
    uint16_t port;
};

struct oracle_stream {
    struct oracle_stream_key key;
    struct oracle_sender sender; /* of the last datagram that was received from a known one */
    uint64_t first, last;        /* ticks of received datagrams */
    uint64_t lowest, highest;    /* sequences, as in `sequences` */
    uint64_t *sequences;         /* of received datagrams; never wrap */
    unsigned received, capacity;
    uint64_t duplicates, heartbeats;
};

/* The required values of the counters: they keep those of streams that were replaced. */
struct oracle_stream_counters {
    uint64_t expected, received, full;
};

struct oracle_streams {
    unsigned capacity, length;
    struct oracle_stream *streams;
    struct oracle_stream_counters counters;
    /* True if the collector has replaced the stream. Asked only if several are equally quiet. */
    bool (*is_gone)(void *context, const struct oracle_stream_key *key);
    void *context;
};

/* A datagram that is neither malformed, nor unauthenticated, nor stale. */
struct oracle_arrival {
    struct oracle_stream_key key;
    uint32_t sequence;
    uint64_t heartbeats;
    struct oracle_sender sender;
};

void oracle_streams_open(struct oracle_streams *streams, unsigned capacity);
void oracle_streams_close(struct oracle_streams *streams);

/* Move the streams to a segment with room for others. If not all have room, the quietest are
 * forgotten. */
void oracle_streams_resize(struct oracle_streams *streams, unsigned capacity);

/* Let a datagram arrive at tick `now`. False if it must be rejected as a duplicate. */
bool oracle_streams_arrive(struct oracle_streams *streams, const struct oracle_arrival *arrival,
                           uint64_t now);

/* Return the stream, or NULL if it is not known. */
struct oracle_stream *oracle_streams_find(const struct oracle_streams *streams,
                                          const struct oracle_stream_key *key);

uint64_t oracle_stream_expected(const struct oracle_stream *stream);

/* True if the sequence, one of `sequences`, was received. */
bool oracle_stream_has(const struct oracle_stream *stream, uint64_t sequence);

#endif

/* stream.h - what the segment keeps of a sender's stream, so that its losses are known. Free of
 * libc.
 *
 * A sender numbers its datagrams (version 2, wire_v2.h). A stream is known by key, id and target,
 * not by address. Workers write under a lock of their process; `version` is odd while they do, and
 * a reader who loads the same even version before and after has a consistent copy.
 */
#ifndef PRESENCE_STREAM_H
#define PRESENCE_STREAM_H

#include "core/atomics.h"

#define STREAM_SEEN_MAX    1024 /* sequences back from the highest that are remembered */
#define STREAM_SEEN        (STREAM_SEEN_MAX / 64)
#define STREAM_SILENCE     60 /* seconds: a stream silent for longer may be replaced */
#define STREAM_FIRST       (UINT64_C(1) << 32)
#define STREAM_VERSION_MAX (UINT64_C(1) << 62) /* then versions begin again */

/* A stream. Sequences have 64 bits here: the first is that of the wire plus STREAM_FIRST, so that
 * earlier ones have numbers, too; the low 32 bits are always those of the wire. */
struct stream {
    uint64_t version; /* 0: never used */
    uint64_t id;      /* 0: the slot is free */
    uint16_t target;
    uint8_t key_id; /* 0: datagrams need no key */
    uint8_t family; /* of the last sender's address: 4, 6, or 0 if it is unknown */
    uint16_t port;  /* of the last sender */
    uint16_t reserved;
    uint8_t address[16]; /* of the last sender, in network byte order; IPv4: the first 4 bytes */
    uint64_t first_tick, last_tick;
    uint64_t received;   /* datagrams, each sequence once */
    uint64_t duplicates; /* datagrams that were rejected as such */
    uint64_t heartbeats; /* visitors of the received datagrams, whatever became of them */
    uint64_t lowest, highest;
    uint64_t seen[STREAM_SEEN]; /* a bit each: sequence s is bit s % STREAM_SEEN_MAX */
    uint64_t unused[4];
};

_Static_assert(sizeof(struct stream) == 256, "stream");
SHARED_AT(struct stream, id, 8);
SHARED_AT(struct stream, target, 16);
SHARED_AT(struct stream, key_id, 18);
SHARED_AT(struct stream, family, 19);
SHARED_AT(struct stream, port, 20);
SHARED_AT(struct stream, address, 24);
SHARED_AT(struct stream, first_tick, 40);
SHARED_AT(struct stream, last_tick, 48);
SHARED_AT(struct stream, received, 56);
SHARED_AT(struct stream, duplicates, 64);
SHARED_AT(struct stream, heartbeats, 72);
SHARED_AT(struct stream, lowest, 80);
SHARED_AT(struct stream, highest, 88);
SHARED_AT(struct stream, seen, 96);

/* The section of the segment. */
struct streams {
    struct stream *slots;
    uint32_t capacity;
};

/* Return how many datagrams the sender has sent from the lowest to the highest sequence. */
static inline uint64_t stream_expected(const struct stream *stream)
{
    return stream->highest - stream->lowest + 1;
}

/* Copy what readers show of a stream: all but `version` and `seen`. False if the slot is free or
 * just being written: try again, a bounded number of times. */
static inline bool stream_load(const struct stream *stream, struct stream *ret)
{
    uint64_t version = atomic_load_acquire(&stream->version); /* pairs with end_write */

    if (version == 0 || version & 1)
        return false;
    *ret = (struct stream){
        .id = atomic_load_relaxed(&stream->id),
        .target = atomic_load_relaxed(&stream->target),
        .key_id = atomic_load_relaxed(&stream->key_id),
        .family = atomic_load_relaxed(&stream->family),
        .port = atomic_load_relaxed(&stream->port),
        .first_tick = atomic_load_relaxed(&stream->first_tick),
        .last_tick = atomic_load_relaxed(&stream->last_tick),
        .received = atomic_load_relaxed(&stream->received),
        .duplicates = atomic_load_relaxed(&stream->duplicates),
        .heartbeats = atomic_load_relaxed(&stream->heartbeats),
        .lowest = atomic_load_relaxed(&stream->lowest),
        .highest = atomic_load_relaxed(&stream->highest),
    };
    for (unsigned i = 0; i < sizeof(ret->address); i++)
        ret->address[i] = atomic_load_relaxed(&stream->address[i]);
    /* Order every load of a field before the second load of the version (seqlock). */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return atomic_load_relaxed(&stream->version) == version && ret->id != 0;
}

#endif

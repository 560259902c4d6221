/* stream_record.h - judge a datagram by its stream's sequence numbers, and record it in the
 * segment.
 *
 * No two threads may write a stream at once (streams.c locks its slot); readers may load it
 * (stream_load). Whatever store is a killed daemon's last, the slot is free or its stream
 * sound: the datagram that was being recorded may be missing, but none counts twice.
 */
#ifndef PRESENCE_STREAM_RECORD_H
#define PRESENCE_STREAM_RECORD_H

#include <sys/socket.h>

#include "core/segment.h"
#include "core/wire.h"

/* A datagram that arrives, as far as streams are concerned. */
struct stream_arrival {
    const struct wire_v2_datagram *datagram; /* it has a stream */
    uint8_t key_id;                          /* 0 without keys */
    const struct sockaddr *sender;           /* NULL: unknown */
    uint64_t now;                            /* tick */
    uint64_t hash;                           /* of the stream, see streams.c */
    uint64_t *counted;                       /* counters since the batch began */
};

/* Begin a stream with its first datagram, in a free slot or in place of another stream. Adds to the
 * counters streams_expected and streams_received. */
void stream_begin(struct stream *stream, const struct stream_arrival *arrival);

/* Record a datagram of a stream that has begun, or return false if it was seen before, or is too
 * old to tell. Adds to the same counters. */
bool stream_receive(struct stream *stream, const struct stream_arrival *arrival);

/* Return a fault that no daemon can have left in a slot at tick `now`, wherever it was killed, or
 * NULL. The size of `version` and the bits of `seen` are not checked. */
const char *stream_find_fault(const struct stream *stream, uint64_t now);

/* Let readers load a stream again that a killed daemon was writing. */
void stream_repair(struct stream *stream);

#endif

/* decoder.h - judge datagrams and read the heartbeats out of them, for programs that pass them on.
 *
 * A datagram is judged as a collector without keys does it (docs/protocol.md): a tag and a time are
 * not looked at. Streams of version 2 are followed in the decoder's own memory, so that a duplicate
 * is not passed on. One thread at a time.
 */
#ifndef PRESENCE_DECODER_H
#define PRESENCE_DECODER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/networks.h"
#include "presence/presence.h"

#define DECODER_STREAMS 1024 /* that are followed */

/* Why a datagram is rejected: the reasons that a collector has, in its order. */
enum decoder_reason {
    DECODER_ACCEPTED = 0,
    DECODER_SENDER,
    DECODER_VERSION,
    DECODER_MALFORMED,
    DECODER_VISITOR,
    DECODER_UNAUTHENTICATED, /* not by this decoder */
    DECODER_STALE,           /* not by this decoder */
    DECODER_DUPLICATE,
    DECODER_SITE, /* not by this decoder */
    DECODER_REASONS,
};

/* Counts of what has arrived. The decoder stores each relaxed; others may load them meanwhile. */
struct decoder_counts {
    uint64_t datagrams_received;
    uint64_t datagrams_accepted;
    uint64_t datagrams_rejected[DECODER_REASONS];
    uint64_t datagrams_empty;  /* accepted, of version 2 without heartbeats */
    uint64_t heartbeats;       /* visitors of accepted datagrams */
    uint64_t labels_invalid;   /* labels of text that were skipped */
    uint64_t rooms_too_long;   /* rooms of text that were skipped */
    uint64_t streams_expected; /* datagrams that senders of version 2 sent */
    uint64_t streams_received; /* those of them that came */
    uint64_t streams_full;     /* datagrams of streams that could not be followed */
};

/* Visitors at a place. */
struct decoded {
    struct presence_place place; /* in canonical form */
    const uint8_t *visitors;     /* 16 bytes each */
    uint32_t count;
};

struct decoder;

/* Open a decoder that accepts datagrams from `allowed` (see decoder_allow) and counts in `counts`,
 * which outlives it. Errors: -ENOMEM; those of getrandom(2). */
int decoder_open(const struct networks *allowed, struct decoder_counts *counts,
                 struct decoder **ret);

/* Free everything. NULL is fine. */
void decoder_close(struct decoder *decoder);

/* Accept datagrams only from `allowed` from now on, which outlives the decoder or the next call.
 * NULL, or without networks: from anywhere. */
void decoder_allow(struct decoder *decoder, const struct networks *allowed);

/* Reject datagrams of this stream as duplicates from now on: the program's own, which a route
 * brings back to it, would go round for ever. 0, as before the first call: there is none. */
void decoder_refuse_stream(struct decoder *decoder, uint64_t stream);

/* Set the time, in seconds of CLOCK_BOOTTIME, and the sender of the datagrams that follow (NULL:
 * unknown). */
void decoder_set_time(struct decoder *decoder, uint64_t now);
void decoder_from(struct decoder *decoder, const struct sockaddr *sender);

/* Judge a datagram of `length` bytes and count it. Returns true if it is accepted: then
 * decoder_next reads its heartbeats, and `datagram` has to outlive that. */
bool decoder_read(struct decoder *decoder, const uint8_t *datagram, uint32_t length);

/* Read the next heartbeats of the datagram that was accepted last; false if there are none left.
 * What `ret` points to is valid until the next call. */
bool decoder_next(struct decoder *decoder, struct decoded *ret);

/* Count datagrams that were longer than the receive buffer: malformed. */
void decoder_truncated(struct decoder *decoder, uint64_t count);

/* Return a reason's name, such as "malformed". */
const char *decoder_reason_name(enum decoder_reason reason);

#endif

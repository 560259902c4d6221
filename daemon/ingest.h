/* ingest.h - count datagrams: parse them, find their scopes, update the table in batches.
 *
 * One per worker. Between ingest_begin and ingest_end the worker is inside a batch: it holds its
 * gate, works at one tick, and publishes its changes at the end. Updates wait in a short queue
 * while their lines of the table are fetched from memory.
 */
#ifndef PRESENCED_INGEST_H
#define PRESENCED_INGEST_H

#include <stddef.h>
#include <sys/socket.h>

#include "collector.h"
#include "receive/receive.h"

struct ingest;

/* `worker` is an index below the collector's workers. -ENOMEM. */
int ingest_open(struct collector *collector, unsigned worker, struct ingest **ret);

void ingest_close(struct ingest *ingest);

/* Begin a batch at the clock's tick. */
void ingest_begin(struct ingest *ingest);

/* Set the sender of the datagrams that follow; NULL, and before the first call: unknown. It has to
 * outlive them. Inside a batch. */
void ingest_from(struct ingest *ingest, const struct sockaddr *sender);

/* Count one datagram of `length` bytes, or the reason why it is rejected. Inside a batch. */
void ingest_datagram(struct ingest *ingest, const uint8_t *datagram, uint32_t length);

/* Count a datagram that was longer than the receive buffer: malformed. Inside a batch. */
void ingest_truncated(struct ingest *ingest);

/* Add to a counter. Inside a batch. */
void ingest_count(struct ingest *ingest, enum counter counter, uint64_t value);

/* End the batch: apply all its updates and publish them. */
void ingest_end(struct ingest *ingest);

/* Count what a worker has received, in batches short enough that counts keep up: `handle` of a
 * struct worker_handler, whose `context` is the ingest. */
void ingest_arrivals(void *context, const struct receive_buffer *buffers, unsigned count,
                     const struct receive_statistics *counted);

#endif

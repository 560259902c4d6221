/* ingest.h - from datagrams to the table: decode, find the scopes, update in batches.
 *
 * One a worker. Between ingest_begin and ingest_end the worker is inside a batch: it holds its
 * gate, works at one tick, and what it counts becomes visible at the end. Updates wait in a short
 * queue while their lines of the table come from memory.
 */
#ifndef PRESENCED_INGEST_H
#define PRESENCED_INGEST_H

#include <stddef.h>

#include <sys/socket.h>

#include "collector.h"

struct ingest;

/* `worker` is an index below the collector's workers. -ENOMEM. */
int ingest_open(struct collector *collector, unsigned worker, struct ingest **ret);

void ingest_close(struct ingest *ingest);

/* Enter a batch, at the clock's tick. */
void ingest_begin(struct ingest *ingest);

/* The datagrams that follow come from this address; NULL, and until it is called: from an unknown
 * one. Inside a batch. */
void ingest_from(struct ingest *ingest, const struct sockaddr *source);

/* Count one datagram of `length` bytes, or the reason it is rejected for. Inside a batch. */
void ingest_datagram(struct ingest *ingest, const uint8_t *datagram, uint32_t length);

/* Count a datagram that was longer than the receive buffer: malformed. Inside a batch. */
void ingest_truncated(struct ingest *ingest);

/* Add to a counter that the caller keeps. Inside a batch. */
void ingest_count(struct ingest *ingest, enum counter counter, uint64_t value);

/* Leave the batch: everything in it is counted and published. */
void ingest_end(struct ingest *ingest);

#endif

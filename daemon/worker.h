/* worker.h - a thread that takes datagrams from its sockets and counts them. */
#ifndef PRESENCED_WORKER_H
#define PRESENCED_WORKER_H

#include "collector.h"
#include "receive.h"

struct worker;

/* Start a worker's thread and open its receiver there; it receives nothing before worker_run.
 * `index` is below the collector's workers; the `count` sockets stay the caller's.
 * Errors: those of receiver_open, of ingest_open, and of pthread_create. */
int worker_open(struct collector *collector, unsigned index, const struct receive_options *options,
                const int *sockets, unsigned count, struct worker **ret);

/* The receiver, to ask which engine it runs. Owned by the worker. */
const struct receiver *worker_receiver(const struct worker *worker);

/* Begin to receive. */
void worker_run(struct worker *worker);

/* End the thread after the batch it is in, whether it runs already or not, and free everything. */
void worker_close(struct worker *worker);

#endif

/* worker.h - a thread that receives datagrams from its sockets and counts them. */
#ifndef PRESENCED_WORKER_H
#define PRESENCED_WORKER_H

#include "collector.h"
#include "receive.h"

#define WORKER_PROBLEM_SIZE 256 /* bytes of the longest description */

struct worker;

/* Sockets that are read before any worker reads others: first those of `earlier`, then those of
 * `later`, each until all that it held is read. */
struct worker_backlog {
    const int *earlier, *later;
    unsigned earlier_count, later_count;
};

/* Start a worker's thread and open its receiver there; it receives nothing before worker_run.
 * `index` is below the collector's workers; the `count` sockets stay the caller's, and so do those
 * of `backlog`, which may be NULL. On failure `ret_problem` (WORKER_PROBLEM_SIZE bytes) says in one
 * line what failed, why and what helps. Errors: those of receiver_open, of ingest_open, and of
 * pthread_create. */
int worker_open(struct collector *collector, unsigned index, const struct receive_options *options,
                const int *sockets, unsigned count, const struct worker_backlog *backlog,
                struct worker **ret, char *ret_problem);

/* Return the receiver, for its engine. The worker owns it. */
const struct receiver *worker_receiver(const struct worker *worker);

/* Start receiving. Returns when the backlog has been read. */
void worker_run(struct worker *worker);

/* Let the thread count what its sockets hold now, and end. */
void worker_stop(struct worker *worker);

/* Wait for the end of the thread after worker_stop, whether worker_run was called or not, and free
 * everything. */
void worker_close(struct worker *worker);

#endif

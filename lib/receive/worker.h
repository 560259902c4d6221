/* worker.h - a thread that receives datagrams from its sockets and passes them to a handler. */
#ifndef PRESENCE_WORKER_H
#define PRESENCE_WORKER_H

#include "receive.h"

#define WORKER_PROBLEM_SIZE 256 /* bytes of the longest description */

struct worker;

/* The program's side. The worker's thread alone calls these, with `context`. */
struct worker_handler {
    void *context;
    /* Handle what a wait returned, perhaps nothing; the buffers are valid until it returns.
     * `counted` is what the receiver has counted since the last call. */
    void (*handle)(void *context, const struct receive_buffer *buffers, unsigned count,
                   const struct receive_statistics *counted);
    /* Return how long the next wait may last, nanoseconds; negative: until something arrives. NULL:
     * always so. */
    int64_t (*patience)(void *context);
};

/* Sockets that are read before any worker reads others: first those of `earlier`, then those of
 * `later`, each until all that it held is read. */
struct worker_backlog {
    const int *earlier, *later;
    unsigned earlier_count, later_count;
};

/* Start a worker's thread and open its receiver there; it receives nothing before worker_run.
 * What `handler` points to and the `count` sockets stay the caller's, and so do those of `backlog`,
 * which may be NULL. On failure `ret_problem` (WORKER_PROBLEM_SIZE bytes) says in one
 * line what failed, why and what helps. Errors: those of receiver_open and of pthread_create. */
int worker_open(const struct worker_handler *handler, const struct receive_options *options,
                const int *sockets, unsigned count, const struct worker_backlog *backlog,
                struct worker **ret, char *ret_problem);

/* Return the receiver, for its engine. The worker owns it. */
const struct receiver *worker_receiver(const struct worker *worker);

/* Start receiving. Returns when the backlog has been read. */
void worker_run(struct worker *worker);

/* Let the thread handle what its sockets hold now, and end. */
void worker_stop(struct worker *worker);

/* Wait for the end of the thread after worker_stop, whether worker_run was called or not, and free
 * everything. */
void worker_close(struct worker *worker);

#endif

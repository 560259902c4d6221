#include "worker.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ingest.h"
#include "log.h"

#define BATCH_BYTES (256u << 10) /* so much is counted as one batch: within about a millisecond */
#define RETRY_NS    100000000    /* after an error that may last */
#define SLICE_NS    300000       /* of a processor that others want, too */

struct worker {
    pthread_t thread;
    struct collector *collector;
    struct ingest *ingest;
    struct receiver *receiver;
    struct receive_options options;
    const int *sockets;
    unsigned socket_count;
    struct receive_statistics seen; /* what was counted of the receiver's statistics */
    int opened;                     /* result of receiver_open; set before `ready` */
    sem_t ready;
    sem_t run;
    bool stopping; /* relaxed store, then a wake, whose system call orders it; read after each wait
                    */
};

/* A buffer holds one datagram, or with receive offload several of the same size. */
static void ingest_buffer(struct ingest *ingest, const struct receive_buffer *buffer)
{
    uint32_t step = buffer->segment_bytes ? buffer->segment_bytes : buffer->length;
    uint32_t offset = 0;

    ingest_from(ingest, buffer->source);
    do {
        uint32_t rest = buffer->length - offset;
        ingest_datagram(ingest, buffer->data + offset, rest < step ? rest : step);
        offset += step;
    } while (offset < buffer->length);
}

static void count_statistics(struct worker *worker)
{
    struct receive_statistics now = receiver_statistics(worker->receiver);

    ingest_count(worker->ingest, COUNTER_receive_rearmed, now.rearmed - worker->seen.rearmed);
    ingest_count(worker->ingest, COUNTER_receive_buffers_exhausted,
                 now.buffers_exhausted - worker->seen.buffers_exhausted);
    for (uint64_t i = worker->seen.truncated; i < now.truncated; i++)
        ingest_truncated(worker->ingest);
    worker->seen = now;
}

/* Count what one wait handed over, in batches short enough that counts keep up. */
static void ingest_buffers(struct worker *worker, const struct receive_buffer *buffers,
                           unsigned count)
{
    for (unsigned i = 0; i < count;) {
        uint32_t bytes = 0;
        ingest_begin(worker->ingest);
        do {
            ingest_buffer(worker->ingest, &buffers[i]);
            bytes += buffers[i].length;
        } while (++i < count && bytes < BATCH_BYTES);
        count_statistics(worker);
        ingest_end(worker->ingest);
    }
}

static void receive_until_stopped(struct worker *worker)
{
    const struct timespec pause = {.tv_nsec = RETRY_NS};
    const struct receive_buffer *buffers;
    unsigned count;
    int failed = 0;

    while (!atomic_load_relaxed(&worker->stopping)) {
        int r = receiver_wait(worker->receiver, &buffers, &count);
        if (r < 0) {
            if (r != failed)
                log_line("cannot receive: %s; trying on", strerror(-r));
            nanosleep(&pause, NULL);
        } else {
            ingest_buffers(worker, buffers, count);
            receiver_release(worker->receiver);
        }
        failed = r;
    }
}

/* struct sched_attr in its first size: the kernel's header does not go with <sched.h>. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

/* Who asks for short slices gets each of them sooner: a datagram need not wait for a long one of
 * somebody else to end (sched_setattr(2); before Linux 6.12 nothing changes). What an operator has
 * chosen instead of the usual policy stays. */
static void ask_for_short_slices(void)
{
    struct scheduling scheduling = {0};

    if (syscall(SYS_sched_getattr, 0, &scheduling, sizeof(scheduling), 0) < 0 ||
        scheduling.policy != SCHED_OTHER)
        return;
    scheduling.runtime_ns = SLICE_NS;
    syscall(SYS_sched_setattr, 0, &scheduling, 0);
}

/* The ring belongs to the thread that opens it (IORING_SETUP_SINGLE_ISSUER). */
static void *worker_main(void *argument)
{
    struct worker *worker = argument;

    ask_for_short_slices();
    worker->opened =
        receiver_open(&worker->options, worker->sockets, worker->socket_count, &worker->receiver);
    sem_post(&worker->ready);
    if (worker->opened < 0)
        return NULL;
    while (sem_wait(&worker->run) < 0 && errno == EINTR)
        ;
    receive_until_stopped(worker);
    receiver_close(worker->receiver);
    return NULL;
}

static void worker_free(struct worker *worker)
{
    sem_destroy(&worker->ready);
    sem_destroy(&worker->run);
    if (worker->ingest)
        ingest_close(worker->ingest);
    free(worker);
}

int worker_open(struct collector *collector, unsigned index, const struct receive_options *options,
                const int *sockets, unsigned count, struct worker **ret)
{
    struct worker *worker = calloc(1, sizeof(*worker));

    if (!worker)
        return -ENOMEM;
    worker->collector = collector;
    worker->options = *options;
    worker->sockets = sockets;
    worker->socket_count = count;
    sem_init(&worker->ready, 0, 0);
    sem_init(&worker->run, 0, 0);
    int r = ingest_open(collector, index, &worker->ingest);
    if (r < 0)
        goto fail;
    r = -pthread_create(&worker->thread, NULL, worker_main, worker);
    if (r < 0)
        goto fail;
    while (sem_wait(&worker->ready) < 0 && errno == EINTR)
        ;
    r = worker->opened;
    if (r < 0) {
        pthread_join(worker->thread, NULL);
        goto fail;
    }
    *ret = worker;
    return 0;
fail:
    worker_free(worker);
    return r;
}

const struct receiver *worker_receiver(const struct worker *worker)
{
    return worker->receiver;
}

void worker_run(struct worker *worker)
{
    sem_post(&worker->run);
}

void worker_close(struct worker *worker)
{
    atomic_store_relaxed(&worker->stopping, true);
    receiver_wake(worker->receiver);
    sem_post(&worker->run);
    pthread_join(worker->thread, NULL);
    worker_free(worker);
}

#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "core/atomics.h"
#include "listener.h"

#define RETRY_NS 100000000 /* after the same error twice in a row */
#define SLICE_NS 300000    /* the time slice that we request where others want the processor */

struct worker {
    pthread_t thread;
    struct worker_handler handler;
    struct receiver *receiver;
    struct receive_options options;
    const int *sockets;
    unsigned socket_count;
    struct worker_backlog backlog;
    struct receiver *earlier, *later; /* of the backlog; NULL: there is none */
    struct receive_statistics seen;   /* the receiver's statistics that have been counted */
    int opened;                       /* result of open_receivers; set before `ready` */
    sem_t ready;
    sem_t run;
    sem_t caught_up; /* the backlog has been read */
    sem_t stop;      /* nobody calls receiver_wake any more */
    bool stopping;   /* relaxed: receiver_wake orders it, or `run` */
};

/* Pass what a wait returned to the handler. */
static void handle(struct worker *worker, const struct receiver *receiver,
                   const struct receive_buffer *buffers, unsigned count)
{
    struct receive_statistics now = receiver_statistics(receiver);
    struct receive_statistics counted = {
        .rearmed = now.rearmed - worker->seen.rearmed,
        .buffers_exhausted = now.buffers_exhausted - worker->seen.buffers_exhausted,
        .truncated = now.truncated - worker->seen.truncated,
    };

    worker->handler.handle(worker->handler.context, buffers, count, &counted);
    worker->seen = now;
}

static void receive_until_stopped(struct worker *worker)
{
    const struct timespec pause = {.tv_nsec = RETRY_NS};
    const struct receive_buffer *buffers;
    unsigned count;
    int failed = 0;

    while (!atomic_load_relaxed(&worker->stopping)) {
        if (worker->handler.patience)
            receiver_limit_wait(worker->receiver,
                                worker->handler.patience(worker->handler.context));
        int r = receiver_wait(worker->receiver, &buffers, &count);
        if (r < 0) {
            if (r != failed)
                log_line("cannot receive: %s; trying again", strerror(-r));
            else /* the same error again: don't spin */
                nanosleep(&pause, NULL);
        } else {
            handle(worker, worker->receiver, buffers, count);
            receiver_release(worker->receiver);
        }
        failed = r;
    }
}

/* Return an upper bound for the memory that is taken by what the sockets hold. Each may hold as
 * much as the fullest: a receiver reads them in turn. */
static size_t measure(const int *sockets, unsigned count)
{
    size_t most = 0;

    for (unsigned i = 0; i < count; i++) {
        size_t waiting = listener_waiting(sockets[i]);
        if (waiting > most)
            most = waiting;
    }
    return most * count;
}

/* Handle what a receiver's sockets hold. What comes meanwhile may be left. */
static void drain(struct worker *worker, struct receiver *receiver, const int *sockets,
                  unsigned count)
{
    size_t held = measure(sockets, count), taken = 0;
    const struct receive_buffer *buffers;
    unsigned arrived;

    do {
        receiver_wake(receiver); /* so that the wait does not wait */
        if (receiver_wait(receiver, &buffers, &arrived) < 0)
            return;
        handle(worker, receiver, buffers, arrived);
        for (unsigned i = 0; i < arrived; i++)
            taken += listener_taken(buffers[i].length);
    } while (arrived > 0 && taken < held);
}

/* Drain sockets of the backlog, and free their receiver, which is NULL if there are none. */
static void drain_and_close(struct worker *worker, struct receiver *receiver, const int *sockets,
                            unsigned count)
{
    if (receiver)
        drain(worker, receiver, sockets, count);
    receiver_close(receiver);
    worker->seen = (struct receive_statistics){0};
}

static void drain_backlog(struct worker *worker)
{
    const struct worker_backlog *backlog = &worker->backlog;

    drain_and_close(worker, worker->earlier, backlog->earlier, backlog->earlier_count);
    drain_and_close(worker, worker->later, backlog->later, backlog->later_count);
    sem_post(&worker->caught_up);
}

/* The first version of struct sched_attr: the kernel's header conflicts with <sched.h>. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

/* Request short slices: then the scheduler runs us before another's long slice ends
 * (sched_setattr(2); no effect before Linux 6.12). A policy that an operator chose stays. */
static void request_short_slices(void)
{
    struct scheduling scheduling = {0};

    if (syscall(SYS_sched_getattr, 0, &scheduling, sizeof(scheduling), 0) < 0 ||
        scheduling.policy != SCHED_OTHER)
        return;
    scheduling.runtime_ns = SLICE_NS;
    syscall(SYS_sched_setattr, 0, &scheduling, 0);
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) < 0 && errno == EINTR)
        ;
}

/* Open the receivers of the backlog. They read with recvmmsg: with an io_uring the kernel would
 * receive more than is asked for. */
static int open_backlog(struct worker *worker)
{
    const struct receive_options options = {
        .engine = RECEIVE_RECVMMSG,
        .want_sender = worker->options.want_sender,
    };
    const struct worker_backlog *backlog = &worker->backlog;
    int r = 0;

    if (backlog->earlier_count)
        r = receiver_open(&options, backlog->earlier, backlog->earlier_count, &worker->earlier);
    if (r == 0 && backlog->later_count)
        r = receiver_open(&options, backlog->later, backlog->later_count, &worker->later);
    return r;
}

static int open_receivers(struct worker *worker)
{
    int r = open_backlog(worker);

    if (r == 0)
        r = receiver_open(&worker->options, worker->sockets, worker->socket_count,
                          &worker->receiver);
    if (r < 0) {
        receiver_close(worker->earlier);
        receiver_close(worker->later);
    }
    return r;
}

/* Open the receiver here, since an io_uring belongs to the thread that opens it
 * (IORING_SETUP_SINGLE_ISSUER), and receive after worker_run. */
static void *worker_main(void *argument)
{
    struct worker *worker = argument;

    request_short_slices();
    worker->opened = open_receivers(worker);
    sem_post(&worker->ready);
    if (worker->opened < 0)
        return NULL;
    wait_for(&worker->run);
    if (atomic_load_relaxed(&worker->stopping)) { /* worker_run was not called */
        receiver_close(worker->earlier);
        receiver_close(worker->later);
    } else {
        drain_backlog(worker);
        receive_until_stopped(worker);
        drain(worker, worker->receiver, worker->sockets, worker->socket_count);
    }
    wait_for(&worker->stop);
    receiver_close(worker->receiver);
    return NULL;
}

static void worker_free(struct worker *worker)
{
    sem_destroy(&worker->ready);
    sem_destroy(&worker->run);
    sem_destroy(&worker->caught_up);
    sem_destroy(&worker->stop);
    free(worker);
}

static const char no_memory[] = "the limits of memory (ulimit -v, MemoryMax=)";

static void explain_memory(char *ret_problem)
{
    snprintf(ret_problem, WORKER_PROBLEM_SIZE, "no memory for a worker: raise %s", no_memory);
}

/* True if a stack can be mapped. pthread_create returns EAGAIN both when memory and when the limit
 * of threads is exhausted. */
static bool has_memory_for_a_stack(void)
{
    pthread_attr_t attributes;
    size_t bytes = 0;

    if (pthread_getattr_default_np(&attributes) != 0)
        return true;
    pthread_attr_getstacksize(&attributes, &bytes);
    pthread_attr_destroy(&attributes);
    void *stack = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        return false;
    munmap(stack, bytes);
    return true;
}

static void explain_thread(int error, char *ret_problem)
{
    if (error == -EAGAIN && has_memory_for_a_stack())
        snprintf(ret_problem, WORKER_PROBLEM_SIZE,
                 "cannot start a thread for a worker: %s; raise the limits of processes "
                 "(ulimit -u, TasksMax=, pids.max)",
                 strerror(-error));
    else if (error == -EAGAIN)
        snprintf(ret_problem, WORKER_PROBLEM_SIZE,
                 "cannot start a thread for a worker: no memory for its stack; raise %s",
                 no_memory);
    else
        snprintf(ret_problem, WORKER_PROBLEM_SIZE, "cannot start a thread for a worker: %s",
                 strerror(-error));
}

/* Say why io_uring failed, by the error of io_uring_setup(2) or a later call. */
static const char *explain_io_uring(int error)
{
    switch (-error) {
    case EPERM:
    case EACCES:
        return "not permitted: by a container's seccomp profile, or kernel.io_uring_disabled";
    case ENOSYS:
        return "the kernel has none, or is older than Linux 6.1";
    case ENOMEM:
        return "no memory: raise the limits of memory (ulimit -v, MemoryMax=) and of locked memory "
               "(ulimit -l, LimitMEMLOCK=)";
    default:
        return strerror(-error);
    }
}

/* Say why a receiver failed. An error that --receive auto would meet as well is not blamed on the
 * engine. */
static void explain_receiver(enum receive_engine engine, int error, char *ret_problem)
{
    if (error == -EMFILE || error == -ENFILE)
        snprintf(ret_problem, WORKER_PROBLEM_SIZE,
                 "cannot receive: %s; raise the limit of open files (ulimit -n, LimitNOFILE=)",
                 strerror(-error));
    else if (engine == RECEIVE_IO_URING)
        snprintf(ret_problem, WORKER_PROBLEM_SIZE,
                 "cannot receive with io_uring: %s; or try --receive auto",
                 explain_io_uring(error));
    else if (error == -ENOMEM)
        snprintf(ret_problem, WORKER_PROBLEM_SIZE,
                 "cannot receive with recvmmsg: no memory for its buffers; raise %s", no_memory);
    else
        snprintf(ret_problem, WORKER_PROBLEM_SIZE, "cannot receive with recvmmsg: %s",
                 strerror(-error));
}

int worker_open(const struct worker_handler *handler, const struct receive_options *options,
                const int *sockets, unsigned count, const struct worker_backlog *backlog,
                struct worker **ret, char *ret_problem)
{
    struct worker *worker = calloc(1, sizeof(*worker));

    if (!worker) {
        explain_memory(ret_problem);
        return -ENOMEM;
    }
    worker->handler = *handler;
    worker->options = *options;
    worker->sockets = sockets;
    worker->socket_count = count;
    if (backlog)
        worker->backlog = *backlog;
    sem_init(&worker->ready, 0, 0);
    sem_init(&worker->run, 0, 0);
    sem_init(&worker->caught_up, 0, 0);
    sem_init(&worker->stop, 0, 0);
    int r = -pthread_create(&worker->thread, NULL, worker_main, worker);
    if (r < 0) {
        explain_thread(r, ret_problem);
        goto fail;
    }
    wait_for(&worker->ready);
    r = worker->opened;
    if (r < 0) {
        pthread_join(worker->thread, NULL);
        explain_receiver(options->engine, r, ret_problem);
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
    wait_for(&worker->caught_up);
}

void worker_stop(struct worker *worker)
{
    atomic_store_relaxed(&worker->stopping, true);
    receiver_wake(worker->receiver);
    sem_post(&worker->run);
    sem_post(&worker->stop);
}

void worker_close(struct worker *worker)
{
    pthread_join(worker->thread, NULL);
    worker_free(worker);
}

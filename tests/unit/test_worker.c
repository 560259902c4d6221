/* test_worker.c - worker.h: what waits when a worker is stopped, and what is counted of a wait. */
#include "../support/line.h"

#include <semaphore.h>

#include "receive/worker.h"

/* A handler that records what it is passed. */
struct record {
    sem_t handled; /* posted for each call with datagrams */
    sem_t proceed; /* waited for in the first of these calls */
    unsigned calls, datagrams;
    uint64_t truncated;
};

static void handle(void *context, const struct receive_buffer *buffers, unsigned count,
                   const struct receive_statistics *counted)
{
    struct record *record = context;

    (void)buffers;
    record->truncated += counted->truncated;
    record->datagrams += count;
    if (count == 0)
        return;
    sem_post(&record->handled);
    if (record->calls++ == 0)
        sem_wait(&record->proceed);
}

static struct worker *run(struct record *record, enum receive_engine engine, const int *socket)
{
    const struct worker_handler handler = {.context = record, .handle = handle};
    const struct receive_options options = {.engine = engine};
    char problem[WORKER_PROBLEM_SIZE];
    struct worker *worker;

    *record = (struct record){.calls = 0};
    sem_init(&record->handled, 0, 0);
    sem_init(&record->proceed, 0, 0);
    if (worker_open(&handler, &options, socket, 1, NULL, &worker, problem) < 0)
        fail_msg("%s", problem);
    worker_run(worker);
    return worker;
}

/* More than one wait returns is in the socket when the worker is stopped. */
static void what_waits_is_handled_before_the_end(void **state)
{
    enum { SENT = 1000 };
    struct record record;
    struct line line;

    open_line(&line, state);
    struct worker *worker = run(&record, engine_of(state), line.sockets);
    line_send(&line, 0, 57, 0);
    sem_wait(&record.handled); /* it is in the handler */
    for (uint32_t i = 1; i < SENT; i++)
        line_send(&line, 0, 57, i);
    worker_stop(worker);
    sem_post(&record.proceed);
    worker_close(worker);
    assert_int_equal(record.datagrams, SENT);
    line_close(&line);
}

/* What one wait has counted isn't counted with the next ones. */
static void what_a_wait_counts_is_counted_once(void **state)
{
    static const uint8_t bytes[70000]; /* more than a buffer holds */
    struct record record;
    struct line line;
    int pair[2];

    open_line(&line, state);
    assert_return_code(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), errno);
    struct worker *worker = run(&record, engine_of(state), pair);
    sem_post(&record.proceed);
    assert_int_equal(send(pair[1], bytes, sizeof(bytes), 0), sizeof(bytes));
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(send(pair[1], "x", 1, 0), 1);
        sem_wait(&record.handled);
    }
    worker_stop(worker);
    worker_close(worker);
    assert_int_equal(record.datagrams, 4);
    assert_int_equal(record.truncated, 1);
    line_close(&line);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BOTH(what_waits_is_handled_before_the_end),
        WITH_BOTH(what_a_wait_counts_is_counted_once),
    };
    return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}

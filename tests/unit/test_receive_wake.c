/* test_receive_wake.c - receive.h: waking a wait, with both engines. */
#include "../support/asleep.h"
#include "../support/line.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

static void wakes_are_not_lost_and_lose_nothing(void **state)
{
    struct arrival arrivals[40];
    struct line line;

    open_line(&line, state);
    for (unsigned round = 0; round < 50; round++) {
        receiver_wake(line.receiver); /* before the wait */
        receiver_wake(line.receiver);
        assert_int_equal(line_wait(line.receiver, arrivals, 0), 0);
        for (uint32_t i = 0; i < LENGTH(arrivals); i++) { /* moderated from now on */
            line_send(&line, 0, 57, i);
            if (i == 20)
                receiver_wake(line.receiver);
        }
        line_collect(line.receiver, arrivals, LENGTH(arrivals));
        for (uint32_t i = 0; i < LENGTH(arrivals); i++)
            assert_int_equal(arrivals[i].number, i);
    }
    line_close(&line);
}

static void *send_later(void *argument)
{
    wait_until_asleep(getpid()); /* the first thread */
    line_send(argument, 0, 57, 1);
    return NULL;
}

static void a_wake_ends_one_wait(void **state)
{
    struct arrival arrival;
    pthread_t thread;
    struct line line;

    open_line(&line, state);
    for (unsigned round = 0; round < 5; round++) {
        receiver_wake(line.receiver);
        assert_int_equal(line_wait(line.receiver, NULL, 0), 0);
        assert_int_equal(pthread_create(&thread, NULL, send_later, &line), 0);
        assert_int_equal(line_wait(line.receiver, &arrival, 1), 1);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    line_close(&line);
}

/* So nothing is lost when a daemon ends and the next one goes on with its sockets. */
static void what_no_wait_returned_stays_in_the_socket(void **state)
{
    struct line line;
    char byte;

    open_line(&line, state);
    receiver_wake(line.receiver);
    assert_int_equal(line_wait(line.receiver, NULL, 0), 0); /* receives are pending */
    for (uint32_t i = 0; i < 40; i++)
        line_send(&line, 0, 57, i);
    receiver_close(line.receiver);
    line.receiver = NULL;
    for (uint32_t i = 0; i < 40; i++)
        assert_int_equal(recv(line.sockets[0], &byte, 1, MSG_DONTWAIT), 1);
    line_close(&line);
}

struct waker {
    const struct receiver *receiver;
    pthread_barrier_t barrier;
};

static void *wake_in_thread(void *argument)
{
    struct waker *waker = argument;

    for (unsigned i = 0; i < 500; i++) {
        pthread_barrier_wait(&waker->barrier);
        receiver_wake(waker->receiver);
    }
    return NULL;
}

/* Each wait ends by a wake only: nothing is sent. */
static void another_thread_wakes(void **state)
{
    struct waker waker;
    pthread_t thread;
    struct line line;

    open_line(&line, state);
    waker.receiver = line.receiver;
    pthread_barrier_init(&waker.barrier, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, wake_in_thread, &waker), 0);
    for (unsigned i = 0; i < 500; i++) {
        pthread_barrier_wait(&waker.barrier);
        assert_int_equal(line_wait(line.receiver, NULL, 0), 0);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_barrier_destroy(&waker.barrier);
    line_close(&line);
}

static const struct receiver *woken_by_signal;
static volatile sig_atomic_t signals;

static void wake_in_handler(int signal)
{
    (void)signal;
    signals++;
    receiver_wake(woken_by_signal);
}

/* The timer may fire before the wait, in it, or after it. */
static void signal_handler_wakes(void **state)
{
    struct line line;

    open_line(&line, state);
    woken_by_signal = line.receiver;
    signals = 0;
    struct sigaction action = {.sa_handler = wake_in_handler, .sa_flags = SA_RESTART};
    assert_return_code(sigaction(SIGUSR1, &action, NULL), errno);
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    assert_return_code(timer_create(CLOCK_MONOTONIC, &event, &timer), errno);
    for (int i = 1; i <= 100; i++) {
        struct itimerspec fires = {.it_value.tv_nsec = 10000 * i};
#ifdef __SANITIZE_THREAD__
        /* It delays a signal until a call that it intercepts, which a wait is not: the next one
         * that fires ends a wait that began in between. */
        fires.it_interval.tv_nsec = 10000000;
#endif
        assert_return_code(timer_settime(timer, 0, &fires, NULL), errno);
        while (signals < i)
            assert_int_equal(line_wait(line.receiver, NULL, 0), 0);
    }
    timer_delete(timer);
    line_close(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BOTH(wakes_are_not_lost_and_lose_nothing),
        WITH_BOTH(a_wake_ends_one_wait),
        WITH_BOTH(what_no_wait_returned_stays_in_the_socket),
        WITH_BOTH(another_thread_wakes),
        WITH_BOTH(signal_handler_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

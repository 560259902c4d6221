/* test_budget.c - budget.h: what senders may spend in a second, and threads that spend at once. */
#include "../support/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>

#include "budget.h"
#include "core/atomics.h"

#define SECRET UINT64_C(42)
#define START  UINT64_C(5000000)

static struct budget *open_budget(uint32_t limit)
{
    struct budget *budget;

    assert_int_equal(budget_open(limit, &budget), 0);
    return budget;
}

static unsigned take(struct budget *budget, uint64_t sender, uint64_t now, unsigned tries)
{
    unsigned taken = 0;

    while (tries--)
        taken += budget_spend(budget, sender, now);
    return taken;
}

static uint64_t source_of(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return budget_sender(SECRET, (struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return budget_sender(SECRET, (struct sockaddr *)&v6);
}

static void a_limit_each_second(void **state)
{
    struct budget *budget = open_budget(100);
    uint64_t sender = source_of("192.0.2.1"), other = source_of("192.0.2.2");

    (void)state;
    assert_int_equal(take(budget, sender, START, 99), 99);
    assert_int_equal(take(budget, sender, START, 5), 1);
    assert_int_equal(take(budget, other, START, 500), 100);
    assert_int_equal(take(budget, sender, START, 5), 0);
    assert_int_equal(take(budget, sender, START + 1, 500), 100);
    /* A worker whose tick is a little behind spends the same budget. */
    assert_int_equal(take(budget, sender, START, 5), 0);
    assert_int_equal(take(budget, sender, START + 3, 500), 100);
    assert_int_equal(take(budget, sender, START + 1, 5), 0); /* two behind */
    assert_int_equal(take(budget, sender, START + 4, 1), 1);
    budget_close(budget);
}

static void the_smallest_and_the_largest(void **state)
{
    struct budget *budget = open_budget(1);

    (void)state;
    for (uint64_t now = 0; now < 200000; now++)
        if (take(budget, 0, now, 2) != 1)
            fail_msg("tick %llu gives another share", (unsigned long long)now);
    budget_close(budget);
    budget = open_budget(BUDGET_LIMIT_MAX);
    assert_int_equal(take(budget, UINT64_MAX, START, BUDGET_LIMIT_MAX + 1000), BUDGET_LIMIT_MAX);
    assert_int_equal(take(budget, UINT64_MAX - 1, START, 1), 1);
    budget_close(budget);
}

/* Made-up addresses: the memory and what they can spend stay bounded, and an earlier sender keeps
 * its word. */
static void more_sources_than_words(void **state)
{
    uint64_t random = random_seed("more_sources_than_words");
    struct budget *budget = open_budget(10);
    uint64_t sender = source_of("192.0.2.1"), taken = 0;

    (void)state;
    assert_int_equal(take(budget, sender, START, 3), 3);
    for (unsigned i = 0; i < 1000000; i++)
        taken += budget_spend(budget, random_next(&random), START);
    assert_true(taken <= 10 * 8 * 1024);
    assert_true(taken > 10 * 8 * 1024 * 3 / 4); /* and they were not refused needlessly */
    assert_int_equal(take(budget, source_of("192.0.2.77"), START + 1, 100), 10);
    budget_close(budget);
}

static void few_sources_do_not_meet(void **state)
{
    struct budget *budget = open_budget(2);
    char text[32];

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 1000; i++) {
            snprintf(text, sizeof(text), "10.0.%u.%u", i / 250, i % 250);
            assert_int_equal(take(budget, source_of(text), START, 1), 1);
        }
    }
    budget_close(budget);
}

static void senders_of_addresses(void **state)
{
    (void)state;
    assert_true(source_of("192.0.2.1") != source_of("192.0.2.2"));
    assert_true(source_of("192.0.2.1") == source_of("::ffff:192.0.2.1"));
    assert_true(source_of("2001:db8::1") == source_of("2001:db8::ffff:1"));
    assert_true(source_of("2001:db8::1") != source_of("2001:db8:0:1::1"));
    assert_true(source_of("0.0.0.0") != budget_sender(SECRET, NULL));
    assert_true(budget_sender(SECRET, &(struct sockaddr){.sa_family = AF_UNIX}) ==
                budget_sender(SECRET, NULL));
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = 1}, port = v4;
    port.sin_port = 2;
    assert_true(budget_sender(SECRET, (struct sockaddr *)&v4) ==
                budget_sender(SECRET, (struct sockaddr *)&port));
    assert_true(budget_sender(SECRET, (struct sockaddr *)&v4) !=
                budget_sender(SECRET + 1, (struct sockaddr *)&v4));
}

#define THREADS 4
#define TICKS   200
#define LIMIT   1000

struct race {
    struct budget *budget;
    pthread_barrier_t meet;
    unsigned taken[TICKS];
};

static void *race_for_shares(void *context)
{
    struct race *race = context;

    for (unsigned tick = 0; tick < TICKS; tick++) {
        pthread_barrier_wait(&race->meet);
        unsigned taken = take(race->budget, 7, START + tick, LIMIT);
        atomic_add_relaxed(&race->taken[tick], taken); /* read after the threads have ended */
    }
    return NULL;
}

/* Threads spend one sender's budget: all of it, and at most one more per thread that starts at
 * once. */
static void threads_share(void **state)
{
    struct race race = {.budget = open_budget(LIMIT)};
    pthread_t threads[THREADS];

    (void)state;
    pthread_barrier_init(&race.meet, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race_for_shares, &race), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned tick = 0; tick < TICKS; tick++)
        if (race.taken[tick] < LIMIT || race.taken[tick] >= LIMIT + THREADS)
            fail_msg("%u of %u were taken", race.taken[tick], LIMIT);
    pthread_barrier_destroy(&race.meet);
    budget_close(race.budget);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_each_second),     cmocka_unit_test(the_smallest_and_the_largest),
        cmocka_unit_test(more_sources_than_words), cmocka_unit_test(few_sources_do_not_meet),
        cmocka_unit_test(senders_of_addresses),    cmocka_unit_test(threads_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

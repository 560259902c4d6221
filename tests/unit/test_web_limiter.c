/* test_web_limiter.c - how many heartbeats a client may send, and streams it may open. */
#include "../support/unit.h"

#include <errno.h>
#include <malloc.h>

#include "limiter.h"

#define S               INT64_C(1000000000) /* a second in ns */

#define limiter_of(...) limiter_new(&(struct limits){__VA_ARGS__})

static struct host host(const char *text)
{
    struct host host;

    assert_int_equal(host_parse(text, &host), 0);
    return host;
}

static bool take(struct limiter *limiter, const char *client, int64_t now_ns)
{
    struct host host_of_client = host(client);
    unsigned wait_s;

    return limiter_charge(limiter, &host_of_client, now_ns, &wait_s);
}

/* How many of `tries` at one moment are let through. */
static unsigned taken(struct limiter *limiter, const char *client, int64_t now_ns, unsigned tries)
{
    unsigned count = 0;

    for (unsigned i = 0; i < tries; i++)
        count += take(limiter, client, now_ns);
    return count;
}

static void test_budget(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_of(.client_rate = 5);
    struct host client = host("192.0.2.1");
    unsigned wait_s = 0;

    assert_non_null(limiter);
    assert_int_equal(taken(limiter, "192.0.2.1", 100 * S, 1000), 5 * LIMITER_BURST_S);
    assert_false(limiter_charge(limiter, &client, 100 * S, &wait_s));
    assert_int_equal(wait_s, 1);
    assert_int_equal(taken(limiter, "192.0.2.1", 101 * S, 1000), 5);
    assert_int_equal(taken(limiter, "192.0.2.1", 103 * S, 1000), 10);
    assert_int_equal(taken(limiter, "192.0.2.1", 1000 * S, 1000), 5 * LIMITER_BURST_S);
    assert_int_equal(taken(limiter, "192.0.2.2", 1000 * S, 1000), 5 * LIMITER_BURST_S);
    limiter_free(limiter);
}

static void test_who_is_one_client(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_of(.client_rate = 1);

    assert_non_null(limiter);
    assert_int_equal(taken(limiter, "192.0.2.1", S, 1000), LIMITER_BURST_S);
    assert_false(take(limiter, "::ffff:192.0.2.1", S));
    assert_int_equal(taken(limiter, "2001:db8::1", S, 1000), LIMITER_BURST_S);
    assert_false(take(limiter, "2001:db8::ffff:1", S));
    assert_true(take(limiter, "2001:db8:0:1::1", S));
    limiter_free(limiter);
}

/* However many come, one who keeps on asking is not let through more often by it than a few times:
 * whoever makes room for another is whose budget is fullest. */
static void test_many_clients(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_of(.client_rate = 1);
    uint64_t random = random_seed("many clients");
    unsigned busy = 0;

    assert_non_null(limiter);
    for (unsigned i = 0; i < 200000; i++) {
        struct host other = {{0}};
        unsigned wait_s;
        uint64_t number = random_next(&random);
        memcpy(other.bytes, &number, sizeof(number));
        limiter_charge(limiter, &other, S, &wait_s);
        if (i % 100 == 0)
            busy += take(limiter, "192.0.2.1", S);
    }
    assert_in_range(busy, LIMITER_BURST_S, 2 * LIMITER_BURST_S);
    limiter_free(limiter);
}

static void test_no_limit(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_of(.client_rate = 0);

    assert_non_null(limiter);
    assert_int_equal(taken(limiter, "192.0.2.1", S, 100000), 100000);
    limiter_free(limiter);
}

static int open_stream(struct limiter *limiter, const char *client, size_t places,
                       struct quota **ret)
{
    struct host host_of_client = host(client);

    return limiter_open_stream(limiter, &host_of_client, places, ret);
}

static void test_streams_of_a_client(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_of(.max_streams = 40, .client_streams = 3);
    struct quota *quotas[3], *other, *wide;

    assert_non_null(limiter);
    for (int i = 0; i < 3; i++)
        assert_int_equal(open_stream(limiter, "192.0.2.1", 1, &quotas[i]), 0);
    assert_int_equal(open_stream(limiter, "::ffff:192.0.2.1", 1, &other), -EDQUOT);
    /* A quarter of all places, whatever the number of streams. */
    assert_int_equal(open_stream(limiter, "2001:db8::1", 8, &wide), 0);
    assert_int_equal(open_stream(limiter, "2001:db8::2", 3, &other), -EDQUOT);
    assert_int_equal(open_stream(limiter, "2001:db8::2", 2, &other), 0);
    limiter_close_stream(limiter, other, 2);
    assert_int_equal(limiter_streams(limiter), 4);
    assert_int_equal(limiter_places(limiter), 11);
    limiter_close_stream(limiter, quotas[0], 1);
    assert_int_equal(open_stream(limiter, "192.0.2.1", 8, &quotas[0]), 0);
    limiter_close_stream(limiter, quotas[0], 8);
    assert_int_equal(open_stream(limiter, "192.0.2.1", 8, &quotas[0]), 0); /* they are free again */
    limiter_close_stream(limiter, quotas[0], 8);
    assert_int_equal(open_stream(limiter, "192.0.2.1", 1, &quotas[0]), 0);
    limiter_close_stream(limiter, wide, 8);
    for (int i = 0; i < 3; i++)
        limiter_close_stream(limiter, quotas[i], 1);
    assert_int_equal(limiter_streams(limiter), 0);
    assert_int_equal(limiter_places(limiter), 0);
    limiter_free(limiter);
}

/* Whoever is refused costs no memory afterwards. */
static void test_refused_clients(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_of(.max_streams = 40, .client_streams = 3);
    char client[32];
    struct quota *quota;
    size_t used = 0;

    assert_non_null(limiter);
    for (int i = 0; i < 1000; i++) {
        snprintf(client, sizeof(client), "192.0.%d.%d", i / 250, i % 250);
        assert_int_equal(open_stream(limiter, client, 11, &quota), -EDQUOT);
        if (i == 0)
            used = mallinfo2().uordblks;
    }
    assert_in_range(mallinfo2().uordblks, 0, used + 1024);
    limiter_free(limiter);
}

static void test_all_streams(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_of(.max_streams = 10);
    struct quota *first, *second, *other;

    assert_non_null(limiter);
    assert_int_equal(open_stream(limiter, "192.0.2.1", 9, &first), 0);
    assert_int_equal(open_stream(limiter, "192.0.2.2", 2, &other), -ENOSPC);
    assert_int_equal(open_stream(limiter, "192.0.2.2", 1, &second), 0);
    assert_int_equal(open_stream(limiter, "192.0.2.3", 1, &other), -ENOSPC);
    limiter_close_stream(limiter, first, 9);
    assert_int_equal(open_stream(limiter, "192.0.2.3", 9, &other), 0);
    limiter_close_stream(limiter, other, 9);
    limiter_close_stream(limiter, second, 1);
    limiter_free(limiter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_who_is_one_client),
        cmocka_unit_test(test_many_clients),
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_streams_of_a_client),
        cmocka_unit_test(test_refused_clients),
        cmocka_unit_test(test_all_streams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

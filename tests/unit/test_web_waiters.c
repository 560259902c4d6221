/* test_web_waiters.c - waiters.h: which suspended requests go on, and when. The server is played.
 */
#include "../support/unit.h"

#include "waiters.h"

static struct {
    struct http_request *resumed[4];
    unsigned suspended, count;
} server;

/* ---- what is played -------------------------------------------------------------------------- */

/* The linker calls these instead (--wrap). */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

void __wrap_MHD_suspend_connection(struct MHD_Connection *connection)
{
    assert_non_null(connection);
    server.suspended++;
}

void __wrap_http_server_resume(struct http_server *from, struct MHD_Connection *connection)
{
    (void)from;
    server.resumed[server.count++] = (struct http_request *)connection;
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* Begin so many requests, each of which is its own connection. */
static void begin(struct waiters *waiters, struct http_request *requests, size_t count)
{
    memset(&server, 0, sizeof(server));
    waiters_init(waiters);
    for (size_t i = 0; i < count; i++)
        requests[i] = (struct http_request){.connection = (void *)&requests[i]};
}

static void end(struct http_request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++)
        requests[i].release(requests[i].data);
}

static void a_request_waits_for_its_round_only(void **state)
{
    struct http_request requests[2];
    struct waiters waiters;

    (void)state;
    begin(&waiters, requests, 2);
    assert_true(waiters_suspend(&waiters, &requests[0], 1, 100));
    assert_true(waiters_suspend(&waiters, &requests[1], 2, 200));
    assert_int_equal(server.suspended, 2);
    waiters_resume(&waiters, 0, 0);
    assert_int_equal(server.count, 0);
    waiters_resume(&waiters, 1, 0);
    assert_int_equal(server.count, 1);
    assert_ptr_equal(server.resumed[0], &requests[0]);
    waiters_resume(&waiters, 2, 0);
    assert_int_equal(server.count, 2);
    assert_ptr_equal(server.resumed[1], &requests[1]);
    end(requests, 2);
}

static void patience_ends_in_the_order_in_which_they_came(void **state)
{
    struct http_request requests[2];
    struct waiters waiters;

    (void)state;
    begin(&waiters, requests, 2);
    assert_true(waiters_next(&waiters) == INT64_MAX);
    waiters_suspend(&waiters, &requests[0], 1, 100);
    waiters_suspend(&waiters, &requests[1], 1, 200);
    assert_int_equal(waiters_next(&waiters), 100);
    waiters_resume(&waiters, 0, 99);
    assert_int_equal(server.count, 0);
    waiters_resume(&waiters, 0, 100);
    assert_int_equal(server.count, 1);
    assert_ptr_equal(server.resumed[0], &requests[0]);
    assert_int_equal(waiters_next(&waiters), 200);
    waiters_resume(&waiters, WAITERS_ALL, 0);
    assert_int_equal(server.count, 2);
    end(requests, 2);
}

static void a_request_waits_once(void **state)
{
    struct http_request request;
    struct waiters waiters;

    (void)state;
    begin(&waiters, &request, 1);
    assert_true(waiters_suspend(&waiters, &request, 1, 100));
    waiters_resume(&waiters, 1, 0);
    assert_false(waiters_suspend(&waiters, &request, 2, 200));
    assert_int_equal(server.suspended, 1);
    end(&request, 1);
}

static void a_request_that_is_over_is_forgotten(void **state)
{
    struct http_request request;
    struct waiters waiters;

    (void)state;
    begin(&waiters, &request, 1);
    waiters_suspend(&waiters, &request, 1, 100);
    end(&request, 1);
    assert_true(waiters_next(&waiters) == INT64_MAX);
    waiters_resume(&waiters, WAITERS_ALL, 0);
    assert_int_equal(server.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_waits_for_its_round_only),
        cmocka_unit_test(patience_ends_in_the_order_in_which_they_came),
        cmocka_unit_test(a_request_waits_once),
        cmocka_unit_test(a_request_that_is_over_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

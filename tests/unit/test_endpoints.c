/* test_endpoints.c - endpoints.h: what becomes of the sockets that the last run has left. */
#include "listener_fixture.h"

#include <fcntl.h>

#include "receive/endpoints.h"

#define FORMER 3 /* workers of the last run */

/* Pass the former workers' sockets where the service manager would. */
static void pass(const int *sockets, char names[FORMER][HANDOVER_NAME_SIZE], int *kept)
{
    char port[ADDRESS_SIZE];

    snprintf(port, sizeof(port), "%s", strrchr(bound_text(sockets[0]), ':') + 1);
    for (int i = 0; i < FORMER; i++) {
        snprintf(names[i], HANDOVER_NAME_SIZE, "presenced-socket-%d-127.0.0.1_%.5s", i, port);
        kept[i] = fcntl(SERVICE_MANAGER_FIRST + i, F_DUPFD_CLOEXEC, 100);
        assert_int_equal(dup2(sockets[i], SERVICE_MANAGER_FIRST + i), SERVICE_MANAGER_FIRST + i);
        close(sockets[i]);
    }
}

static void give_back(const int *kept)
{
    for (int i = 0; i < FORMER; i++) {
        close(SERVICE_MANAGER_FIRST + i); /* closed already */
        if (kept[i] >= 0) {
            dup2(kept[i], SERVICE_MANAGER_FIRST + i);
            close(kept[i]);
        }
    }
}

/* Sockets of workers that are no longer there are read before they are closed. */
static void sockets_of_former_workers_are_read(void **state)
{
    static struct endpoints endpoints;
    static struct endpoints_settings settings;
    char names[FORMER][HANDOVER_NAME_SIZE];
    char *passed[FORMER + 1] = {names[0], names[1], names[2], NULL};
    int low[FORMER], sockets[FORMER], kept[FORMER];
    struct service_manager manager = {
        .program = "presenced", .socket = -1, .names = passed, .count = FORMER};

    (void)state;
    assert_int_equal(open_at("127.0.0.1:0", FORMER, low), 0);
    for (unsigned i = 0; i < FORMER; i++) {
        sockets[i] = fcntl(low[i], F_DUPFD_CLOEXEC, 100);
        close(low[i]);
    }
    int sender = connected_sender(sockets[0]);
    for (unsigned sent = 0; sent < 64; sent++) { /* their hash, or their turns, send some to each */
        close(sender);
        sender = connected_sender(sockets[0]);
        assert_int_equal(send(sender, "x", 1, 0), 1);
    }
    settings.workers = 1;
    assert_int_equal(endpoints_add(&settings, bound_text(sockets[0])), 0);
    pass(sockets, names, kept);
    assert_int_equal(endpoints_open(&settings, &manager, &endpoints), 0);
    const struct worker_backlog backlog = endpoints_backlog(&endpoints);
    assert_int_equal(backlog.earlier_count, FORMER - 1);
    unsigned waiting = drain(endpoints_first_socket(&endpoints.all[0]));
    for (unsigned i = 0; i < backlog.earlier_count; i++)
        waiting += drain(backlog.earlier[i]);
    assert_int_equal(waiting, 64);
    assert_int_equal(endpoints_close_backlog(&endpoints), 0);
    endpoints_close(&endpoints);
    close(sender);
    give_back(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_of_former_workers_are_read),
    };
    return cmocka_run_group_tests_name("endpoints", tests, NULL, NULL);
}

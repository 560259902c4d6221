/* test_service_manager.c - what the service manager passes is not stored once more. */
#include "../support/scratch.h"
#include "../support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/service_manager.h"

struct fixture {
    struct scratch scratch;
    struct service_manager manager;
    int socket; /* the service manager's */
};

/* Stand in for a service manager that passes one descriptor, named "known". */
static int open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char pid[16];

    assert_non_null(fixture);
    int passed = open("/dev/null", O_RDONLY); /* before others take the number */
    assert_true(passed >= 0);
    if (passed != SERVICE_MANAGER_FIRST)
        assert_int_equal(dup2(passed, SERVICE_MANAGER_FIRST), SERVICE_MANAGER_FIRST);
    scratch_open(&fixture->scratch);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture->scratch.path);
    fixture->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fixture->socket, (struct sockaddr *)&address, sizeof(address)), 0);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("NOTIFY_SOCKET", fixture->scratch.path, true);
    setenv("LISTEN_PID", pid, true);
    setenv("LISTEN_FDS", "1", true);
    setenv("LISTEN_FDNAMES", "known", true);
    service_manager_open("test", &fixture->manager);
    *state = fixture;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;

    service_manager_close(&fixture->manager);
    close(fixture->socket);
    scratch_close(&fixture->scratch);
    free(fixture);
    return 0;
}

/* Read the next message, "" if there is none. */
static const char *receive(struct fixture *fixture)
{
    static char text[512];
    ssize_t length = recv(fixture->socket, text, sizeof(text) - 1, 0);

    assert_true(length >= 0 || errno == EAGAIN);
    text[length > 0 ? length : 0] = '\0';
    return text;
}

static void test_stored_once(void **state)
{
    struct fixture *fixture = *state;
    struct service_manager *manager = &fixture->manager;

    assert_true(service_manager_exists(manager));
    assert_true(service_manager_has_passed(manager, "known"));
    service_manager_store(manager, fixture->socket, "known");
    assert_string_equal(receive(fixture), "");
    service_manager_store(manager, fixture->socket, "new");
    assert_string_equal(receive(fixture), "FDSTORE=1\nFDPOLL=0\nFDNAME=new");
    service_manager_remove(manager, "known");
    assert_string_equal(receive(fixture), "FDSTOREREMOVE=1\nFDNAME=known");
    assert_false(service_manager_has_passed(manager, "known"));
    service_manager_store(manager, fixture->socket, "known");
    assert_string_equal(receive(fixture), "FDSTORE=1\nFDPOLL=0\nFDNAME=known");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stored_once, open_fixture, close_fixture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

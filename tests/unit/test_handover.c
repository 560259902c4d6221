/* test_handover.c - handover.h: what is passed is judged by what it is, not by its name. */
#include "../support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "receive/handover.h"
#include "receive/listener.h"

#define LONG_NAME   255 /* the longest that sd_notify(3) takes */
#define MEMORY_SIZE 1000

/* A passed descriptor, which handover.c finds at the first number of the protocol. */
struct passed {
    struct service_manager manager;
    struct handover handover;
    char name[LONG_NAME + 1];
    char *names[2];
    int kept; /* what had the number before */
};

static void pass(struct passed *passed, int descriptor, const char *name)
{
    memset(passed, 0, sizeof(*passed));
    snprintf(passed->name, sizeof(passed->name), "%s", name);
    passed->names[0] = passed->name;
    passed->manager = (struct service_manager){
        .program = "presenced", .socket = -1, .names = passed->names, .count = 1};
    passed->kept = fcntl(SERVICE_MANAGER_FIRST, F_DUPFD_CLOEXEC, 100);
    assert_true(dup2(descriptor, SERVICE_MANAGER_FIRST) == SERVICE_MANAGER_FIRST);
    assert_int_equal(handover_open(&passed->manager, MEMORY_SIZE, &passed->handover), 0);
}

static void end(struct passed *passed)
{
    handover_close(&passed->handover);
    close(SERVICE_MANAGER_FIRST); /* taken, or closed already */
    if (passed->kept >= 0) {
        dup2(passed->kept, SERVICE_MANAGER_FIRST);
        close(passed->kept);
    }
}

/* Open a socket with a high number. `ret_port` has its port in words. */
static int open_socket(int type, bool is_bound, char ret_port[8])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int low = socket(AF_INET, type, 0), high = fcntl(low, F_DUPFD_CLOEXEC, 100);

    close(low);
    assert_true(high >= 100);
    if (is_bound)
        assert_return_code(bind(high, (struct sockaddr *)&address, length), errno);
    assert_return_code(getsockname(high, (struct sockaddr *)&address, &length), errno);
    snprintf(ret_port, 8, "%u", ntohs(address.sin_port));
    return high;
}

/* Expect one socket of this worker, negative for one of somebody else; or with REFUSED none. */
#define REFUSED (-2)
static void check_socket(int socket, const char *name, int worker)
{
    struct passed passed;

    pass(&passed, socket, name);
    assert_int_equal(passed.handover.array_count, 0);
    assert_int_equal(passed.handover.socket_count, worker != REFUSED);
    if (worker == REFUSED) {
        assert_int_equal(fcntl(SERVICE_MANAGER_FIRST, F_GETFD), -1);
        bool is_ours = strncmp(name, "presenced-", strlen("presenced-")) == 0;
        assert_int_equal(passed.names[0][0] == '\0', is_ours); /* removed from the store */
    } else {
        assert_int_equal(passed.handover.sockets[0].worker, worker);
    }
    end(&passed);
}

static void names_of_sockets(void **state)
{
    static const struct {
        const char *before, *after; /* of the port */
        int worker;
    } cases[] = {
        {"presenced-socket-0-127.0.0.1_", "", 0},
        {"presenced-socket-63-127.0.0.1_", "", 63},
        {"presenced-socket-64-127.0.0.1_", "", REFUSED},
        {"presenced-socket-4294967296-127.0.0.1_", "", REFUSED},
        {"presenced-socket--1-127.0.0.1_", "", REFUSED},
        {"presenced-socket-00-127.0.0.1_", "", REFUSED},
        {"presenced-socket-+1-127.0.0.1_", "", REFUSED},
        {"presenced-socket- 1-127.0.0.1_", "", REFUSED},
        {"presenced-socket-0-127.0.0.1:", "", REFUSED},
        {"presenced-socket-0-127.0.0.2_", "", REFUSED},
        {"presenced-socket-0-127.0.0.1_", "0", REFUSED},
        {"presenced-socket-0-127.0.0.1_", " ", REFUSED},
        {"presenced-socket-0-[127.0.0.1]_", "", REFUSED},
        {"presenced-socket-", "", REFUSED},
        {"presenced-", "", REFUSED},
        {"presenced-array-127.0.0.1_", "", REFUSED},
        {"presenced", "", -1},
        {"unknown", "", -1},
        {"", "", -1},
        {"%s%n", "", -1},
    };
    char port[8], name[LONG_NAME + 1];
    int socket = open_socket(SOCK_DGRAM, true, port);

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        snprintf(name, sizeof(name), "%s%s%s", cases[i].before, port, cases[i].after);
        check_socket(socket, name, cases[i].worker);
    }
    memset(name, 'x', LONG_NAME);
    name[LONG_NAME] = '\0';
    check_socket(socket, name, -1);
    memcpy(name, "presenced-socket-0-", strlen("presenced-socket-0-"));
    check_socket(socket, name, REFUSED);
    close(socket);
}

static void other_descriptors(void **state)
{
    static const char *const names[] = {"presenced-socket-0-127.0.0.1_0",
                                        "presenced-record",
                                        "presenced-memory",
                                        "presenced-senders",
                                        "presenced-turns",
                                        "presenced-array-127.0.0.1_0",
                                        "unknown"};
    char port[8];
    const int others[] = {
        open_socket(SOCK_STREAM, true, port),
        open_socket(SOCK_DGRAM, false, port),
        fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100),
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(others); i++) {
        for (size_t j = 0; j < LENGTH(names); j++)
            check_socket(others[i], names[j], REFUSED);
        close(others[i]);
    }
}

/* A socket that was retired, which has itself for a peer, receives nothing new: it is no worker's.
 */
static void retired_sockets(void **state)
{
    struct sockaddr_in address;
    struct sockaddr_storage wanted = {0};
    socklen_t length = sizeof(address);
    char port[8], name[LONG_NAME + 1];
    struct passed passed;

    (void)state;
    for (int is_retired = 0; is_retired < 2; is_retired++) {
        int socket = open_socket(SOCK_DGRAM, true, port);
        assert_return_code(getsockname(socket, (struct sockaddr *)&address, &length), errno);
        memcpy(&wanted, &address, sizeof(address));
        if (is_retired)
            listener_retire(socket);
        snprintf(name, sizeof(name), "presenced-socket-3-127.0.0.1_%s", port);
        pass(&passed, socket, name);
        assert_int_equal(passed.handover.socket_count, 1);
        assert_int_equal(handover_take_socket(&passed.handover, &wanted, 2), -1);
        assert_int_equal(handover_take_socket(&passed.handover, &wanted, 3),
                         is_retired ? -1 : SERVICE_MANAGER_FIRST);
        end(&passed);
        close(socket);
    }
}

/* ---- the record ---------------------------------------------------------------------------- */

static int write_record(const struct handover_record *record, off_t size, int seals)
{
    int low = memfd_create("record", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int high = fcntl(low, F_DUPFD_CLOEXEC, 100);

    close(low);
    assert_true(high >= 100);
    assert_int_equal(write(high, record, sizeof(*record)), sizeof(*record));
    assert_return_code(ftruncate(high, size), errno);
    assert_return_code(fcntl(high, F_ADD_SEALS, seals), errno);
    return high;
}

static int make_record(off_t size, int seals, uint32_t version)
{
    const struct handover_record record = {.version = version, .workers = 7};

    return write_record(&record, size, seals);
}

static void records(void **state)
{
    const off_t size = sizeof(struct handover_record);
    const struct {
        off_t size;
        int seals;
        uint32_t version, workers;
    } cases[] = {
        {size, F_SEAL_SHRINK | F_SEAL_GROW, 1, 7},
        {size, F_SEAL_SHRINK | F_SEAL_GROW, 0, 0},
        {size, F_SEAL_SHRINK | F_SEAL_GROW, UINT32_MAX, 0},
        {size, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, 1, 0},
        {size, F_SEAL_SHRINK, 1, 0},
        {size, F_SEAL_GROW, 1, 0},
        {size, 0, 1, 0},
        {size - 1, F_SEAL_SHRINK | F_SEAL_GROW, 1, 0},
        {size + 1, F_SEAL_SHRINK | F_SEAL_GROW, 1, 0},
        {0, F_SEAL_SHRINK | F_SEAL_GROW, 1, 0},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct passed passed;
        int record = make_record(cases[i].size, cases[i].seals, cases[i].version);
        pass(&passed, record, "presenced-record");
        assert_int_equal(passed.handover.former->workers, cases[i].workers);
        assert_int_equal(passed.handover.record->version, 1);
        handover_clear_record(&passed.handover, 3); /* it can be written */
        end(&passed);
        close(record);
    }
}

/* The drops of a socket that its predecessor has counted are not counted again; those of a socket
 * that it did not have begin with what there is. */
static void drops_are_counted_once(void **state)
{
    struct handover_record record = {.version = 1};
    uint64_t cookie;
    socklen_t length = sizeof(cookie);
    char port[8];
    struct passed passed;
    int known = open_socket(SOCK_DGRAM, true, port), other = open_socket(SOCK_DGRAM, true, port);

    (void)state;
    assert_return_code(getsockopt(known, SOL_SOCKET, SO_COOKIE, &cookie, &length), errno);
    record.sockets[HANDOVER_SOCKETS - 1].cookie = cookie;
    record.sockets[HANDOVER_SOCKETS - 1].drops = 12;
    int descriptor = write_record(&record, sizeof(record), F_SEAL_SHRINK | F_SEAL_GROW);
    pass(&passed, descriptor, "presenced-record");
    assert_int_equal(handover_counted_drops(&passed.handover, known), 12);
    assert_int_equal(handover_counted_drops(&passed.handover, other), 0);
    end(&passed);
    close(descriptor);
    close(known);
    close(other);
}

/* ---- the program's memory ------------------------------------------------------------------ */

static int make_memory(off_t size, int seals)
{
    int low = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int high = fcntl(low, F_DUPFD_CLOEXEC, 100);

    close(low);
    assert_true(high >= 100);
    assert_int_equal(write(high, "kept", 4), 4);
    assert_return_code(ftruncate(high, size), errno);
    assert_return_code(fcntl(high, F_ADD_SEALS, seals), errno);
    return high;
}

/* Only what is sealed and has the size is gone on with; there is memory in any case. */
static void memories(void **state)
{
    static const struct {
        off_t size;
        int seals;
        const char *expected;
    } cases[] = {
        {MEMORY_SIZE, F_SEAL_SHRINK | F_SEAL_GROW, "kept"},
        {MEMORY_SIZE, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, ""},
        {MEMORY_SIZE, F_SEAL_SHRINK, ""},
        {MEMORY_SIZE, 0, ""},
        {MEMORY_SIZE - 1, F_SEAL_SHRINK | F_SEAL_GROW, ""},
        {MEMORY_SIZE + 1, F_SEAL_SHRINK | F_SEAL_GROW, ""},
        {0, F_SEAL_SHRINK | F_SEAL_GROW, ""},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct passed passed;
        int memory = make_memory(cases[i].size, cases[i].seals);
        pass(&passed, memory, "presenced-memory");
        assert_string_equal(passed.handover.memory.bytes, cases[i].expected);
        assert_int_equal(passed.names[0][0] == '\0', cases[i].expected[0] == '\0');
        memset(passed.handover.memory.bytes, 1, MEMORY_SIZE); /* all of it can be written */
        end(&passed);
        close(memory);
    }
}

/* A program that keeps no memory has none, whatever is passed. */
static void no_memory(void **state)
{
    struct service_manager manager = {.program = "presenced", .socket = -1};
    struct handover handover;

    (void)state;
    assert_int_equal(handover_open(&manager, 0, &handover), 0);
    assert_null(handover.memory.bytes);
    assert_non_null(handover.record);
    handover_close(&handover);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_sockets),
        cmocka_unit_test(other_descriptors),
        cmocka_unit_test(retired_sockets),
        cmocka_unit_test(records),
        cmocka_unit_test(drops_are_counted_once),
        cmocka_unit_test(memories),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

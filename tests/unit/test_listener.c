/* test_listener.c - listener.h: addresses, binding, sharing a port, counting drops. */
#include "../support/asleep.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "listener.h"
#include "common/address.h"

static const struct listener_options no_options = {0};

/* ---- addresses --------------------------------------------------------------------------- */

static void addresses_are_read(void **state)
{
    static const struct {
        const char *text, *host;
        int family;
        unsigned port;
    } cases[] = {
        {"127.0.0.1:9514", "127.0.0.1", AF_INET, 9514},
        {"0.0.0.0:0", "0.0.0.0", AF_INET, 0},
        {"255.255.255.255:65535", "255.255.255.255", AF_INET, 65535},
        {"[::1]:9514", "::1", AF_INET6, 9514},
        {"[::]:00001", "::", AF_INET6, 1},
        {"[2001:db8:1234:5678:9abc:def0:1234:5678]:514", "2001:db8:1234:5678:9abc:def0:1234:5678",
         AF_INET6, 514},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct sockaddr_storage address;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        socklen_t length;
        char host[INET6_ADDRSTRLEN];
        if (listener_parse(cases[i].text, &address, &length) != 0)
            fail_msg("'%s' was refused", cases[i].text);
        bool is_v6 = cases[i].family == AF_INET6;
        memcpy(&v4, &address, sizeof(v4));
        memcpy(&v6, &address, sizeof(v6));
        assert_int_equal(address.ss_family, cases[i].family);
        assert_int_equal(length, is_v6 ? sizeof(v6) : sizeof(v4));
        assert_int_equal(ntohs(is_v6 ? v6.sin6_port : v4.sin_port), cases[i].port);
        inet_ntop(cases[i].family, is_v6 ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr, host,
                  sizeof(host));
        assert_string_equal(host, cases[i].host);
    }
}

static void other_text_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        ":",
        "9514",
        ":9514",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:+1",
        "127.0.0.1: 1",
        "127.0.0.1:1 ",
        "127.0.0.1:000001",
        "127.0.0.1:1x",
        "127.1:1",
        "localhost:1",
        "256.0.0.1:1",
        "::1:9514",
        "[::1]",
        "[::1]9514",
        "[::1",
        "[]:1",
        "[127.0.0.1]:1",
        "[::1]::1",
        "[::1%lo]:1",
        "[[::1]]:1",
        "127.0.0.1:1:1",
        "[0000000000000000000000000000000000000000000000000000000000::1]:1",
        "1111111111111111111111111111111111111111111111111111111111:1",
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct sockaddr_storage address = {.ss_family = 77};
        socklen_t length = 77;
        if (listener_parse(cases[i], &address, &length) != -EINVAL)
            fail_msg("'%s' was taken", cases[i]);
        assert_int_equal(address.ss_family, 77); /* untouched */
        assert_int_equal(length, 77);
    }
}

static void loopback_is_known(void **state)
{
    static const struct {
        const char *text;
        bool loopback;
    } cases[] = {
        {"127.0.0.1:1", true},  {"127.255.255.254:1", true},
        {"[::1]:1", true},      {"126.255.255.255:1", false},
        {"128.0.0.1:1", false}, {"0.0.0.0:1", false},
        {"[::]:1", false},      {"[::2]:1", false},
        {"[fe80::1]:1", false},
    };
    struct sockaddr_storage address = {.ss_family = AF_UNIX};
    socklen_t length;

    (void)state;
    assert_false(listener_is_loopback(&address));
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_int_equal(listener_parse(cases[i].text, &address, &length), 0);
        if (listener_is_loopback(&address) != cases[i].loopback)
            fail_msg("%s is taken wrong", cases[i].text);
    }
}

/* ---- sockets ----------------------------------------------------------------------------- */

static int open_at(const char *text, unsigned workers, int *ret_sockets)
{
    struct sockaddr_storage address;
    socklen_t length;

    assert_int_equal(listener_parse(text, &address, &length), 0);
    return listener_open((struct sockaddr *)&address, length, &no_options, workers, ret_sockets);
}

/* The bound address as text, in a static buffer. */
static const char *bound_text(int socket)
{
    static char text[ADDRESS_SIZE];

    assert_int_equal(address_bound(socket, text), 0);
    return text;
}

static int flag_of(int socket, int level, int option)
{
    int value = -1;
    socklen_t length = sizeof(value);

    assert_return_code(getsockopt(socket, level, option, &value, &length), errno);
    return value;
}

static void close_all(const int *sockets, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        close(sockets[i]);
}

static void sockets_share_the_port_that_the_kernel_chose(void **state)
{
    static const char *const wanted[] = {"127.0.0.1:0", "[::]:0"};
    int sockets[3];

    (void)state;
    for (size_t i = 0; i < LENGTH(wanted); i++) {
        int r = open_at(wanted[i], LENGTH(sockets), sockets);
        if (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT)
            continue; /* a machine without IPv6 */
        assert_int_equal(r, 0);
        char first[ADDRESS_SIZE];
        strcpy(first, bound_text(sockets[0]));
        assert_memory_equal(first, wanted[i], strlen(wanted[i]) - 1);
        assert_string_not_equal(first, wanted[i]);
        for (size_t j = 0; j < LENGTH(sockets); j++) {
            assert_string_equal(bound_text(sockets[j]), first);
            assert_true(fcntl(sockets[j], F_GETFD) & FD_CLOEXEC);
            assert_false(fcntl(sockets[j], F_GETFL) & O_NONBLOCK);
            assert_true(flag_of(sockets[j], SOL_SOCKET, SO_REUSEPORT));
            if (wanted[i][0] == '[')
                assert_true(flag_of(sockets[j], IPPROTO_IPV6, IPV6_V6ONLY));
        }
        close_all(sockets, LENGTH(sockets));
    }
}

static void one_worker_has_its_port_alone(void **state)
{
    int socket;

    (void)state;
    assert_int_equal(open_at("127.0.0.1:0", 1, &socket), 0);
    assert_false(flag_of(socket, SOL_SOCKET, SO_REUSEPORT));
    close(socket);
}

static void no_worker_is_refused(void **state)
{
    int socket = 77;

    (void)state;
    assert_int_equal(open_at("127.0.0.1:0", 0, &socket), -EINVAL);
    assert_int_equal(socket, 77);
}

static void receive_buffer_is_as_large_as_allowed(void **state)
{
    struct listener_options options = {.receive_buffer_bytes = 64 << 10};
    struct sockaddr_storage address;
    socklen_t length;
    int asked, plain;

    (void)state;
    assert_int_equal(listener_parse("127.0.0.1:0", &address, &length), 0);
    assert_int_equal(listener_open((struct sockaddr *)&address, length, &options, 1, &asked), 0);
    assert_int_equal(open_at("127.0.0.1:0", 1, &plain), 0);
    assert_int_equal(flag_of(asked, SOL_SOCKET, SO_RCVBUF), 2 * (64 << 10)); /* socket(7) */
    assert_true(flag_of(plain, SOL_SOCKET, SO_RCVBUF) > 2 * (64 << 10));
    close(asked);
    close(plain);
}

/* ---- a port that is in use --------------------------------------------------------------- */

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void port_of_somebody_else_is_refused_even_if_they_share_it(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int other = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1, sockets[2] = {77, 77};

    (void)state;
    assert_return_code(setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), errno);
    assert_return_code(bind(other, (struct sockaddr *)&address, sizeof(address)), errno);
    int free_descriptor = dup(other);
    close(free_descriptor);
    double start = seconds_now();
    assert_int_equal(open_at(bound_text(other), 2, sockets), -EADDRINUSE);
    assert_true(seconds_now() - start >= 4.9); /* it may be a port that is freed late */
    assert_int_equal(sockets[0], 77);
    assert_int_equal(sockets[1], 77);
    assert_int_equal(dup(other), free_descriptor); /* nothing was left open */
    close(free_descriptor);
    close(other);
}

struct opener {
    char text[ADDRESS_SIZE];
    _Atomic pid_t thread; /* 0: it has not begun */
};

static void *open_where_told(void *argument)
{
    struct opener *opener = argument;

    opener->thread = gettid();
    int socket, r = open_at(opener->text, 1, &socket);

    if (r == 0)
        close(socket);
    return (void *)(intptr_t)r;
}

static void port_that_is_freed_late_is_waited_for(void **state)
{
    struct opener opener = {.thread = 0};
    pthread_t thread;
    void *result;
    int other;

    (void)state;
    assert_int_equal(open_at("127.0.0.1:0", 1, &other), 0);
    strcpy(opener.text, bound_text(other));
    assert_int_equal(pthread_create(&thread, NULL, open_where_told, &opener), 0);
    while (!opener.thread)
        sched_yield();
    wait_until_asleep(opener.thread); /* between one attempt and the next */
    close(other);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal((intptr_t)result, 0);
}

/* ---- what arrives ------------------------------------------------------------------------ */

static int connected_sender(int to)
{
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    int sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_return_code(getsockname(to, (struct sockaddr *)&address, &length), errno);
    assert_return_code(connect(sender, (struct sockaddr *)&address, length), errno);
    return sender;
}

static unsigned drain(int socket)
{
    unsigned count = 0;
    char byte;

    while (recv(socket, &byte, sizeof(byte), MSG_DONTWAIT) >= 0)
        count++;
    return count;
}

/* Half of an even share is at least 18 standard deviations below it. */
static void one_flow_loads_all_workers(void **state)
{
    enum { SENT = 4000 };

    (void)state;
    for (unsigned workers = 1; workers <= 4; workers++) {
        int sockets[4];
        unsigned received = 0;
        assert_int_equal(open_at("127.0.0.1:0", workers, sockets), 0);
        int sender = connected_sender(sockets[0]);
        unsigned counts[4] = {0};
        for (unsigned i = 0; i < SENT; i++) {
            assert_int_equal(send(sender, "x", 1, 0), 1);
            for (unsigned j = 0; i % 100 == 99 && j < workers; j++)
                counts[j] += drain(sockets[j]);
        }
        for (unsigned j = 0; j < workers; j++) {
            if (counts[j] < SENT / workers / 2)
                fail_msg("worker %u of %u got %u of %u", j, workers, counts[j], SENT);
            received += counts[j];
        }
        assert_int_equal(received, SENT);
        close(sender);
        close_all(sockets, workers);
    }
}

static void drops_are_counted(void **state)
{
    struct listener_options options = {.receive_buffer_bytes = 4096};
    struct sockaddr_storage address;
    socklen_t length;
    int socket;

    (void)state;
    assert_int_equal(listener_parse("127.0.0.1:0", &address, &length), 0);
    assert_int_equal(listener_open((struct sockaddr *)&address, length, &options, 1, &socket), 0);
    int sender = connected_sender(socket);
    assert_int_equal(listener_drops(socket), 0);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(send(sender, "x", 1, 0), 1);
    uint32_t drops = listener_drops(socket);
    assert_true(drops > 0);
    assert_int_equal(drops + drain(socket), 1000);
    close(sender);
    close(socket);
    assert_int_equal(listener_drops(-1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(other_text_is_refused),
        cmocka_unit_test(loopback_is_known),
        cmocka_unit_test(sockets_share_the_port_that_the_kernel_chose),
        cmocka_unit_test(one_worker_has_its_port_alone),
        cmocka_unit_test(no_worker_is_refused),
        cmocka_unit_test(receive_buffer_is_as_large_as_allowed),
        cmocka_unit_test(port_of_somebody_else_is_refused_even_if_they_share_it),
        cmocka_unit_test(port_that_is_freed_late_is_waited_for),
        cmocka_unit_test(one_flow_loads_all_workers),
        cmocka_unit_test(drops_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

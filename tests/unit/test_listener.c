/* test_listener.c - listener.h: addresses, binding, sharing ports, spreading by hash, drops. */
#include "../support/asleep.h"
#include "../support/ipv6.h"
#include "../support/own_loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "listener_fixture.h"

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

/* ---- a port in use ----------------------------------------------------------------------- */

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
    assert_true(seconds_now() - start >= 4.9); /* the kernel may free a port late */
    assert_int_equal(sockets[0], 77);
    assert_int_equal(sockets[1], 77);
    assert_int_equal(dup(other), free_descriptor); /* no descriptor was left open */
    close(free_descriptor);
    close(other);
}

struct opener {
    char text[ADDRESS_SIZE];
    _Atomic pid_t thread; /* 0: not running yet */
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
    wait_until_asleep(opener.thread); /* between two attempts */
    close(other);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal((intptr_t)result, 0);
}

/* A wait that ends in the third round. */
static bool wait_twice(void *context, unsigned ms)
{
    unsigned *rounds = context;

    assert_true(ms > 0 && ms < LISTENER_PATIENCE_MS);
    return ++*rounds < 3;
}

static void the_wait_can_be_ended(void **state)
{
    unsigned rounds = 0;
    const struct listener_options options = {.wait = wait_twice, .context = &rounds};
    struct sockaddr_storage address;
    socklen_t length;
    int other, socket = 77;

    (void)state;
    assert_int_equal(open_at("127.0.0.1:0", 1, &other), 0);
    assert_int_equal(listener_parse(bound_text(other), &address, &length), 0);
    assert_int_equal(listener_open((struct sockaddr *)&address, length, &options, 1, &socket),
                     -EINTR);
    assert_int_equal(rounds, 3);
    assert_int_equal(socket, 77);
    close(other);
    assert_int_equal(listener_open((struct sockaddr *)&address, length, &options, 1, &socket), 0);
    assert_int_equal(rounds, 3); /* no wait for a free port */
    close(socket);
}

static void an_address_need_not_be_there(void **state)
{
    static const char *const wanted[] = {"203.0.113.7:0", "[2001:db8:7::7]:0"};
    int sockets[2];

    (void)state;
    for (size_t i = 0; i < LENGTH(wanted); i++) {
        int r = open_at(wanted[i], LENGTH(sockets), sockets);
        if (r == -EAFNOSUPPORT)
            continue; /* a machine without IPv6 */
        assert_int_equal(r, 0);
        assert_memory_equal(bound_text(sockets[1]), wanted[i], strlen(wanted[i]) - 1);
        close_all(sockets, LENGTH(sockets));
    }
}

/* ---- arrivals ---------------------------------------------------------------------------- */

/* With random senders, a socket with half of an even share is 12 standard deviations below it. */
static void a_hash_gives_each_sender_one_socket(void **state)
{
    enum { SENDERS = 1000, EACH = 3 };
    static const char *const addresses[] = {"127.0.0.1:0", "[::1]:0"};

    (void)state;
    for (size_t i = 0; i < LENGTH(addresses); i++) {
        for (unsigned workers = 2; workers <= 4; workers++) {
            int sockets[4];
            unsigned counts[4] = {0};
            if (addresses[i][0] == '[' && !has_ipv6())
                continue;
            assert_int_equal(open_at(addresses[i], workers, sockets), 0);
            for (unsigned j = 0; j < SENDERS; j++) {
                int sender = connected_sender(sockets[0]);
                for (unsigned k = 0; k < EACH; k++)
                    assert_int_equal(send(sender, "x", k % 2, 0), k % 2);
                int found = drain_one(sockets, workers, EACH);
                assert_true(found >= 0);
                counts[found]++;
                close(sender);
            }
            for (unsigned j = 0; j < workers; j++)
                if (counts[j] < SENDERS / workers / 2)
                    fail_msg("%s: socket %u of %u got %u of %u senders", addresses[i], j, workers,
                             counts[j], SENDERS);
            close_all(sockets, workers);
        }
    }
}

/* Send with IP options, or an IPv6 extension header. Returns false without the privilege. */
static bool add_options(int sender, int family, unsigned length)
{
    static const int kinds[] = {IPV6_DSTOPTS, IPV6_HOPOPTS};
    uint8_t v4_options[40], v6_options[64] = {0};
    int r;

    memset(v4_options, 1, sizeof(v4_options)); /* IPOPT_NOOP */
    v6_options[1] = (uint8_t)(length / 8 - 1);
    v6_options[2] = 0x1e; /* experimental (RFC 4727), skipped if unknown */
    v6_options[3] = (uint8_t)(length - 4);
    if (family == AF_INET)
        r = setsockopt(sender, IPPROTO_IP, IP_OPTIONS, v4_options, length);
    else
        r = setsockopt(sender, IPPROTO_IPV6, kinds[length % 16 == 0], v6_options, length);
    assert_true(r == 0 || errno == EPERM);
    return r == 0;
}

/* A sender has the same socket wherever the UDP header begins. */
static void a_hash_finds_the_port_behind_options(void **state)
{
    static const struct {
        const char *address;
        int family;
        unsigned lengths[3];
    } cases[] = {
        {"127.0.0.1:0", AF_INET, {4, 16, 40}},
        {"[::1]:0", AF_INET6, {8, 16, 24}},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        int sockets[4];
        if (cases[i].family == AF_INET6 && !has_ipv6())
            continue;
        assert_int_equal(open_at(cases[i].address, LENGTH(sockets), sockets), 0);
        for (unsigned j = 0; j < 200; j++) {
            int sender = connected_sender(sockets[0]);
            unsigned sent = 1;
            assert_int_equal(send(sender, "x", 1, 0), 1);
            for (size_t k = 0; k < LENGTH(cases[i].lengths); k++, sent++) {
                if (!add_options(sender, cases[i].family, cases[i].lengths[k]))
                    break;
                assert_int_equal(send(sender, "x", 1, 0), 1);
            }
            assert_true(drain_one(sockets, LENGTH(sockets), sent) >= 0);
            close(sender);
        }
        close_all(sockets, LENGTH(sockets));
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
        cmocka_unit_test(the_wait_can_be_ended),
        cmocka_unit_test(an_address_need_not_be_there),
        cmocka_unit_test(a_hash_gives_each_sender_one_socket),
        cmocka_unit_test(a_hash_finds_the_port_behind_options),
        cmocka_unit_test(drops_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

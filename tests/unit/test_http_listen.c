/* test_http_listen.c - which addresses can be listened on, and what is said of others. */
#include "../support/capture.h"
#include "../support/descriptors.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/http_listen.h"

/* What fails for IPv6, as on a machine that has none; 0: nothing. */
static int socket_error, bind_error;

/* The linker calls these instead (--wrap). */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

int __real_socket(int family, int type, int protocol);
int __real_bind(int socket, const struct sockaddr *address, socklen_t length);

int __wrap_socket(int family, int type, int protocol)
{
    if (family != AF_INET6 || !socket_error)
        return __real_socket(family, type, protocol);
    errno = socket_error;
    return -1;
}

int __wrap_bind(int socket, const struct sockaddr *address, socklen_t length)
{
    if (address->sa_family != AF_INET6 || !bind_error)
        return __real_bind(socket, address, length);
    errno = bind_error;
    return -1;
}

static in_port_t port_of(int socket)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    assert_int_equal(getsockname(socket, (struct sockaddr *)&address, &length), 0);
    return address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                         : ((struct sockaddr_in *)&address)->sin_port;
}

/* Connect over IPv4 to whatever listens on a socket's port. */
static int connect_client(int socket_listening)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = port_of(socket_listening),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(client, (const struct sockaddr *)&address, sizeof(address)), 0);
    return client;
}

static int listen_at(char *address)
{
    int socket;

    assert_int_equal(http_listen_open(&address, 1, &socket), 0);
    return socket;
}

static void a_port_is_free_after_its_program_has_closed_connections(void **state)
{
    char any[] = "127.0.0.1:0", same[32];
    int socket = listen_at(any);

    (void)state;
    snprintf(same, sizeof(same), "127.0.0.1:%u", ntohs(port_of(socket)));
    int client = connect_client(socket);
    close(accept(socket, NULL, NULL));
    close(client);
    close(socket);
    close(listen_at(same));
}

/* The kernel chooses two ports: IPv4 at the second one is not left to the first address. */
static void two_addresses_with_port_0(void **state)
{
    char v4[] = "127.0.0.1:0", all[] = "[::]:0";
    int sockets[2], r = http_listen_open((char *[]){v4, all}, 2, sockets);

    (void)state;
    if (r == -EAFNOSUPPORT)
        skip();
    assert_int_equal(r, 0);
    for (unsigned i = 0; i < LENGTH(sockets); i++) {
        close(connect_client(sockets[i]));
        close(sockets[i]);
    }
}

static void all_addresses_where_there_is_no_ipv6(void **state)
{
    static const int errors[][2] = {{EAFNOSUPPORT, 0}, {0, EADDRNOTAVAIL}};

    (void)state;
    for (unsigned i = 0; i < LENGTH(errors); i++) {
        char all[] = ":0";
        socket_error = errors[i][0];
        bind_error = errors[i][1];
        int socket = listen_at(all);
        close(connect_client(socket));
        close(socket);
    }
    socket_error = bind_error = 0;
}

static void an_address_that_is_taken_is_named(void **state)
{
    char any[] = "127.0.0.1:0", taken[32], line[256], expected[128];
    int socket = listen_at(any), sockets[3], before;
    unsigned descriptors = count_descriptors();

    (void)state;
    snprintf(taken, sizeof(taken), "127.0.0.1:%u", ntohs(port_of(socket)));
    int capture = divert(stderr, &before);
    int r = http_listen_open((char *[]){any, taken, any}, LENGTH(sockets), sockets);
    restore(stderr, before, capture, line, sizeof(line));
    snprintf(expected, sizeof(expected), "cannot listen on %s: Address already in use\n", taken);
    assert_int_equal(r, -EADDRINUSE);
    assert_non_null(strstr(line, expected));
    assert_int_equal(count_descriptors(), descriptors);
    close(socket);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_is_free_after_its_program_has_closed_connections),
        cmocka_unit_test(two_addresses_with_port_0),
        cmocka_unit_test(all_addresses_where_there_is_no_ipv6),
        cmocka_unit_test(an_address_that_is_taken_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

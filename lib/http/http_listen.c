#include "http_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "common/address.h"
#include "common/log.h"

#define BACKLOG 512

int http_listen_check(const char *address)
{
    struct address parts;

    return address_split(address, &parts);
}

static int listen_on(const struct addrinfo *info, bool both_families)
{
    const int on = 1, only_v6 = !both_families;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    /* Connections to an earlier process may linger at the address. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (info->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6));
    if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

/* True for [::]. */
static bool is_any_v6(const struct address *address)
{
    struct in6_addr v6;

    return address->bracketed && inet_pton(AF_INET6, address->host, &v6) == 1 &&
           IN6_IS_ADDR_UNSPECIFIED(&v6);
}

/* Listen on all addresses, with one socket for both families. It is for IPv6 alone if `only_v6`, or
 * if the address is [::] and another program has the port for IPv4; and for IPv4 alone if there is
 * no IPv6 and the address is not [::]. */
static int listen_on_all(const struct address *address, bool only_v6)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(address->number)};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(address->number)};
    const struct addrinfo both = {
        .ai_family = AF_INET6, .ai_addr = (struct sockaddr *)&v6, .ai_addrlen = sizeof(v6)};
    const struct addrinfo one = {
        .ai_family = AF_INET, .ai_addr = (struct sockaddr *)&v4, .ai_addrlen = sizeof(v4)};
    int fd = listen_on(&both, !only_v6);

    if (!is_any_v6(address))
        return fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL ? listen_on(&one, false) : fd;
    if (fd == -EADDRINUSE && !only_v6) {
        fd = listen_on(&both, false);
        if (fd >= 0)
            log_line("[::]:%s is for IPv6 only: another program has the port of IPv4",
                     address->port);
    }
    return fd;
}

/* True if one of the addresses is an IPv4 address with this port. */
static bool has_v4(char *const *addresses, unsigned count, uint16_t port)
{
    struct address parts;
    struct in_addr v4;

    for (unsigned i = 0; port && i < count; i++) {
        if (address_split(addresses[i], &parts) == 0 && parts.number == port &&
            inet_pton(AF_INET, parts.host, &v4) == 1)
            return true;
    }
    return false;
}

/* Open a listening socket for one of the addresses. Returns the descriptor, or a negative errno. */
static int open_socket(const char *address, char *const *addresses, unsigned count)
{
    const struct addrinfo hints = {
        .ai_flags = AI_NUMERICSERV,
        .ai_socktype = SOCK_STREAM,
    };
    struct address parts;
    struct addrinfo *found;
    int r = address_split(address, &parts);

    if (r < 0)
        return r;
    if (!*parts.host || is_any_v6(&parts))
        return listen_on_all(&parts, has_v4(addresses, count, parts.number));
    if (getaddrinfo(parts.host, parts.port, &hints, &found) != 0)
        return -ENOENT;
    r = listen_on(found, false);
    freeaddrinfo(found);
    return r;
}

int http_listen_open(char *const *addresses, unsigned count, int *ret_sockets)
{
    unsigned opened = 0;
    int r = 0;

    while (r >= 0 && opened < count) {
        r = open_socket(addresses[opened], addresses, count);
        if (r >= 0)
            ret_sockets[opened++] = r;
    }
    if (r >= 0)
        return 0;
    log_line("cannot listen on %s: %s", addresses[opened],
             r == -ENOENT ? "no such host" : strerror(-r));
    while (opened)
        close(ret_sockets[--opened]);
    return r;
}

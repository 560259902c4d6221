#include "http_listen.h"

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

/* Listen on all addresses: on both families with one socket, or on IPv4 where there is no IPv6. */
static int listen_on_all(uint16_t port)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct addrinfo both = {
        .ai_family = AF_INET6, .ai_addr = (struct sockaddr *)&v6, .ai_addrlen = sizeof(v6)};
    struct addrinfo one = {
        .ai_family = AF_INET, .ai_addr = (struct sockaddr *)&v4, .ai_addrlen = sizeof(v4)};

    v6.sin6_port = v4.sin_port = htons(port);
    int fd = listen_on(&both, true);
    return fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL ? listen_on(&one, false) : fd;
}

/* Open a listening socket. Returns the descriptor, or a negative errno. */
static int open_socket(const char *address)
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
    if (!*parts.host)
        return listen_on_all(parts.number);
    if (getaddrinfo(parts.host, parts.port, &hints, &found) != 0)
        return -ENOENT;
    r = listen_on(found, false);
    freeaddrinfo(found);
    return r;
}

int http_listen_open(const char *address)
{
    int r = open_socket(address);

    if (r < 0)
        log_line("cannot listen on %s: %s", address, r == -ENOENT ? "no such host" : strerror(-r));
    return r;
}

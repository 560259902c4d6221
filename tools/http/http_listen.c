#include "http_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 512

struct listen_address {
    char host[256]; /* empty: all addresses */
    char port[6];
};

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits >= 1 && digits <= 5 && !text[digits] && strtol(text, NULL, 10) <= UINT16_MAX;
}

static int split(const char *text, struct listen_address *ret)
{
    bool bracketed = text[0] == '[';
    const char *host = text + bracketed;
    const char *end = bracketed ? strchr(host, ']') : strchr(host, ':');

    if (!end || (bracketed && end == host) || (size_t)(end - host) >= sizeof(ret->host) ||
        end[bracketed] != ':' || !is_port(end + bracketed + 1))
        return -EINVAL;
    memcpy(ret->host, host, (size_t)(end - host));
    ret->host[end - host] = '\0';
    strcpy(ret->port, end + bracketed + 1);
    return 0;
}

int http_listen_check(const char *address)
{
    struct listen_address parts;

    return split(address, &parts);
}

static int listen_on(const struct addrinfo *info, bool both_families)
{
    const int on = 1, only_v6 = !both_families;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* over connections that linger */
    if (info->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6));
    if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

/* Listen on all addresses: on both families with one socket, or IPv4 where there is no other. */
static int listen_on_all(const char *port)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct addrinfo both = {
        .ai_family = AF_INET6, .ai_addr = (struct sockaddr *)&v6, .ai_addrlen = sizeof(v6)};
    struct addrinfo one = {
        .ai_family = AF_INET, .ai_addr = (struct sockaddr *)&v4, .ai_addrlen = sizeof(v4)};

    v6.sin6_port = v4.sin_port = htons((uint16_t)strtol(port, NULL, 10));
    int fd = listen_on(&both, true);
    return fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL ? listen_on(&one, false) : fd;
}

int http_listen_open(const char *address)
{
    const struct addrinfo hints = {
        .ai_flags = AI_NUMERICSERV,
        .ai_socktype = SOCK_STREAM,
    };
    struct listen_address parts;
    struct addrinfo *found;
    int r = split(address, &parts);

    if (r < 0)
        return r;
    if (!*parts.host)
        return listen_on_all(parts.port);
    if (getaddrinfo(parts.host, parts.port, &hints, &found) != 0)
        return -ENOENT;
    r = listen_on(found, false);
    freeaddrinfo(found);
    return r;
}

int http_listen_format(int socket, char ret[HTTP_LISTEN_TEXT_SIZE])
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t length = sizeof(address);
    char host[INET6_ADDRSTRLEN];

    if (getsockname(socket, &address.any, &length) < 0)
        return -errno;
    bool v6 = address.any.sa_family == AF_INET6;
    const void *bytes = v6 ? (const void *)&address.v6.sin6_addr : &address.v4.sin_addr;
    if (!inet_ntop(address.any.sa_family, bytes, host, sizeof(host)))
        return -errno;
    snprintf(ret, HTTP_LISTEN_TEXT_SIZE, v6 ? "[%s]:%u" : "%s:%u", host,
             ntohs(v6 ? address.v6.sin6_port : address.v4.sin_port));
    return 0;
}

/* address.h - HOST:PORT, as people write it, and what a socket is bound to in that form. */
#ifndef PRESENCE_ADDRESS_H
#define PRESENCE_ADDRESS_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define ADDRESS_HOST_SIZE 256 /* bytes, with the terminator: a DNS name has at most 253 */
#define ADDRESS_PORT_SIZE 6
#define ADDRESS_SIZE      (ADDRESS_HOST_SIZE + ADDRESS_PORT_SIZE + 2)

/* HOST:PORT in its two parts. Whether the host exists is not looked at. */
struct address {
    char host[ADDRESS_HOST_SIZE];
    char port[ADDRESS_PORT_SIZE]; /* 1 to 5 digits */
    bool bracketed;               /* the host was in brackets, which are left out: of IPv6 */
    uint16_t number;              /* of the port */
};

/* A port from 0 to 65535 in decimal. Errors: -EINVAL. */
static inline int address_port(const char *text, uint16_t *ret)
{
    size_t digits = strspn(text, "0123456789");
    unsigned number = 0;

    if (digits < 1 || digits >= ADDRESS_PORT_SIZE || text[digits])
        return -EINVAL;
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (unsigned)(text[i] - '0');
    if (number > UINT16_MAX)
        return -EINVAL;
    *ret = (uint16_t)number;
    return 0;
}

/* Split "HOST:PORT" or "[HOST]:PORT". ":PORT" has an empty host. Any thread.
 * Errors: -EINVAL, it is not of that form. */
static inline int address_split(const char *text, struct address *ret)
{
    struct address address = {.bracketed = text[0] == '['};
    const char *host = text + address.bracketed;
    const char *end = strchr(host, address.bracketed ? ']' : ':');

    if (!end || (address.bracketed && end == host) || end - host >= ADDRESS_HOST_SIZE ||
        end[address.bracketed] != ':')
        return -EINVAL;
    const char *port = end + address.bracketed + 1;
    if (address_port(port, &address.number) < 0)
        return -EINVAL;
    memcpy(address.host, host, (size_t)(end - host));
    strcpy(address.port, port);
    *ret = address;
    return 0;
}

/* The same for where to send: neither the host nor the port is left to chance. */
static inline int address_split_peer(const char *text, struct address *ret)
{
    struct address address;

    if (address_split(text, &address) < 0 || !address.host[0] || address.number == 0)
        return -EINVAL;
    *ret = address;
    return 0;
}

/* Write the IPv4 or IPv6 address that a socket is bound to, in that form. Any thread.
 * Errors: -EAFNOSUPPORT; those of getsockname. */
static inline int address_bound(int socket, char ret[ADDRESS_SIZE])
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
    snprintf(ret, ADDRESS_SIZE, v6 ? "[%s]:%u" : "%s:%u", host,
             ntohs(v6 ? address.v6.sin6_port : address.v4.sin_port));
    return 0;
}

#endif

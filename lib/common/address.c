#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int address_port(const char *text, uint16_t *ret)
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

int address_split(const char *text, struct address *ret)
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

int address_split_peer(const char *text, struct address *ret)
{
    struct address address;

    if (address_split(text, &address) < 0 || !address.host[0] || address.number == 0)
        return -EINVAL;
    *ret = address;
    return 0;
}

int address_bound(int socket, char ret[ADDRESS_SIZE])
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
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

uint16_t address_get_port(const struct sockaddr_storage *address)
{
    struct sockaddr_in v4;

    memcpy(&v4, address, sizeof(v4)); /* same offset for IPv6 */
    return ntohs(v4.sin_port);
}

void address_set_port(struct sockaddr_storage *address, uint16_t port)
{
    const in_port_t number = htons(port);

    memcpy((char *)address + offsetof(struct sockaddr_in, sin_port), &number, sizeof(number));
}

/* Return the address without its port. One of IPv4 is at the beginning of the bytes. */
static struct in6_addr host_of(const struct sockaddr_storage *address)
{
    struct in6_addr host = IN6ADDR_ANY_INIT;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    memcpy(&v4, address, sizeof(v4));
    memcpy(&v6, address, sizeof(v6));
    if (address->ss_family == AF_INET6)
        return v6.sin6_addr;
    memcpy(&host, &v4.sin_addr, sizeof(v4.sin_addr));
    return host;
}

bool address_is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    struct in6_addr host_a = host_of(a), host_b = host_of(b);

    return a->ss_family == b->ss_family && address_get_port(a) == address_get_port(b) &&
           IN6_ARE_ADDR_EQUAL(&host_a, &host_b);
}

bool address_conflicts(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    struct in6_addr host_a = host_of(a), host_b = host_of(b);
    uint16_t port = address_get_port(a);

    return a->ss_family == b->ss_family && port != 0 && port == address_get_port(b) &&
           (IN6_ARE_ADDR_EQUAL(&host_a, &host_b) || IN6_IS_ADDR_UNSPECIFIED(&host_a) ||
            IN6_IS_ADDR_UNSPECIFIED(&host_b));
}

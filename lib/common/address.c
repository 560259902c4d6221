#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
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

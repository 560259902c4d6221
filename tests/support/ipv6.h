/* ipv6.h - whether this machine has IPv6 at all. */
#ifndef PRESENCE_TESTS_IPV6_H
#define PRESENCE_TESTS_IPV6_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

/* True if its loopback has an IPv6 address. */
static inline bool has_ipv6(void)
{
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int probe = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (probe < 0)
        return false;
    bool has = bind(probe, (struct sockaddr *)&loopback, sizeof(loopback)) == 0;
    close(probe);
    return has;
}

#endif

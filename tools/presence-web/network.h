/* network.h - addresses, and the networks that they are in. */
#ifndef PRESENCE_WEB_NETWORK_H
#define PRESENCE_WEB_NETWORK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* An IPv6 address in network byte order; IPv4 mapped into it (::ffff:0:0/96). */
struct host {
    uint8_t bytes[16];
};

struct network {
    struct host first;
    unsigned bits; /* of the prefix, 0 to 128 */
};

/* Read a numeric address: 192.0.2.1 or 2001:db8::1. False: it is none. */
bool host_read(const char *text, struct host *ret);

/* The address of a socket's other end; all zeroes for a family that has none. */
struct host host_of(const struct sockaddr *address);

bool host_is_v4(const struct host *host);

/* Read ADDRESS or ADDRESS/BITS. False: it is none. */
bool network_read(const char *text, struct network *ret);

bool network_contains(const struct network *network, const struct host *host);

#endif

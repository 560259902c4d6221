/* address.h - parse HOST:PORT, and format the address of a socket. All functions: any thread. */
#ifndef PRESENCE_ADDRESS_H
#define PRESENCE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#define ADDRESS_HOST_SIZE 256 /* bytes, with the terminator: a DNS name has at most 253 */
#define ADDRESS_PORT_SIZE 6
#define ADDRESS_SIZE      (ADDRESS_HOST_SIZE + ADDRESS_PORT_SIZE + 2)

/* HOST:PORT in its two parts. The host need not exist. */
struct address {
    char host[ADDRESS_HOST_SIZE];
    char port[ADDRESS_PORT_SIZE]; /* 1 to 5 digits */
    bool bracketed;  /* the host was in brackets, as IPv6 addresses are; `host` has none */
    uint16_t number; /* of the port */
};

/* Parse a port from 0 to 65535 in decimal. Errors: -EINVAL. */
int address_port(const char *text, uint16_t *ret);

/* Split "HOST:PORT" or "[HOST]:PORT". ":PORT" has an empty host. Errors: -EINVAL. */
int address_split(const char *text, struct address *ret);

/* Split the address of a peer: the host is not empty and the port is not 0. Errors: -EINVAL. */
int address_split_peer(const char *text, struct address *ret);

/* Format the IPv4 or IPv6 address that a socket is bound to. Errors: -EAFNOSUPPORT; those of
 * getsockname. */
int address_bound(int socket, char ret[ADDRESS_SIZE]);

#endif

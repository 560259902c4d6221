/* address.h - parse HOST:PORT; format and compare addresses of sockets. All functions: any thread.
 */
#ifndef PRESENCE_ADDRESS_H
#define PRESENCE_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

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

/* Get or set the port of an IPv4 or IPv6 address. */
uint16_t address_get_port(const struct sockaddr_storage *address);
void address_set_port(struct sockaddr_storage *address, uint16_t port);

/* True if both are the same IPv4 or IPv6 address, and the same port. */
bool address_is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

/* True if no socket can be bound to one of them while another is bound to the other: they have the
 * same port, not 0, and the same address, or one has all addresses of the family. */
bool address_conflicts(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

#endif

/* networks.h - parse addresses and networks, and build sets of networks. All functions but those
 * that build and free a set: any thread. */
#ifndef PRESENCE_NETWORKS_H
#define PRESENCE_NETWORKS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define NETWORKS_MAX 1024

/* An IPv6 address in network byte order, or an IPv4 address mapped into it (::ffff:0:0/96). */
struct host {
    uint8_t bytes[16];
};

/* A network as it was given; host bits are zero. */
struct network {
    bool v6;
    uint8_t bits;        /* of the prefix: 0 to 32, or to 128 */
    uint8_t address[16]; /* network byte order; of an IPv4 network the first four */
};

/* Networks as they were given. */
struct network_list {
    struct network *items; /* allocated: room for NETWORKS_MAX; NULL: there are none */
    unsigned count;
};

__extension__ typedef unsigned __int128 network_number; /* an address; IPv4: its 32 bits */

/* Addresses from `first` to `last`, both included, as numbers. */
struct network_range {
    network_number first, last;
};

/* The union of networks: sorted ranges, apart from each other. */
struct networks {
    unsigned count[2]; /* of IPv4 and of IPv6 ranges */
    struct network_range *ranges[2];
};

/* Parse a numeric address: 192.0.2.1 or 2001:db8::1. Errors: -EINVAL. */
int host_parse(const char *text, struct host *ret);

/* Get the address of a socket address. False, with `ret` left alone: it is NULL or of another
 * family than IPv4 and IPv6. */
bool host_of(const struct sockaddr *address, struct host *ret);

bool host_is_v4(const struct host *host);

/* Return the address that stands for a whole client: an IPv4 address itself, of an IPv6 address its
 * /64, since whoever has one of those has all of it. */
struct host host_client(const struct host *host);

/* Parse "10.0.0.0/8", "2001:db8::/32", or an address alone, which is a network of one. Host bits
 * are cleared; an IPv4-mapped IPv6 network of 96 bits and more becomes the IPv4 one. Errors:
 * -EINVAL. */
int network_parse(const char *text, struct network *ret);

/* True if the host is in the network. ::/0 has IPv4 hosts, too. */
bool network_contains(const struct network *network, const struct host *host);

/* Parse a network (network_parse) and add it; release the list with network_list_free. Errors:
 * -EINVAL it is malformed; -ENOSPC there are NETWORKS_MAX; -ENOMEM. */
int network_list_add(struct network_list *list, const char *text);

void network_list_free(struct network_list *list);

/* True if both have the same networks in the same order. */
bool network_list_is_same(const struct network_list *a, const struct network_list *b);

/* Build a set of up to NETWORKS_MAX networks; release it with networks_free. Errors: -ENOMEM. */
int networks_build(const struct network *list, unsigned count, struct networks *ret);

void networks_free(struct networks *networks);

/* True if the address is in one of the networks. IPv4-mapped ones count as IPv4; families other
 * than IPv4 and IPv6, and NULL, are in none. */
bool networks_contain(const struct networks *networks, const struct sockaddr *address);

#endif

/* networks.h - which addresses heartbeats may come from (--allow). */
#ifndef PRESENCED_NETWORKS_H
#define PRESENCED_NETWORKS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define NETWORKS_MAX 1024

/* A network as it was given; host bits are zero. */
struct network {
    bool v6;
    uint8_t bits;        /* of the prefix: 0 to 32, or to 128 */
    uint8_t address[16]; /* network byte order; of an IPv4 network the first four */
};

__extension__ typedef unsigned __int128 network_number; /* an address; IPv4: its 32 bits */

/* Neighbours from `first` to `last`, both included, as numbers. */
struct network_range {
    network_number first, last;
};

/* The union of networks: with nothing but permissions, the longest prefix that matches says the
 * same as any that does. Ranges are sorted and apart from each other. */
struct networks {
    unsigned count[2]; /* of IPv4 and of IPv6 ranges */
    struct network_range *ranges[2];
};

/* Read "10.0.0.0/8", "2001:db8::/32", or an address alone, which is a network of one. Host bits are
 * cleared. An IPv4-mapped IPv6 network of 96 bits and more is the IPv4 one. -EINVAL. */
int network_parse(const char *text, struct network *ret);

/* Prepare up to NETWORKS_MAX networks for searching; to be freed with networks_free. -ENOMEM. */
int networks_build(const struct network *list, unsigned count, struct networks *ret);

void networks_free(struct networks *networks);

/* Is the address in one of the networks? IPv4-mapped ones count as IPv4; families other than IPv4
 * and IPv6, and NULL, are in none. Any thread. */
bool networks_contain(const struct networks *networks, const struct sockaddr *address);

#endif

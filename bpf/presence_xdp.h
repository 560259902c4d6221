/* presence_xdp.h - the contract between the XDP program and its loader. For both: no libc. */
#ifndef PRESENCE_XDP_H
#define PRESENCE_XDP_H

#include <stdbool.h>
#include <stdint.h>

#define PRESENCE_XDP_ENDPOINTS 16    /* of each IP version */
#define PRESENCE_XDP_SENDERS   65536 /* that have a rate; beyond, the least recent is forgotten */

/* One address and port that the collector listens at. */
struct presence_xdp_endpoint {
    uint32_t words[4]; /* its address in network byte order; IPv4: only the first */
    uint16_t port;     /* network byte order */
    bool any;          /* at any address */
};

/* Read-only data, set before the program is loaded.
 *
 * Trains: in generic mode, and with some drivers, the program gets packets after the kernel has
 * merged datagrams of one flow, or before it has segmented a run that a program of this machine, or
 * a virtual machine, has sent (UDP_GRO, UDP_SEGMENT in udp(7)). Such a packet is dropped only if
 * nothing in it would be counted; the collector judges its datagrams.
 */
struct presence_xdp_config {
    uint32_t v4_count, v6_count;
    struct presence_xdp_endpoint v4[PRESENCE_XDP_ENDPOINTS], v6[PRESENCE_XDP_ENDPOINTS];
    bool has_networks;    /* only senders in the prefix maps pass */
    bool trains;          /* packets may be trains; see above */
    uint32_t sender_rate; /* datagrams a second of a sender; 0: no limit */
};

/* The program's decision on a datagram to the collector. */
enum presence_xdp_fate {
    PRESENCE_XDP_PASSED,
    PRESENCE_XDP_SENDER, /* dropped, from here on */
    PRESENCE_XDP_SENDER_RATE,
    PRESENCE_XDP_VERSION,
    PRESENCE_XDP_MALFORMED,
    PRESENCE_XDP_VISITOR,
    PRESENCE_XDP_FATES,
};

/* Each processor counts by fate in a cache line of its own: an array map of 64-bit numbers, which
 * the loader reads from mapped memory. */
#define PRESENCE_XDP_COUNTERS 8

_Static_assert(PRESENCE_XDP_FATES <= PRESENCE_XDP_COUNTERS, "fates have room");

/* Keys of the maps of allowed networks (longest prefix match). */
struct presence_xdp_v4_prefix {
    uint32_t bits;
    uint8_t address[4];
};

struct presence_xdp_v6_prefix {
    uint32_t bits;
    uint8_t address[16];
};

#endif

/* presence_spread.h - the contract between the program that assigns senders to workers and its
 * loader. For both: no libc. */
#ifndef PRESENCE_SPREAD_H
#define PRESENCE_SPREAD_H

#include <stdint.h>

/* With its lock and its time, a bucket fills two cache lines. */
#define PRESENCE_SPREAD_SLOTS   7
#define PRESENCE_SPREAD_BUCKETS 8192 /* 57,344 senders in 1 MB; a power of two */

/* A sender keeps its worker until it was silent for that long, nanoseconds. By then none of its
 * former datagrams waits in a socket, so another worker keeps its order, too. */
#define PRESENCE_SPREAD_SILENCE UINT64_C(10000000000)

/* Read-only data, set before the program is loaded. */
struct presence_spread_config {
    uint64_t secret;  /* keeps senders from choosing their bucket */
    uint64_t silence; /* nanoseconds */
    uint32_t workers; /* 1 or more */
    uint32_t buckets; /* a power of two */
};

/* What programs share beside the senders. A program that is loaded later, perhaps by another
 * daemon, knows the senders again by the secret. */
struct presence_spread_shared {
    uint64_t secret; /* of their configurations */
    uint32_t turn;   /* how many workers were assigned in turn */
    uint32_t unused;
};

#endif

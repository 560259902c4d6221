/* receive_engine.h - what the receive engines share; private to receive*.c. */
#ifndef PRESENCED_RECEIVE_ENGINE_H
#define PRESENCED_RECEIVE_ENGINE_H

#include <stddef.h>

#include "receive.h"

/* No UDP payload and no train of UDP_GRO is longer. */
#define RECEIVE_DATA_BYTES 65536u

/* Before the data, for what an engine puts there; keeps the data aligned to a cache line. */
#define RECEIVE_HEADROOM_BYTES 128u

/* From one buffer to the next: no multiple of a page, so that the beginnings, all that most
 * datagrams touch, do not compete for the same sets of the cache. */
#define RECEIVE_STRIDE_BYTES  (RECEIVE_DATA_BYTES + 4096u + 192u)

#define RECEIVE_SOURCE_BYTES  32u                     /* a sockaddr_in6, rounded up to 8 */
#define RECEIVE_CONTROL_BYTES CMSG_SPACE(sizeof(int)) /* the length of a train's segments */

/* So many arrivals in one burst are company: the next wait is a moderated one. */
#define RECEIVE_COMPANY 2

/* How long datagrams gather in a moderated wait, nanoseconds. */
#define RECEIVE_GATHER_NS 1000000

struct receive_operations {
    const char *name;
    int (*wait)(struct receiver *receiver); /* fills `buffers`; they were released before */
    void (*release)(struct receiver *receiver);
    void (*close)(struct receiver *receiver); /* frees the receiver too, not `wake` */
};

/* The first member of each engine's own structure. */
struct receiver {
    const struct receive_operations *operations;
    struct receive_buffer *buffers; /* what was handed over */
    unsigned count;
    int wake; /* an eventfd; readable once somebody called receiver_wake */
    int fallback;
    bool moderated; /* datagrams arrive in company */
    struct receive_statistics statistics;
};

int receive_io_uring_open(const struct receive_options *options, const int *sockets, unsigned count,
                          int wake, struct receiver **ret);
int receive_recvmmsg_open(const struct receive_options *options, const int *sockets, unsigned count,
                          int wake, struct receiver **ret);

/* Untouched memory for `count` buffers, NULL if there is none; and back. */
uint8_t *receive_memory_map(unsigned count);
void receive_memory_unmap(uint8_t *memory, unsigned count);

/* Where buffer `index` has its data. */
static inline uint8_t *receive_memory_data(uint8_t *memory, unsigned index)
{
    return memory + (size_t)RECEIVE_STRIDE_BYTES * index + RECEIVE_HEADROOM_BYTES;
}

/* The length of a train's segments from its control message (udp(7), UDP_GRO), or `length` if
 * there is none or it makes no sense: then it is one datagram. */
uint32_t receive_segment_bytes(const void *control, size_t control_bytes, uint32_t length);

/* The address if `bytes` of it are enough for its family, otherwise NULL. */
const struct sockaddr *receive_source(const void *address, size_t bytes);

#endif

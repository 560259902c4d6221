/* receive_engine.h - shared by the receive engines; private to receive*.c.
 *
 * receive.c calls the engines by their receive_operations; they call receive_engine.c only.
 */
#ifndef PRESENCE_RECEIVE_ENGINE_H
#define PRESENCE_RECEIVE_ENGINE_H

#include <stddef.h>

#include "receive.h"

/* The longest UDP payload, and the longest train of UDP_GRO. */
#define RECEIVE_DATA_BYTES 65536u

/* Room for an engine's headers before the data, which stays aligned to a cache line. */
#define RECEIVE_HEADROOM_BYTES 128u

#define RECEIVE_PAGE_BYTES     4096u

/* Distance between buffers. It is no multiple of a page, so that their beginnings, all that most
 * datagrams touch, use different sets of the cache. */
#define RECEIVE_STRIDE_BYTES  (RECEIVE_DATA_BYTES + RECEIVE_PAGE_BYTES + 192u)

#define RECEIVE_SENDER_BYTES  32u                     /* a sockaddr_in6, rounded up to 8 */
#define RECEIVE_CONTROL_BYTES CMSG_SPACE(sizeof(int)) /* the length of a train's segments */

/* After a burst of so many arrivals the next wait is a moderated one. */
#define RECEIVE_COMPANY 2

/* The time for which datagrams gather in a moderated wait, nanoseconds. */
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
    int wake; /* an eventfd; readable after receiver_wake */
    int fallback;
    int64_t limit_ns; /* of a wait that isn't moderated; negative: none */
    bool moderated;   /* the last wait brought a burst */
    uint8_t *memory;  /* of all buffers */
    size_t memory_bytes;
    bool has_trains; /* longer than a page came */
    bool is_huge;    /* the memory may have huge pages */
    struct receive_statistics statistics;
};

int receive_io_uring_open(const struct receive_options *options, const int *sockets, unsigned count,
                          int wake, struct receiver **ret);
int receive_recvmmsg_open(const struct receive_options *options, const int *sockets, unsigned count,
                          int wake, struct receiver **ret);

/* Map untouched memory for `count` buffers; -ENOMEM. And unmap it, if there is any. */
int receive_memory_map(struct receiver *receiver, unsigned count);
void receive_memory_unmap(struct receiver *receiver);

/* Once trains come, which touch all pages of their buffers, map it anew with huge pages
 * (madvise(2)): touching a page for the first time is dear, above all in a virtual machine, where
 * it can be a first time again whenever somebody looks for idle memory. What the buffers hold is
 * lost. */
void receive_memory_fit(struct receiver *receiver);

/* Return the address of buffer `index`'s data. */
static inline uint8_t *receive_memory_data(const struct receiver *receiver, unsigned index)
{
    return receiver->memory + (size_t)RECEIVE_STRIDE_BYTES * index + RECEIVE_HEADROOM_BYTES;
}

/* Note the length of what was received. */
static inline void receive_note_length(struct receiver *receiver, uint32_t length)
{
    receiver->has_trains |= length > RECEIVE_PAGE_BYTES;
}

/* Return the length of a train's segments from its control message (udp(7), UDP_GRO), or `length`
 * if there is no valid one: then the buffer holds one datagram. */
uint32_t receive_segment_bytes(const void *control, size_t control_bytes, uint32_t length);

/* Return the address if `bytes` of it are enough for its family, otherwise NULL. */
const struct sockaddr *receive_sender(const void *address, size_t bytes);

#endif

/* receive.h - datagrams in moderated bursts, by io_uring or by recvmmsg.
 *
 * A receiver that is idle waits for the first arrival, without a timeout. Once datagrams arrive in
 * company it lets them gather for a millisecond and takes them together: waking for each costs more
 * than receiving it.
 *
 * A receiver is used by the thread that opened it: the ring has one issuer (io_uring_setup(2),
 * IORING_SETUP_SINGLE_ISSUER). Only receiver_wake may be called from elsewhere. Different receivers
 * are independent.
 */
#ifndef PRESENCED_RECEIVE_H
#define PRESENCED_RECEIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* What arrived at once: a datagram, or with UDP_GRO a train of them back to back. */
struct receive_buffer {
    const uint8_t *data;    /* aligned to 64 bytes */
    uint32_t length;        /* bytes, at most 65,536; 0: an empty datagram */
    uint32_t segment_bytes; /* of each datagram but the last, which may be shorter; `length` if
                               there is only one */
    const struct sockaddr *source; /* IPv4 or IPv6; NULL unless asked for */
};

enum receive_engine {
    RECEIVE_AUTO = 0, /* io_uring, or recvmmsg where that is not to be had */
    RECEIVE_IO_URING, /* needs Linux 6.1, and a container that permits it */
    RECEIVE_RECVMMSG,
};

struct receive_options {
    enum receive_engine engine;
    bool want_source; /* costs a copy of the address a datagram */
};

struct receive_statistics {
    uint64_t rearmed;           /* multishot receives that ended and were started again */
    uint64_t buffers_exhausted; /* of these, because all buffers were in use: nothing is lost, the
                                   rest waits in the socket */
    uint64_t truncated;         /* datagrams longer than a buffer; counted here instead of handed
                                   over */
};

struct receiver;

/* Receive from `count` blocking UDP sockets, which stay the caller's and open until
 * receiver_close. Errors: -EINVAL; -ENOMEM; with RECEIVE_IO_URING those of io_uring_setup(2), e.g.
 * -EPERM or -ENOSYS; those of eventfd(2). */
int receiver_open(const struct receive_options *options, const int *sockets, unsigned count,
                  struct receiver **ret);

/* Cancel what is in flight, so that closed sockets free their ports at once, and free everything;
 * what was handed over becomes invalid. NULL is fine. */
void receiver_close(struct receiver *receiver);

/* "io_uring" or "recvmmsg". Any thread. */
const char *receiver_engine(const struct receiver *receiver);

/* Why RECEIVE_AUTO could not take io_uring: a positive errno; 0 otherwise. Any thread. */
int receiver_fallback(const struct receiver *receiver);

/* Wait until something arrives or receiver_wake is called. Gives what arrived, in each socket's
 * order; none after a wake or a signal, and once when a stream of arrivals ends. Buffers are valid
 * until receiver_release, or until the next wait, which releases them. Errors: of receiving, other
 * than those that pass by themselves; what came before them is handed over first, and they come
 * again if they last. */
int receiver_wait(struct receiver *receiver, const struct receive_buffer **ret_buffers,
                  unsigned *ret_count);

/* Give the buffers of the last wait back. */
void receiver_release(struct receiver *receiver);

/* Make the current wait, or else the next, return soon (within about a millisecond). Any thread, or
 * a signal handler; not after receiver_close has begun. */
void receiver_wake(const struct receiver *receiver);

/* Totals since receiver_open. */
struct receive_statistics receiver_statistics(const struct receiver *receiver);

#endif

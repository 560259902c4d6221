/* receive.h - receive datagrams in moderated bursts, by io_uring or recvmmsg.
 *
 * An idle receiver waits for the first arrival, without a timeout. After a burst it moderates: it
 * lets datagrams gather for a millisecond and receives them together, since waking up for each
 * costs more than receiving it.
 *
 * A receiver belongs to the thread that opened it: the ring has one issuer (io_uring_setup(2),
 * IORING_SETUP_SINGLE_ISSUER). Only receiver_wake may be called from elsewhere. Different receivers
 * are independent.
 */
#ifndef PRESENCE_RECEIVE_H
#define PRESENCE_RECEIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* One arrival: a datagram, or with UDP_GRO a train of them back to back. */
struct receive_buffer {
    const uint8_t *data;    /* aligned to 64 bytes */
    uint32_t length;        /* bytes, at most 65,536; 0: an empty datagram */
    uint32_t segment_bytes; /* of each datagram but the last, which may be shorter; `length` if
                               there is only one */
    const struct sockaddr *sender; /* IPv4 or IPv6; NULL unless asked for */
};

/* Return the length of the datagram at `offset`, which is below `length`, or 0 in an empty buffer.
 */
static inline uint32_t receive_buffer_cut(const struct receive_buffer *buffer, uint32_t offset)
{
    uint32_t rest = buffer->length - offset;

    return buffer->segment_bytes && buffer->segment_bytes < rest ? buffer->segment_bytes : rest;
}

enum receive_engine {
    RECEIVE_AUTO = 0, /* io_uring, or recvmmsg if that fails */
    RECEIVE_IO_URING, /* needs Linux 6.1, and a container that permits it */
    RECEIVE_RECVMMSG,
};

struct receive_options {
    enum receive_engine engine;
    bool want_sender; /* costs a copy of the address per datagram */
};

struct receive_statistics {
    uint64_t rearmed;           /* multishot receives that ended and were restarted */
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

/* Cancel pending receives, so that closed sockets free their ports at once, and free everything,
 * including the buffers of the last wait. What no wait has returned stays in the sockets. NULL is
 * fine. */
void receiver_close(struct receiver *receiver);

/* Return "io_uring" or "recvmmsg". Any thread. */
const char *receiver_engine(const struct receiver *receiver);

/* Return why RECEIVE_AUTO could not use io_uring, as a positive errno; 0 otherwise. Any thread. */
int receiver_fallback(const struct receiver *receiver);

/* Wait for arrivals or receiver_wake. Returns what arrived, in each socket's order; nothing after a
 * wake or a signal, and once when a burst ends. The buffers are valid until receiver_release or the
 * next wait, which releases them. Errors: those of receiving, except transient ones; arrivals
 * before the error are returned first, and a lasting error is returned again. */
int receiver_wait(struct receiver *receiver, const struct receive_buffer **ret_buffers,
                  unsigned *ret_count);

/* Let the waits that follow return after `ns` nanoseconds at the latest; negative, and before the
 * first call: not before something arrives. */
void receiver_limit_wait(struct receiver *receiver, int64_t ns);

/* Release the buffers of the last wait. */
void receiver_release(struct receiver *receiver);

/* Make the current wait, or else the next, return within about a millisecond. Any thread, or a
 * signal handler; not once receiver_close was called. */
void receiver_wake(const struct receiver *receiver);

/* Return the totals since receiver_open. */
struct receive_statistics receiver_statistics(const struct receiver *receiver);

#endif

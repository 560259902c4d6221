#include <errno.h>
#include <poll.h>
#include <stdalign.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "receive_engine.h"

/* Messages per call, few enough that their buffers stay in the cache. */
#define CALL_MESSAGES 64

struct call_receiver {
    struct receiver receiver;
    bool want_sender;
    unsigned next;     /* the socket to ask next */
    unsigned drained;  /* sockets in a row, before that one, that a call emptied */
    unsigned arrivals; /* since the last wait */
    unsigned socket_count;
    struct receive_buffer buffers[CALL_MESSAGES];
    struct mmsghdr messages[CALL_MESSAGES];
    struct iovec data[CALL_MESSAGES];
    alignas(struct cmsghdr) uint8_t control[CALL_MESSAGES][RECEIVE_CONTROL_BYTES];
    alignas(8) uint8_t senders[CALL_MESSAGES][RECEIVE_SENDER_BYTES];
    struct pollfd polled[]; /* the wake, then the sockets */
};

/* Set the lengths, which the kernel overwrites, for the next call. */
static void prepare_message(struct call_receiver *self, unsigned index)
{
    struct msghdr *message = &self->messages[index].msg_hdr;

    message->msg_controllen = RECEIVE_CONTROL_BYTES;
    message->msg_namelen = self->want_sender ? RECEIVE_SENDER_BYTES : 0;
}

static void call_release(struct receiver *receiver)
{
    (void)receiver; /* the next call overwrites the buffers */
}

static void hand_over(struct call_receiver *self, unsigned index)
{
    const struct mmsghdr *message = &self->messages[index];
    const struct msghdr *header = &message->msg_hdr;

    if (header->msg_flags & (MSG_TRUNC | MSG_CTRUNC) || message->msg_len > RECEIVE_DATA_BYTES) {
        self->receiver.statistics.truncated++;
        return;
    }
    receive_note_length(&self->receiver, message->msg_len);
    self->buffers[self->receiver.count++] = (struct receive_buffer){
        .data = self->data[index].iov_base,
        .length = message->msg_len,
        .segment_bytes =
            receive_segment_bytes(self->control[index], header->msg_controllen, message->msg_len),
        .sender = receive_sender(self->senders[index], header->msg_namelen),
    };
}

/* Receive from one socket, at most CALL_MESSAGES. Returns how many datagrams or trains, or a
 * negative errno. */
static int receive_from(struct call_receiver *self, int socket)
{
    int r = recvmmsg(socket, self->messages, CALL_MESSAGES, MSG_DONTWAIT, NULL);

    if (r < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    for (unsigned i = 0; i < (unsigned)r; i++) {
        hand_over(self, i);
        prepare_message(self, i);
    }
    return r;
}

/* Receive from the sockets in turn until one had something, or all are drained. */
static int receive_from_next(struct call_receiver *self)
{
    while (self->drained < self->socket_count) {
        int socket = self->polled[1 + self->next].fd;
        self->next = (self->next + 1) % self->socket_count;
        int r = receive_from(self, socket);
        self->drained = r == CALL_MESSAGES ? 0 : self->drained + 1;
        if (r < 0)
            return r;
        self->arrivals += (unsigned)r;
        if (r > 0)
            return 0;
    }
    return 0;
}

/* Wait for an arrival or, moderated, for RECEIVE_GATHER_NS. A wake ends either. */
static int wait_for_arrivals(struct call_receiver *self)
{
    static const struct timespec gather = {.tv_nsec = RECEIVE_GATHER_NS};
    int64_t limit_ns = self->receiver.limit_ns;
    const struct timespec limit = {limit_ns / 1000000000, limit_ns % 1000000000};
    uint64_t wakes;

    self->receiver.moderated = self->arrivals >= RECEIVE_COMPANY;
    int r = self->receiver.moderated
                ? ppoll(self->polled, 1, &gather, NULL)
                : ppoll(self->polled, 1 + self->socket_count, limit_ns < 0 ? NULL : &limit, NULL);
    if (r < 0)
        return errno == EINTR ? 0 : -errno;
    if (self->polled[0].revents && read(self->receiver.wake, &wakes, sizeof(wakes)) < 0)
        return -errno;
    self->polled[0].revents = 0;
    self->drained = 0;
    self->arrivals = 0;
    return 0;
}

static int call_wait(struct receiver *receiver)
{
    struct call_receiver *self = (struct call_receiver *)receiver;

    receive_memory_fit(receiver);
    if (self->drained == self->socket_count) {
        int r = wait_for_arrivals(self);
        if (r < 0)
            return r;
    }
    return receive_from_next(self);
}

static void call_close(struct receiver *receiver)
{
    struct call_receiver *self = (struct call_receiver *)receiver;

    receive_memory_unmap(&self->receiver);
    free(self);
}

static void lay_out_messages(struct call_receiver *self)
{
    for (unsigned i = 0; i < CALL_MESSAGES; i++) {
        self->data[i] = (struct iovec){
            .iov_base = receive_memory_data(&self->receiver, i),
            .iov_len = RECEIVE_DATA_BYTES,
        };
        self->messages[i].msg_hdr = (struct msghdr){
            .msg_name = self->want_sender ? self->senders[i] : NULL,
            .msg_iov = &self->data[i],
            .msg_iovlen = 1,
            .msg_control = self->control[i],
        };
        prepare_message(self, i);
    }
}

int receive_recvmmsg_open(const struct receive_options *options, const int *sockets, unsigned count,
                          int wake, struct receiver **ret)
{
    static const struct receive_operations operations = {
        .name = "recvmmsg",
        .wait = call_wait,
        .release = call_release,
        .close = call_close,
    };
    struct call_receiver *self = calloc(1, sizeof(*self) + (1 + count) * sizeof(struct pollfd));

    if (!self)
        return -ENOMEM;
    int r = receive_memory_map(&self->receiver, CALL_MESSAGES);
    if (r < 0) {
        free(self);
        return r;
    }
    self->receiver.operations = &operations;
    self->receiver.buffers = self->buffers;
    self->receiver.wake = wake;
    self->want_sender = options->want_sender;
    self->socket_count = count;
    self->drained = count;
    self->polled[0] = (struct pollfd){.fd = wake, .events = POLLIN};
    for (unsigned i = 0; i < count; i++)
        self->polled[1 + i] = (struct pollfd){.fd = sockets[i], .events = POLLIN};
    lay_out_messages(self);
    *ret = &self->receiver;
    return 0;
}

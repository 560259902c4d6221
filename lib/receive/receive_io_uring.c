#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "receive_engine.h"

/* The kernel receives only while the ring is entered (IORING_SETUP_DEFER_TASKRUN), so this bounds
 * one burst; the rest waits in the socket. 1024 buffers cost an eighth more on trains of 64 KB,
 * since they leave the cache, and four times the memory. A power of two. */
#define RING_BUFFERS 256

/* Other completions carry the index of their socket. */
#define WAKE_DATA   UINT64_MAX
#define CANCEL_DATA (UINT64_MAX - 1)

struct ring_socket {
    int descriptor;
    bool armed; /* a multishot receive is in flight, or queued for the next wait */
};

struct ring_receiver {
    struct receiver receiver;
    struct io_uring ring;
    struct io_uring_buf_ring *provided;
    struct msghdr shape;          /* the room for sender and control before the data */
    uint32_t header_bytes;        /* struct io_uring_recvmsg_out and that room */
    bool wake_armed;              /* a read of `wake` is in flight or queued */
    uint64_t wakes;               /* what it reads */
    bool woken;                   /* receiver_wake was called since this wait began */
    bool full;                    /* the last burst used all buffers: more may wait */
    int error;                    /* to be returned by the next wait */
    uint16_t taken[RING_BUFFERS]; /* buffer ids in the order of `buffers` */
    struct receive_buffer buffers[RING_BUFFERS];
    unsigned socket_count;
    struct ring_socket sockets[];
};

static uint8_t *buffer_start(const struct ring_receiver *self, unsigned id)
{
    return receive_memory_data(&self->receiver, id) - self->header_bytes;
}

/* Offer a buffer to the kernel, `offset` places behind those it has. */
static void queue_buffer(struct ring_receiver *self, uint16_t id, int offset)
{
    io_uring_buf_ring_add(self->provided, buffer_start(self, id),
                          self->header_bytes + RECEIVE_DATA_BYTES, id,
                          io_uring_buf_ring_mask(RING_BUFFERS), offset);
}

static void ring_release(struct receiver *receiver)
{
    struct ring_receiver *self = (struct ring_receiver *)receiver;

    for (unsigned i = 0; i < receiver->count; i++)
        queue_buffer(self, self->taken[i], (int)i);
    io_uring_buf_ring_advance(self->provided, (int)receiver->count);
}

/* Hand over what the kernel wrote, `bytes` with the header (io_uring_prep_recvmsg_multishot(3)).
 * Returns false if it is damaged or was truncated. */
static bool hand_over(struct ring_receiver *self, uint16_t id, uint32_t bytes)
{
    const uint8_t *start = buffer_start(self, id);
    const uint8_t *sender = start + sizeof(struct io_uring_recvmsg_out);
    const uint8_t *control = sender + self->shape.msg_namelen;
    struct io_uring_recvmsg_out out;

    if (bytes < self->header_bytes || bytes > self->header_bytes + RECEIVE_DATA_BYTES)
        return false;
    memcpy(&out, start, sizeof(out));
    uint32_t length = bytes - self->header_bytes;
    if (out.flags & (MSG_TRUNC | MSG_CTRUNC) || out.payloadlen != length ||
        out.controllen > self->shape.msg_controllen || out.namelen > self->shape.msg_namelen)
        return false;
    receive_note_length(&self->receiver, length);
    self->taken[self->receiver.count] = id;
    self->buffers[self->receiver.count++] = (struct receive_buffer){
        .data = start + self->header_bytes,
        .length = length,
        .segment_bytes = receive_segment_bytes(control, out.controllen, length),
        .sender = receive_sender(sender, out.namelen),
    };
    return true;
}

static void handle_buffer(struct ring_receiver *self, uint16_t id, int32_t result)
{
    if (id >= RING_BUFFERS)
        return;
    if (result >= 0 && self->receiver.count < RING_BUFFERS) {
        if (hand_over(self, id, (uint32_t)result))
            return;
        self->receiver.statistics.truncated++;
    }
    queue_buffer(self, id, 0);
    io_uring_buf_ring_advance(self->provided, 1);
}

static void handle_completion(struct ring_receiver *self, const struct io_uring_cqe *cqe)
{
    if (cqe->user_data == WAKE_DATA) {
        self->wake_armed = false;
        self->woken = true;
    }
    if (cqe->user_data >= self->socket_count)
        return;
    /* The receive ended: no buffers were left, a datagram was empty, or it failed. */
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        self->sockets[cqe->user_data].armed = false;
        self->receiver.statistics.rearmed++;
    }
    if (cqe->res == -ENOBUFS)
        self->receiver.statistics.buffers_exhausted++;
    else if (cqe->res < 0 && cqe->res != -EINTR)
        self->error = cqe->res;
    if (cqe->flags & IORING_CQE_F_BUFFER)
        handle_buffer(self, (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT), cqe->res);
}

static void handle_completions(struct ring_receiver *self)
{
    const struct io_uring_cqe *cqe;
    unsigned head, count = 0;

    io_uring_for_each_cqe(&self->ring, head, cqe)
    {
        handle_completion(self, cqe);
        count++;
    }
    io_uring_cq_advance(&self->ring, count);
}

static void arm_wake(struct ring_receiver *self)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);

    if (!sqe)
        return;
    io_uring_prep_read(sqe, self->receiver.wake, &self->wakes, sizeof(self->wakes), 0);
    io_uring_sqe_set_data64(sqe, WAKE_DATA);
    self->wake_armed = true;
}

static void arm_socket(struct ring_receiver *self, unsigned index)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);

    if (!sqe)
        return;
    io_uring_prep_recvmsg_multishot(sqe, self->sockets[index].descriptor, &self->shape, 0);
    io_uring_sqe_set_flags(sqe, IOSQE_BUFFER_SELECT);
    sqe->buf_group = 0;
    io_uring_sqe_set_data64(sqe, index);
    self->sockets[index].armed = true;
}

/* Queue the requests that are not in flight. Returns true if there was any. */
static bool arm_all(struct ring_receiver *self)
{
    bool queued = !self->wake_armed;

    if (queued)
        arm_wake(self);
    for (unsigned i = 0; i < self->socket_count; i++) {
        if (self->sockets[i].armed)
            continue;
        arm_socket(self, i);
        queued = true;
    }
    return queued;
}

/* Submit what is queued and let the kernel receive, without waiting. */
static int submit(struct ring_receiver *self)
{
    int r = io_uring_submit_and_get_events(&self->ring);

    return r < 0 && r != -EINTR ? r : 0;
}

/* Handle completions and receive again, without waiting, until nothing is left. One round is not
 * enough: an empty datagram, which anybody can send, ends a receive while others wait in the
 * socket, and the kernel receives some dozens at a time. An error is kept for the next wait. */
static int drain(struct ring_receiver *self)
{
    for (;;) {
        unsigned before = self->receiver.count;
        handle_completions(self);
        self->full = self->receiver.count == RING_BUFFERS;
        if (self->full || self->error)
            return 0;
        bool cut_short = self->receiver.count - before >= RECEIVE_COMPANY;
        if (!arm_all(self) && !cut_short)
            return 0;
        int r = submit(self);
        if (r < 0)
            return r;
    }
}

/* Restart the receives that ended, and drain the sockets of what arrived meanwhile, or was left
 * when a burst used all buffers. */
static int rearm(struct ring_receiver *self)
{
    if (!arm_all(self) && !self->full)
        return 0;
    int r = submit(self);
    return r < 0 ? r : drain(self);
}

/* Submit what is queued, and wait for the first completion or the limit. */
static int submit_and_wait(struct ring_receiver *self)
{
    int64_t limit_ns = self->receiver.limit_ns;
    struct __kernel_timespec limit = {limit_ns / 1000000000, limit_ns % 1000000000};
    struct io_uring_cqe *cqe;

    if (limit_ns < 0)
        return io_uring_submit_and_wait(&self->ring, 1);
    int r = io_uring_submit_and_wait_timeout(&self->ring, &cqe, 1, &limit, NULL);
    return r == -ETIME ? 0 : r;
}

/* Wait for the first arrival or, moderated, for RECEIVE_GATHER_NS, then drain. All receives are in
 * flight meanwhile, and a wake ends either. */
static int wait_for_arrivals(struct ring_receiver *self)
{
    static const struct timespec gather = {.tv_nsec = RECEIVE_GATHER_NS};
    struct pollfd wake = {.fd = self->receiver.wake, .events = POLLIN};
    int r;

    if (!self->receiver.moderated)
        r = submit_and_wait(self);
    else if (ppoll(&wake, 1, &gather, NULL) < 0 && errno != EINTR)
        r = -errno;
    else
        r = submit(self);
    return r < 0 && r != -EINTR ? r : drain(self); /* a signal also ends the wait */
}

/* Restart the receive that an error ended, and return the error. */
static int return_error(struct ring_receiver *self)
{
    int error = self->error;

    self->error = 0;
    if (arm_all(self))
        io_uring_submit(&self->ring); /* if this fails, so does the next wait */
    return error;
}

static int ring_wait(struct receiver *receiver)
{
    struct ring_receiver *self = (struct ring_receiver *)receiver;
    self->woken = false;
    if (io_uring_cq_ready(&self->ring) == 0) /* the kernel has filled no buffer since the last wait */
        receive_memory_fit(receiver);
    int r = rearm(self);
    if (r == 0 && receiver->count == 0 && self->error == 0 && !self->woken)
        r = wait_for_arrivals(self);
    if (r < 0)
        self->error = r;
    if (receiver->count == 0 && self->error)
        return return_error(self);
    receiver->moderated = receiver->count >= RECEIVE_COMPANY;
    return 0;
}

static bool in_flight(const struct ring_receiver *self)
{
    bool armed = self->wake_armed;

    for (unsigned i = 0; i < self->socket_count; i++)
        armed |= self->sockets[i].armed;
    return armed;
}

/* Cancel all requests. They hold their sockets: if the kernel had to cancel them after the ring is
 * closed, the ports would stay in use for a while. */
static void cancel_requests(struct ring_receiver *self)
{
    struct __kernel_timespec patience = {.tv_nsec = 100000000};
    struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
    struct io_uring_cqe *cqe;

    if (!sqe)
        return;
    io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY);
    io_uring_sqe_set_data64(sqe, CANCEL_DATA);
    for (unsigned tries = 0; tries < 10 && in_flight(self); tries++) {
        io_uring_submit_and_wait_timeout(&self->ring, &cqe, 1, &patience, NULL);
        handle_completions(self);
    }
}

static void ring_free(struct ring_receiver *self)
{
    if (self->ring.ring_fd >= 0)
        io_uring_queue_exit(&self->ring);
    if (self->provided)
        munmap(self->provided, RING_BUFFERS * sizeof(struct io_uring_buf));
    receive_memory_unmap(&self->receiver);
    free(self);
}

static void ring_close(struct receiver *receiver)
{
    struct ring_receiver *self = (struct ring_receiver *)receiver;

    if (in_flight(self))
        cancel_requests(self);
    ring_free(self);
}

/* The completion queue can't overflow: a wait yields at most one per buffer and one per request. */
static int set_up_ring(struct ring_receiver *self)
{
    unsigned requests = self->socket_count + 2; /* one for the wake, one for the cancellation */
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_R_DISABLED,
        .cq_entries = RING_BUFFERS + 2 * requests,
    };
    int r = io_uring_queue_init_params(requests, &self->ring, &parameters);

    if (r < 0) {
        self->ring.ring_fd = -1;
        return r == -EINVAL ? -ENOSYS : r; /* a flag that a kernel before 6.1 does not know */
    }
    return 0;
}

static int provide_buffers(struct ring_receiver *self)
{
    void *ring = mmap(NULL, RING_BUFFERS * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (ring == MAP_FAILED)
        return -errno;
    self->provided = ring;
    int r = receive_memory_map(&self->receiver, RING_BUFFERS);
    if (r < 0)
        return r;
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)ring,
        .ring_entries = RING_BUFFERS,
    };
    r = io_uring_register_buf_ring(&self->ring, &registration, 0);
    if (r < 0)
        return r;
    io_uring_buf_ring_init(self->provided);
    for (unsigned id = 0; id < RING_BUFFERS; id++)
        queue_buffer(self, (uint16_t)id, (int)id);
    io_uring_buf_ring_advance(self->provided, RING_BUFFERS);
    return 0;
}

/* Call io_uring_register(2): liburing 2.3 declares the two calls that restrict_ring makes, but does
 * not export them. */
static int ring_register(const struct ring_receiver *self, unsigned what, const void *argument,
                         unsigned count)
{
    long r = syscall(SYS_io_uring_register, self->ring.ring_fd, what, argument, count);

    return r < 0 ? -errno : 0;
}

/* Restrict the ring to receiving, reading its wake and cancelling, then enable it
 * (io_uring_register(2), IORING_REGISTER_RESTRICTIONS): seccomp(2) does not see what a ring does.
 */
static int restrict_ring(struct ring_receiver *self)
{
    static const struct io_uring_restriction allowed[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_RECVMSG},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_ASYNC_CANCEL},
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_BUFFER_SELECT},
    };
    int r = ring_register(self, IORING_REGISTER_RESTRICTIONS, allowed,
                          sizeof(allowed) / sizeof(allowed[0]));

    return r < 0 ? r : ring_register(self, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

int receive_io_uring_open(const struct receive_options *options, const int *sockets, unsigned count,
                          int wake, struct receiver **ret)
{
    static const struct receive_operations operations = {
        .name = "io_uring",
        .wait = ring_wait,
        .release = ring_release,
        .close = ring_close,
    };
    struct ring_receiver *self = calloc(1, sizeof(*self) + count * sizeof(self->sockets[0]));

    if (!self)
        return -ENOMEM;
    self->receiver.operations = &operations;
    self->receiver.buffers = self->buffers;
    self->receiver.wake = wake;
    self->shape.msg_namelen = options->want_sender ? RECEIVE_SENDER_BYTES : 0;
    self->shape.msg_controllen = RECEIVE_CONTROL_BYTES;
    self->header_bytes = (uint32_t)(sizeof(struct io_uring_recvmsg_out) + self->shape.msg_namelen +
                                    self->shape.msg_controllen);
    self->socket_count = count;
    for (unsigned i = 0; i < count; i++)
        self->sockets[i].descriptor = sockets[i];
    int r = set_up_ring(self);
    if (r == 0)
        r = provide_buffers(self);
    if (r == 0)
        r = restrict_ring(self);
    if (r < 0) {
        ring_free(self);
        return r;
    }
    *ret = &self->receiver;
    return 0;
}

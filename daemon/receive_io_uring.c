#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "receive_engine.h"

/* Receiving happens only inside the wait (IORING_SETUP_DEFER_TASKRUN), so this bounds one burst;
 * what is beyond waits in the socket. 1024 cost an eighth more on trains of 64 KB, for the cache,
 * and four times the memory. A power of two. */
#define RING_BUFFERS 256

/* So many completions end a moderated wait early. */
#define RING_BATCH 64

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
    uint8_t *memory;
    struct msghdr shape;          /* the room for source and control before the data */
    uint32_t header_bytes;        /* struct io_uring_recvmsg_out and that room */
    bool wake_armed;              /* a read of `wake` is in flight or queued */
    uint64_t wakes;               /* what it reads */
    int error;                    /* to be returned by the next wait */
    uint16_t taken[RING_BUFFERS]; /* buffer ids of what was handed over */
    struct receive_buffer buffers[RING_BUFFERS];
    unsigned socket_count;
    struct ring_socket sockets[];
};

static uint8_t *buffer_start(const struct ring_receiver *self, unsigned id)
{
    return receive_memory_data(self->memory, id) - self->header_bytes;
}

/* Put a buffer `offset` places behind those that the kernel sees. */
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

/* Hand over what the kernel wrote: `bytes` with the header (io_uring_prep_recvmsg_multishot(3)).
 * False: it is damaged or was cut off. */
static bool hand_over(struct ring_receiver *self, uint16_t id, uint32_t bytes)
{
    const uint8_t *start = buffer_start(self, id);
    const uint8_t *source = start + sizeof(struct io_uring_recvmsg_out);
    const uint8_t *control = source + self->shape.msg_namelen;
    struct io_uring_recvmsg_out out;

    if (bytes < self->header_bytes || bytes > self->header_bytes + RECEIVE_DATA_BYTES)
        return false;
    memcpy(&out, start, sizeof(out));
    uint32_t length = bytes - self->header_bytes;
    if (out.flags & (MSG_TRUNC | MSG_CTRUNC) || out.payloadlen != length ||
        out.controllen > self->shape.msg_controllen || out.namelen > self->shape.msg_namelen)
        return false;
    self->taken[self->receiver.count] = id;
    self->buffers[self->receiver.count++] = (struct receive_buffer){
        .data = start + self->header_bytes,
        .length = length,
        .segment_bytes = receive_segment_bytes(control, out.controllen, length),
        .source = receive_source(source, out.namelen),
    };
    return true;
}

static void take_buffer(struct ring_receiver *self, uint16_t id, int32_t result)
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

static void take_completion(struct ring_receiver *self, const struct io_uring_cqe *cqe)
{
    if (cqe->user_data == WAKE_DATA)
        self->wake_armed = false;
    if (cqe->user_data >= self->socket_count)
        return;
    /* Ends by itself: without buffers, after an empty datagram, or on an error. */
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        self->sockets[cqe->user_data].armed = false;
        self->receiver.statistics.rearmed++;
    }
    if (cqe->res == -ENOBUFS)
        self->receiver.statistics.buffers_exhausted++;
    else if (cqe->res < 0 && cqe->res != -EINTR)
        self->error = cqe->res;
    if (cqe->flags & IORING_CQE_F_BUFFER)
        take_buffer(self, (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT), cqe->res);
}

static void take_completions(struct ring_receiver *self)
{
    const struct io_uring_cqe *cqe;
    unsigned head, count = 0;

    io_uring_for_each_cqe(&self->ring, head, cqe)
    {
        take_completion(self, cqe);
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

/* Wait for one completion; or, moderated, for a batch or until the time to gather is over. */
static int submit_and_wait(struct ring_receiver *self)
{
    struct __kernel_timespec gather = {.tv_nsec = RECEIVE_GATHER_NS};
    struct io_uring_cqe *cqe;
    int r = self->receiver.moderated
                ? io_uring_submit_and_wait_timeout(&self->ring, &cqe, RING_BATCH, &gather, NULL)
                : io_uring_submit_and_wait(&self->ring, 1);

    return r < 0 && r != -ETIME && r != -EINTR ? r : 0;
}

static int ring_wait(struct receiver *receiver)
{
    struct ring_receiver *self = (struct ring_receiver *)receiver;
    int r = self->error;

    self->error = 0;
    if (r < 0)
        return r;
    if (!self->wake_armed)
        arm_wake(self);
    for (unsigned i = 0; i < self->socket_count; i++)
        if (!self->sockets[i].armed)
            arm_socket(self, i);
    r = submit_and_wait(self);
    if (r < 0)
        return r;
    take_completions(self);
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

/* Requests hold their sockets: what the kernel has to cancel after the ring is closed keeps the
 * ports in use for a while. */
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
        take_completions(self);
    }
}

static void ring_free(struct ring_receiver *self)
{
    if (self->ring.ring_fd >= 0)
        io_uring_queue_exit(&self->ring);
    if (self->provided)
        munmap(self->provided, RING_BUFFERS * sizeof(struct io_uring_buf));
    receive_memory_unmap(self->memory, RING_BUFFERS);
    free(self);
}

static void ring_close(struct receiver *receiver)
{
    struct ring_receiver *self = (struct ring_receiver *)receiver;

    if (in_flight(self))
        cancel_requests(self);
    ring_free(self);
}

/* Completions can't overflow: a wait yields at most one a buffer, and one more a request. */
static int set_up_ring(struct ring_receiver *self)
{
    unsigned requests = self->socket_count + 2; /* and the wake, and the cancellation */
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
    self->memory = receive_memory_map(RING_BUFFERS);
    if (!self->memory)
        return -ENOMEM;
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)ring,
        .ring_entries = RING_BUFFERS,
    };
    int r = io_uring_register_buf_ring(&self->ring, &registration, 0);
    if (r < 0)
        return r;
    io_uring_buf_ring_init(self->provided);
    for (unsigned id = 0; id < RING_BUFFERS; id++)
        queue_buffer(self, (uint16_t)id, (int)id);
    io_uring_buf_ring_advance(self->provided, RING_BUFFERS);
    return 0;
}

/* liburing 2.3 declares the two calls that restrict_ring makes, but does not export them. */
static int ring_register(const struct ring_receiver *self, unsigned what, const void *argument,
                         unsigned count)
{
    long r = syscall(SYS_io_uring_register, self->ring.ring_fd, what, argument, count);

    return r < 0 ? -errno : 0;
}

/* A ring makes system calls that seccomp(2) does not see. From when it is enabled, this one only
 * receives, reads its wake, and cancels (io_uring_register(2), IORING_REGISTER_RESTRICTIONS). */
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
    self->shape.msg_namelen = options->want_source ? RECEIVE_SOURCE_BYTES : 0;
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

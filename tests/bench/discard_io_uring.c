/* discard_io_uring.c - a peer: the loop that people write with io_uring. A multishot recvmsg into
 * 1024 provided buffers, woken for each arrival. With --gather it does the most that is possible:
 * under load it is woken for 32 or after a millisecond. */
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#include "discard.h"

#define BUFFERS 1024
#define BYTES   (65536 + 128)
#define GATHER  32

static struct msghdr shape = {.msg_controllen = CMSG_SPACE(sizeof(int))};
static struct io_uring ring;
static struct io_uring_buf_ring *provided;
static uint8_t *memory;

static void provide(unsigned id, int offset)
{
    io_uring_buf_ring_add(provided, memory + (size_t)id * BYTES, BYTES, (unsigned short)id,
                          io_uring_buf_ring_mask(BUFFERS), offset);
}

static void arm(int socket)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

    io_uring_prep_recvmsg_multishot(sqe, socket, &shape, 0);
    io_uring_sqe_set_flags(sqe, IOSQE_BUFFER_SELECT);
}

static int open_ring(void)
{
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        .cq_entries = 2 * BUFFERS,
    };
    int r = io_uring_queue_init_params(8, &ring, &parameters);

    if (r < 0)
        return r;
    memory = aligned_alloc(4096, (size_t)BUFFERS * BYTES);
    provided = aligned_alloc(4096, BUFFERS * sizeof(struct io_uring_buf));
    if (!memory || !provided)
        return -ENOMEM;
    memset(provided, 0, BUFFERS * sizeof(struct io_uring_buf));
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)provided,
        .ring_entries = BUFFERS,
    };
    r = io_uring_register_buf_ring(&ring, &registration, 0);
    if (r < 0)
        return r;
    for (unsigned id = 0; id < BUFFERS; id++)
        provide(id, (int)id);
    io_uring_buf_ring_advance(provided, BUFFERS);
    return 0;
}

static void discard_buffer(struct discard *discard, const struct io_uring_cqe *cqe)
{
    unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    struct io_uring_recvmsg_out *out =
        io_uring_recvmsg_validate(memory + (size_t)id * BYTES, cqe->res, &shape);

    if (out) {
        struct cmsghdr *header = io_uring_recvmsg_cmsg_firsthdr(out, &shape);
        uint32_t length = io_uring_recvmsg_payload_length(out, cqe->res, &shape);
        int segment = (int)length;
        if (header && header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO)
            memcpy(&segment, CMSG_DATA(header), sizeof(segment));
        discard_train(discard, io_uring_recvmsg_payload(out, &shape), length, (uint32_t)segment);
    }
    provide(id, 0);
    io_uring_buf_ring_advance(provided, 1);
}

static int wait_for_datagrams(bool gather)
{
    struct __kernel_timespec patience = {.tv_nsec = 1000000};
    struct io_uring_cqe *cqe;

    if (!gather)
        return io_uring_submit_and_wait(&ring, 1);
    int r = io_uring_submit_and_wait_timeout(&ring, &cqe, GATHER, &patience, NULL);
    return r == -ETIME ? 0 : r;
}

static void receive(struct discard *discard)
{
    static bool busy;
    const struct io_uring_cqe *cqe;
    unsigned head, count = 0;

    if (wait_for_datagrams(discard->gather && busy) < 0)
        return;
    discard_begin_batch(discard);
    io_uring_for_each_cqe(&ring, head, cqe)
    {
        if (cqe->flags & IORING_CQE_F_BUFFER)
            discard_buffer(discard, cqe);
        if (!(cqe->flags & IORING_CQE_F_MORE))
            arm(discard->socket);
        count++;
    }
    io_uring_cq_advance(&ring, count);
    busy = count > 1;
}

int main(int argc, char **argv)
{
    static struct discard discard;

    discard_open(argc, argv, &discard);
    int r = open_ring();
    if (r < 0) {
        fprintf(stderr, "%s: cannot set up io_uring: %s\n", argv[0], strerror(-r));
        return 1;
    }
    arm(discard.socket);
    while (!discard_stop)
        receive(&discard);
    discard_report("discard_io_uring", &discard);
    return 0;
}

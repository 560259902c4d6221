#include "receive.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "receive_engine.h"

static int open_engine(const struct receive_options *options, const int *sockets, unsigned count,
                       int wake, struct receiver **ret)
{
    struct receiver *receiver;
    int fallback = 0;

    if (options->engine != RECEIVE_RECVMMSG) {
        int r = receive_io_uring_open(options, sockets, count, wake, ret);
        if (r == 0 || options->engine == RECEIVE_IO_URING)
            return r;
        fallback = -r;
    }
    int r = receive_recvmmsg_open(options, sockets, count, wake, &receiver);
    if (r < 0)
        return r;
    receiver->fallback = fallback;
    *ret = receiver;
    return 0;
}

int receiver_open(const struct receive_options *options, const int *sockets, unsigned count,
                  struct receiver **ret)
{
    if (count == 0)
        return -EINVAL;
    int wake = eventfd(0, EFD_CLOEXEC);
    if (wake < 0)
        return -errno;
    int r = open_engine(options, sockets, count, wake, ret);
    if (r < 0)
        close(wake);
    else
        (*ret)->limit_ns = -1;
    return r;
}

void receiver_close(struct receiver *receiver)
{
    if (!receiver)
        return;
    int wake = receiver->wake;
    receiver->operations->close(receiver);
    close(wake);
}

const char *receiver_engine(const struct receiver *receiver)
{
    return receiver->operations->name;
}

int receiver_fallback(const struct receiver *receiver)
{
    return receiver->fallback;
}

int receiver_wait(struct receiver *receiver, const struct receive_buffer **ret_buffers,
                  unsigned *ret_count)
{
    receiver_release(receiver);
    int r = receiver->operations->wait(receiver);
    if (r < 0)
        return r;
    *ret_buffers = receiver->buffers;
    *ret_count = receiver->count;
    return 0;
}

void receiver_limit_wait(struct receiver *receiver, int64_t ns)
{
    receiver->limit_ns = ns;
}

void receiver_release(struct receiver *receiver)
{
    if (receiver->count == 0)
        return;
    receiver->operations->release(receiver);
    receiver->count = 0;
}

void receiver_wake(const struct receiver *receiver)
{
    int saved = errno; /* a signal handler must not change it */
    ssize_t r = write(receiver->wake, &(uint64_t){1}, sizeof(uint64_t));

    (void)r; /* could fail only if 2^64 wakes were waiting */
    errno = saved;
}

struct receive_statistics receiver_statistics(const struct receiver *receiver)
{
    return receiver->statistics;
}

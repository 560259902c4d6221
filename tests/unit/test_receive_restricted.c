/* test_receive_restricted.c - receive.h: the ring, which seccomp does not see, can only receive. */
#include "../support/line.h"

#include <dirent.h>
#include <liburing.h>
#include <sys/syscall.h>

/* The process's one ring, or -1. */
static int find_ring(void)
{
    DIR *directory = opendir("/proc/self/fd");
    char path[300], target[64];
    int ring = -1;

    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
        ssize_t length = readlink(path, target, sizeof(target) - 1);
        if (length < 0)
            continue;
        target[length] = '\0';
        if (strcmp(target, "anon_inode:[io_uring]") == 0)
            ring = atoi(entry->d_name);
    }
    closedir(directory);
    return ring;
}

/* The layout of a ring as large as a receiver's with one socket. */
static struct io_uring_params layout_of_ring(void)
{
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        .cq_entries = 512,
    };
    int ring = (int)syscall(SYS_io_uring_setup, 3, &parameters);

    assert_true(ring >= 0);
    close(ring);
    return parameters;
}

/* Submit a request to the ring without the receiver. Returns its result. */
static int submit(struct io_uring *ring, uint8_t operation)
{
    struct io_uring_sqe *request = io_uring_get_sqe(ring);
    struct io_uring_cqe *completion;

    assert_non_null(request);
    *request = (struct io_uring_sqe){.opcode = operation, .fd = -1};
    assert_int_equal(io_uring_submit_and_wait(ring, 1), 1);
    assert_int_equal(io_uring_peek_cqe(ring, &completion), 0);
    int result = completion->res;
    io_uring_cqe_seen(ring, completion);
    return result;
}

static void other_requests_are_refused(void **state)
{
    static const uint8_t refused[] = {
        IORING_OP_NOP,   IORING_OP_OPENAT, IORING_OP_SOCKET,  IORING_OP_CONNECT, IORING_OP_SEND,
        IORING_OP_WRITE, IORING_OP_ACCEPT, IORING_OP_SENDMSG, IORING_OP_WRITEV,  IORING_OP_UNLINKAT,
    };
    struct io_uring_params layout;
    struct io_uring mapped;
    struct line line;

    open_line(&line, state);
    int ring = find_ring();
    assert_true(ring >= 0);
    assert_int_equal(syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_EVENTFD, NULL, 0), -1);
    assert_int_equal(errno, EACCES);
    layout = layout_of_ring();
    assert_int_equal(io_uring_queue_mmap(ring, &layout, &mapped), 0);
    mapped.enter_ring_fd = ring; /* liburing 2.9 sets only ring_fd */
    for (size_t i = 0; i < LENGTH(refused); i++) {
        int r = submit(&mapped, refused[i]);
        if (r != -EACCES)
            fail_msg("operation %d is not refused: %d", refused[i], r);
    }
    line_close(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINE_TEST("other_requests_are_refused", other_requests_are_refused, &line_engines[0]),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_receive_engine.c - receive_engine.h: checks of the kernel's data; the buffers' memory; and
 * the choice of an engine where io_uring is not permitted. */
#include "../support/line.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "receive/listener.h"
#include "receive/receive_engine.h"

/* ---- control messages and addresses ------------------------------------------------------ */

/* A struct cmsghdr with its data. */
struct control {
    size_t length;
    int level, type, segment;
};
_Static_assert(offsetof(struct control, segment) == CMSG_LEN(0), "as the kernel lays it out");

static void segments_are_believed_only_if_they_make_sense(void **state)
{
    const struct control good = {CMSG_LEN(sizeof(int)), IPPROTO_UDP, UDP_GRO, 100};
    struct control control = good;

    (void)state;
    assert_int_equal(receive_segment_bytes(&control, RECEIVE_CONTROL_BYTES, 250), 100);
    assert_int_equal(receive_segment_bytes(&control, CMSG_LEN(sizeof(int)), 101), 100);
    assert_int_equal(receive_segment_bytes(&control, CMSG_LEN(sizeof(int)), 100), 100);
    assert_int_equal(receive_segment_bytes(&control, CMSG_LEN(sizeof(int)), 99), 99);
    assert_int_equal(receive_segment_bytes(&control, CMSG_LEN(sizeof(int)), 0), 0);
    assert_int_equal(receive_segment_bytes(&control, CMSG_LEN(sizeof(int)) - 1, 250), 250);
    assert_int_equal(receive_segment_bytes(NULL, 0, 250), 250);
    control.segment = 0;
    assert_int_equal(receive_segment_bytes(&control, RECEIVE_CONTROL_BYTES, 250), 250);
    control.segment = -1;
    assert_int_equal(receive_segment_bytes(&control, RECEIVE_CONTROL_BYTES, 250), 250);
    control = good;
    control.length = CMSG_LEN(sizeof(int)) - 1;
    assert_int_equal(receive_segment_bytes(&control, RECEIVE_CONTROL_BYTES, 250), 250);
    control = good;
    control.level = SOL_SOCKET;
    assert_int_equal(receive_segment_bytes(&control, RECEIVE_CONTROL_BYTES, 250), 250);
    control = good;
    control.type = UDP_GRO + 1;
    assert_int_equal(receive_segment_bytes(&control, RECEIVE_CONTROL_BYTES, 250), 250);
}

static void sources_are_believed_only_if_they_are_whole(void **state)
{
    const struct sockaddr_in v4 = {.sin_family = AF_INET};
    const struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    const struct sockaddr local = {.sa_family = AF_UNIX};

    (void)state;
    assert_ptr_equal(receive_sender(&v4, sizeof(v4)), &v4);
    assert_null(receive_sender(&v4, sizeof(v4) - 1));
    assert_ptr_equal(receive_sender(&v6, sizeof(v6)), &v6);
    assert_null(receive_sender(&v6, sizeof(v6) - 1));
    assert_null(receive_sender(&v6, sizeof(v4)));
    assert_null(receive_sender(&local, sizeof(local)));
    assert_null(receive_sender(&v4, 1));
    assert_null(receive_sender(NULL, 0));
}

/* A train is cut into equal datagrams and a last one, which may be shorter. */
static void trains_are_cut(void **state)
{
    const struct receive_buffer train = {.length = 250, .segment_bytes = 100};
    const struct receive_buffer even = {.length = 200, .segment_bytes = 100};
    const struct receive_buffer alone = {.length = 57, .segment_bytes = 57};
    const struct receive_buffer empty = {.length = 0};

    (void)state;
    assert_int_equal(receive_buffer_cut(&train, 0), 100);
    assert_int_equal(receive_buffer_cut(&train, 100), 100);
    assert_int_equal(receive_buffer_cut(&train, 200), 50);
    assert_int_equal(receive_buffer_cut(&even, 100), 100);
    assert_int_equal(receive_buffer_cut(&alone, 0), 57);
    assert_int_equal(receive_buffer_cut(&empty, 0), 0);
}

static void buffers_do_not_overlap(void **state)
{
    struct receiver receiver = {0};

    (void)state;
    receive_memory_unmap(&receiver);
    assert_int_equal(receive_memory_map(&receiver, 3), 0);
    uint8_t *memory = receiver.memory;
    for (unsigned i = 0; i < 3; i++) {
        uint8_t *data = receive_memory_data(&receiver, i);
        assert_int_equal((uintptr_t)data % 64, 0);
        assert_true(data >= memory + (size_t)i * RECEIVE_STRIDE_BYTES + RECEIVE_HEADROOM_BYTES);
        assert_true(data + RECEIVE_DATA_BYTES <= memory + (size_t)(i + 1) * RECEIVE_STRIDE_BYTES);
        memset(data - RECEIVE_HEADROOM_BYTES, 1, RECEIVE_HEADROOM_BYTES + RECEIVE_DATA_BYTES);
    }
    receive_memory_unmap(&receiver);
}

/* True if the mapping that holds `address` has this flag, of two letters (VmFlags in proc(5)). */
static bool has_flag(const void *address, const char *flag)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    char line[512];
    bool is_inside = false, found = false;

    assert_non_null(smaps);
    while (fgets(line, sizeof(line), smaps)) {
        uintptr_t from, to;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
            is_inside = (uintptr_t)address >= from && (uintptr_t)address < to;
        else if (is_inside && strncmp(line, "VmFlags:", 8) == 0)
            found = strstr(line, flag) != NULL;
    }
    fclose(smaps);
    return found;
}

/* Send a datagram, and return where it was received. */
static const void *pass(struct line *line, uint32_t length, uint32_t number)
{
    const struct receive_buffer *buffers;
    unsigned count;

    line_send(line, 0, length, number);
    do
        assert_int_equal(receiver_wait(line->receiver, &buffers, &count), 0);
    while (count == 0);
    assert_int_equal(count, 1);
    assert_int_equal(buffers[0].length, length);
    assert_int_equal(line_number(buffers[0].data, length), number);
    return buffers[0].data;
}

/* Buffers keep their small pages until the first train, and what they hold after that. */
static void trains_get_huge_pages(void **state)
{
    struct line line;

    if (access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK) < 0)
        skip();
    line_open(&line, &(struct line_options){.engine = engine_of(state)});
    assert_true(has_flag(pass(&line, 4096, 1), " nh"));
    assert_true(has_flag(pass(&line, 4097, 2), " nh"));
    assert_true(has_flag(pass(&line, 65507, 3), " hg"));
    uint8_t *last = &line.receiver->memory[line.receiver->memory_bytes - 1];
    *last = 1;
    assert_true(has_flag(pass(&line, 57, 4), " hg"));
    assert_int_equal(*last, 1);
    line_close(&line);
}

/* ---- without io_uring -------------------------------------------------------------------- */

/* Make io_uring_setup fail with EPERM, as a container's seccomp profile does. */
static int forbid_io_uring(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = LENGTH(code), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? -errno : 0;
}

static int open_with(enum receive_engine engine, struct receiver **ret)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct listener_options listen = {0};
    const struct receive_options options = {.engine = engine};
    int socket,
        r = listener_open((const struct sockaddr *)&address, sizeof(address), &listen, 1, &socket);

    return r < 0 ? r : receiver_open(&options, &socket, 1, ret);
}

/* Check in a child. Returns its exit status: which check failed. */
static int choose_without_io_uring(void)
{
    struct receiver *receiver = NULL;

    if (forbid_io_uring() < 0)
        return 77;
    if (open_with(RECEIVE_IO_URING, &receiver) != -EPERM || receiver)
        return 2;
    if (open_with(RECEIVE_AUTO, &receiver) < 0)
        return 3;
    if (strcmp(receiver_engine(receiver), "recvmmsg") != 0)
        return 4;
    if (receiver_fallback(receiver) != EPERM)
        return 5;
    receiver_close(receiver);
    if (open_with(RECEIVE_RECVMMSG, &receiver) < 0)
        return 6;
    if (receiver_fallback(receiver) != 0)
        return 7;
    receiver_close(receiver);
    return 0;
}

static void recvmmsg_is_taken_where_io_uring_is_forbidden(void **state)
{
    int status;

    (void)state;
    pid_t child = fork();
    assert_return_code(child, errno);
    if (child == 0)
        _exit(choose_without_io_uring());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    if (WEXITSTATUS(status) != 0)
        fail_msg("check %d of choose_without_io_uring failed", WEXITSTATUS(status));
}

static void io_uring_is_taken_where_it_is_permitted(void **state)
{
    struct receiver *receiver, *other;

    (void)state;
    assert_int_equal(open_with(RECEIVE_AUTO, &receiver), 0);
    int r = open_with(RECEIVE_IO_URING, &other);
    assert_string_equal(receiver_engine(receiver), r == 0 ? "io_uring" : "recvmmsg");
    assert_int_equal(receiver_fallback(receiver), -r);
    receiver_close(receiver);
    if (r == 0)
        receiver_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_are_believed_only_if_they_make_sense),
        cmocka_unit_test(sources_are_believed_only_if_they_are_whole),
        cmocka_unit_test(trains_are_cut),
        cmocka_unit_test(buffers_do_not_overlap),
        WITH_BOTH(trains_get_huge_pages),
        cmocka_unit_test(recvmmsg_is_taken_where_io_uring_is_forbidden),
        cmocka_unit_test(io_uring_is_taken_where_it_is_permitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

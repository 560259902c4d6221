/* Frames that wait for a client that reads slowly: each is sent once, whole and in order, or the
 * connection is over. */
#include "../support/unit.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/http_websocket_output.h"

#define ROUNDS    300
#define FRAME_MAX 4000
#define SENT_MAX  (ROUNDS * FRAME_MAX)
#define LONG      (1 << 20) /* more than a socket takes at once */

static bool has_no_memory;

/* The linker calls this instead (--wrap). */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

void *__real_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return has_no_memory ? NULL : __real_malloc(size);
}

static void open_sockets(int ends[2])
{
    const int small = 1;

    has_no_memory = false;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
}

static void close_sockets(int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

/* Read what is there, at most `size` bytes. */
static size_t take(int socket, char *to, size_t size)
{
    ssize_t length = recv(socket, to, size, MSG_DONTWAIT);

    assert_true(length >= 0 || errno == EAGAIN);
    return length > 0 ? (size_t)length : 0;
}

static void frames_keep_their_order(void **state)
{
    static char sent[SENT_MAX], received[SENT_MAX], frame[FRAME_MAX];
    struct websocket_output output = {0};
    uint64_t random = random_seed("frames_keep_their_order");
    size_t sent_length = 0, received_length = 0, waited = 0;
    int ends[2];

    (void)state;
    open_sockets(ends);
    for (int i = 0; i < ROUNDS; i++) {
        size_t length = random_next(&random) % FRAME_MAX + 1;
        for (size_t j = 0; j < length; j++)
            frame[j] = (char)random_next(&random);
        assert_int_equal(websocket_output_send(&output, ends[0], frame, length), 0);
        memcpy(sent + sent_length, frame, length);
        sent_length += length;
        received_length +=
            take(ends[1], received + received_length, random_next(&random) % (2 * FRAME_MAX) + 1);
        if (random_next(&random) % 2)
            assert_int_equal(websocket_output_flush(&output, ends[0]), 0);
        waited += websocket_output_waiting(&output) > 0;
    }
    assert_true(waited > ROUNDS / 10);
    while (received_length < sent_length) {
        assert_int_equal(websocket_output_flush(&output, ends[0]), 0);
        received_length += take(ends[1], received + received_length, 1000);
    }
    assert_int_equal(received_length, sent_length);
    assert_memory_equal(received, sent, sent_length);
    assert_int_equal(websocket_output_waiting(&output), 0);
    assert_null(output.queue);
    close_sockets(ends);
}

/* Nothing may follow half a frame. */
static void half_a_frame_is_the_end(void **state)
{
    static char frame[LONG];
    struct websocket_output output = {0};
    int ends[2];

    (void)state;
    open_sockets(ends);
    has_no_memory = true;
    int half = websocket_output_send(&output, ends[0], frame, sizeof(frame));
    int none = websocket_output_send(&output, ends[0], frame, sizeof(frame)); /* it is full now */
    has_no_memory = false;
    assert_int_equal(half, -EPIPE);
    assert_int_equal(none, -ENOMEM);
    close(ends[1]);
    assert_int_equal(websocket_output_send(&output, ends[0], frame, 1), -EPIPE);
    close(ends[0]);
}

/* Before the socket is there all of it waits. */
static void all_waits_without_a_socket(void **state)
{
    struct websocket_output output = {0};
    char received[8] = "";
    int ends[2];

    (void)state;
    open_sockets(ends);
    assert_int_equal(websocket_output_send(&output, -1, "one", 3), 0);
    assert_int_equal(websocket_output_send(&output, -1, "two", 3), 0);
    assert_int_equal(websocket_output_waiting(&output), 6);
    assert_int_equal(websocket_output_flush(&output, ends[0]), 0);
    assert_int_equal(take(ends[1], received, sizeof(received)), 6);
    assert_string_equal(received, "onetwo");
    close_sockets(ends);
}

/* A reason is cut between two characters. */
static void reasons_are_cut(void **state)
{
    struct websocket_maker maker = {0};
    char reason[200] = "x";

    (void)state;
    assert_int_equal(websocket_maker_init(&maker), 0);
    for (int i = 0; i < 90; i++)
        strcat(reason, "\xc3\xa9");
    websocket_make_close(&maker, 1001, reason, strlen(reason));
    assert_int_equal(maker.length, 2 + 2 + HTTP_WEBSOCKET_REASON_BYTES);
    assert_memory_equal(maker.frame + 4, reason, HTTP_WEBSOCKET_REASON_BYTES);
    websocket_make_close(&maker, 1001, reason + 1, strlen(reason) - 1);
    assert_int_equal(maker.length, 2 + 2 + HTTP_WEBSOCKET_REASON_BYTES - 1);
    websocket_make_close(&maker, 0, "", 0);
    assert_int_equal(maker.length, 2);
    websocket_maker_end(&maker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_keep_their_order),
        cmocka_unit_test(half_a_frame_is_the_end),
        cmocka_unit_test(all_waits_without_a_socket),
        cmocka_unit_test(reasons_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

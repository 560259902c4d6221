/* test_receive.c - receive.h: both engines against the same cases. */
#include "../support/descriptors.h"
#include "../support/line.h"

#include <arpa/inet.h>

/* ---- arrivals ---------------------------------------------------------------------------- */

static void a_datagram_arrives(void **state)
{
    const struct receive_buffer *buffers;
    struct line line;
    unsigned count;

    open_line(&line, state);
    line_send(&line, 0, 57, 1);
    do
        assert_int_equal(receiver_wait(line.receiver, &buffers, &count), 0);
    while (count == 0);
    assert_int_equal(count, 1);
    assert_int_equal(buffers[0].length, 57);
    assert_int_equal(buffers[0].segment_bytes, 57);
    assert_null(buffers[0].sender);
    assert_int_equal((uintptr_t)buffers[0].data % 64, 0);
    assert_int_equal(line_number(buffers[0].data, 57), 1);
    receiver_release(line.receiver);
    assert_int_equal(receiver_statistics(line.receiver).truncated, 0);
    line_close(&line);
}

static void expect_lengths(struct line *line, const uint32_t *lengths, unsigned count)
{
    struct arrival arrivals[16];

    assert_true(count <= LENGTH(arrivals));
    line_collect(line->receiver, arrivals, count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(arrivals[i].length, lengths[i]);
        if (lengths[i] >= sizeof(uint32_t))
            assert_int_equal(arrivals[i].number, i);
    }
}

/* Before the receiver first waits, then while its requests are armed. */
static void expect_sequence(void **state, const uint32_t *lengths, unsigned count)
{
    struct line line;

    open_line(&line, state);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < count; i++)
            line_send(&line, 0, lengths[i], i);
        expect_lengths(&line, lengths, count);
    }
    assert_int_equal(receiver_statistics(line.receiver).truncated, 0);
    line_close(&line);
}

static void every_length_arrives_whole(void **state)
{
    static const uint32_t lengths[] = {1, 57, 1472, 65507, 4, 65507, 65506, 9000};
    expect_sequence(state, lengths, LENGTH(lengths));
}

static void empty_datagrams_arrive_amid_others(void **state)
{
    static const uint32_t lengths[] = {5, 0, 7, 0, 0, 9, 65507, 0};
    expect_sequence(state, lengths, LENGTH(lengths));
}

/* Moderated or not, all datagrams in the sockets are received at once, also behind empty ones: a
 * wait that ended at each of those would cost a millisecond each, and take 25 waits. */
static void empty_datagrams_hold_nothing_up(void **state)
{
    enum { SENT = 200, WAITS = 16 };
    struct arrival arrivals[SENT];
    struct line line;

    line_open(&line, &(struct line_options){.engine = engine_of(state), .sockets = LINE_SOCKETS});
    for (unsigned round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < SENT; i++)
            line_send(&line, i % LINE_SOCKETS, i / LINE_SOCKETS % 2 ? 0 : 57, i);
        unsigned waits = 0, count = 0;
        for (; count < SENT; waits++)
            count += line_wait(line.receiver, arrivals + count, SENT - count);
        if (waits > WAITS)
            fail_msg("round %u took %u waits", round, waits);
    }
    line_close(&line);
}

static void sockets_are_served_alike(void **state)
{
    enum { EACH = 300 };
    struct arrival arrivals[LINE_SOCKETS * EACH];
    uint32_t next[LINE_SOCKETS] = {0};
    struct line line;

    line_open(&line, &(struct line_options){.engine = engine_of(state), .sockets = LINE_SOCKETS});
    for (uint32_t i = 0; i < LINE_SOCKETS * EACH; i++)
        line_send(&line, i % LINE_SOCKETS, 20, i);
    line_collect(line.receiver, arrivals, LENGTH(arrivals));
    for (uint32_t i = 0; i < LENGTH(arrivals); i++) { /* in each socket's order */
        uint32_t socket = arrivals[i].number % LINE_SOCKETS;
        assert_int_equal(arrivals[i].number, next[socket]++ * LINE_SOCKETS + socket);
    }
    line_close(&line);
}

/* Where one socket holds hundreds of datagrams, the only one of another comes among the first. */
static void a_busy_socket_holds_nobody_up(void **state)
{
    enum { BUSY = 320, WAITS = 3 };
    struct arrival arrivals[BUSY + 1];
    unsigned count = 0, waits = 0;
    bool is_there = false;
    struct line line;

    line_open(&line, &(struct line_options){.engine = engine_of(state), .sockets = 2});
    for (uint32_t i = 0; i < BUSY; i++)
        line_send(&line, 0, 20, i);
    line_send(&line, 1, 20, BUSY);
    for (; !is_there; waits++) {
        unsigned before = count;
        count += line_wait(line.receiver, arrivals + count, LENGTH(arrivals) - count);
        for (unsigned i = before; i < count; i++)
            is_there |= arrivals[i].number == BUSY;
    }
    if (waits > WAITS)
        fail_msg("it came in wait %u", waits);
    line_close(&line);
}

static void more_than_there_are_buffers_for_is_not_lost(void **state)
{
    enum { SENT = 4000 };
    static struct arrival arrivals[SENT];
    struct line line;

    open_line(&line, state);
    for (uint32_t round = 0; round < 2; round++) {
        uint32_t before = listener_drops(line.sockets[0]);
        for (uint32_t i = 0; i < SENT; i++)
            line_send(&line, 0, 57, i);
        uint32_t kept = SENT - (listener_drops(line.sockets[0]) - before);
        line_collect(line.receiver, arrivals, kept); /* the kernel drops the last */
        for (uint32_t i = 0; i < kept; i++)
            assert_int_equal(arrivals[i].number, i);
    }
    struct receive_statistics statistics = receiver_statistics(line.receiver);
    if (engine_of(state) == RECEIVE_IO_URING)
        assert_true(statistics.buffers_exhausted > 0);
    assert_true(statistics.rearmed >= statistics.buffers_exhausted);
    line_close(&line);
}

static void buffers_stay_while_more_arrives(void **state)
{
    const struct receive_buffer *buffers;
    struct arrival arrivals[100];
    struct line line;
    unsigned count;

    open_line(&line, state);
    line_send(&line, 0, 57, 1000);
    do
        assert_int_equal(receiver_wait(line.receiver, &buffers, &count), 0);
    while (count == 0);
    for (uint32_t i = 0; i < LENGTH(arrivals); i++)
        line_send(&line, 0, 57, i);
    assert_int_equal(line_number(buffers[0].data, 57), 1000);
    line_collect(line.receiver, arrivals, LENGTH(arrivals)); /* releases the rest */
    for (uint32_t i = 0; i < LENGTH(arrivals); i++)
        assert_int_equal(arrivals[i].number, i);
    line_close(&line);
}

static void anything_arrives_in_order(void **state)
{
    enum { ROUNDS = 60, BURST = 400 };
    static struct arrival arrivals[BURST];
    uint64_t seed = random_seed("anything_arrives_in_order");
    struct line line;

    open_line(&line, state);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t lengths[BURST], count = 1 + (uint32_t)(random_next(&seed) % BURST);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t kind = random_next(&seed) % 64;
            uint64_t most = kind < 8 ? 1 : kind < 62 ? 200 : 3000;
            lengths[i] = (uint32_t)(random_next(&seed) % most);
            line_send(&line, 0, lengths[i], i);
        }
        line_collect(line.receiver, arrivals, count);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(arrivals[i].length, lengths[i]);
            if (lengths[i] >= sizeof(uint32_t))
                assert_int_equal(arrivals[i].number, i);
        }
    }
    line_close(&line);
}

/* Longer ones than UDP has come from a socket of another kind. They are counted, more of them than
 * there are buffers, and what follows arrives. */
static void what_is_too_long_is_left_out(void **state)
{
    enum { TOO_LONG = 300, BYTES = 70000 };
    static const uint8_t bytes[BYTES];
    struct receive_options options = {.engine = engine_of(state)};
    struct arrival arrival;
    struct line line;
    int pair[2];

    open_line(&line, state);
    assert_return_code(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), errno);
    receiver_close(line.receiver);
    assert_int_equal(receiver_open(&options, &pair[0], 1, &line.receiver), 0);
    for (unsigned i = 0; i < TOO_LONG; i++) {
        assert_int_equal(send(pair[1], bytes, BYTES, 0), BYTES);
        assert_int_equal(send(pair[1], &(uint32_t){i}, 4, 0), 4);
        line_collect(line.receiver, &arrival, 1);
        assert_int_equal(arrival.length, 4);
        assert_int_equal(receiver_statistics(line.receiver).truncated, i + 1);
    }
    line_close(&line);
    close(pair[0]);
    close(pair[1]);
}

/* ---- trains ------------------------------------------------------------------------------ */

static void expect_train(struct line *line, uint32_t segment, uint32_t count, uint32_t last,
                         uint32_t train_bytes)
{
    struct arrival arrivals[64];

    assert_true(count <= LENGTH(arrivals));
    line_send_train(line, segment, count, last, 5);
    line_collect(line->receiver, arrivals, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(arrivals[i].number, 5 + i);
        assert_int_equal(arrivals[i].length, i + 1 < count ? segment : last);
        if (train_bytes)
            assert_int_equal(arrivals[i].train_bytes, train_bytes);
        else
            assert_int_equal(arrivals[i].train_bytes, arrivals[i].length);
    }
}

static void trains_arrive_as_one_buffer(void **state)
{
    struct line line;

    open_line(&line, state);
    expect_train(&line, 100, 64, 100, 6400);
    expect_train(&line, 100, 2, 99, 199);
    expect_train(&line, 100, 64, 4, 6304);
    expect_train(&line, 1400, 46, 1400, 64400);
    expect_train(&line, 57, 1, 57, 57);
    line_close(&line);
}

static void trains_arrive_apart_without_offload(void **state)
{
    struct line line;

    line_open(&line, &(struct line_options){.engine = engine_of(state), .no_offload = true});
    expect_train(&line, 100, 64, 4, 0);
    line_close(&line);
}

/* ---- senders ----------------------------------------------------------------------------- */

static void expect_sender(struct line *line, const char *host)
{
    const struct receive_buffer *buffers;
    char text[INET6_ADDRSTRLEN] = "";
    unsigned count;

    line_send(line, 0, 57, 1);
    do
        assert_int_equal(receiver_wait(line->receiver, &buffers, &count), 0);
    while (count == 0);
    assert_non_null(buffers[0].sender);
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    memcpy(&v4, buffers[0].sender, sizeof(v4));
    bool is_v6 = v4.sin_family == AF_INET6;
    if (is_v6)
        memcpy(&v6, buffers[0].sender, sizeof(v6));
    inet_ntop(v4.sin_family, is_v6 ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr, text,
              sizeof(text));
    assert_string_equal(text, host);
    assert_int_equal(line_sender_port(buffers[0].sender), line_port(line->senders[0]));
    assert_int_equal(line_number(buffers[0].data, 57), 1);
    receiver_release(line->receiver);
}

static void senders_are_returned_if_wanted(void **state)
{
    struct line_options options = {.engine = engine_of(state), .want_sender = true};
    struct arrival arrivals[3];
    struct line line;

    line_open(&line, &options);
    expect_sender(&line, "127.0.0.1");
    line_send_train(&line, 100, 3, 50, 1);
    line_collect(line.receiver, arrivals, LENGTH(arrivals));
    for (size_t i = 0; i < LENGTH(arrivals); i++)
        assert_int_equal(arrivals[i].port, line_port(line.senders[0]));
    assert_int_equal(arrivals[0].train_bytes, 250);
    line_send(&line, 0, 0, 0);
    line_collect(line.receiver, arrivals, 1);
    assert_int_equal(arrivals[0].length, 0);
    assert_int_equal(arrivals[0].port, line_port(line.senders[0]));
    line_close(&line);
}

static void ipv6_arrives(void **state)
{
    struct line_options options = {
        .engine = engine_of(state), .address = "[::1]:0", .want_sender = true};
    struct line line;

    line_open(&line, &options);
    expect_sender(&line, "::1");
    line_send(&line, 0, 65507, 2);
    struct arrival arrival;
    line_collect(line.receiver, &arrival, 1);
    assert_int_equal(arrival.length, 65507);
    line_close(&line);
}

/* ---- workers ----------------------------------------------------------------------------- */

static void many_flows_reach_every_worker(void **state)
{
    enum { SENT = 3000, FLOWS = 300 };
    static struct arrival arrivals[SENT];
    const struct receive_options options = {.engine = engine_of(state)};
    const struct listener_options listen = {0};
    struct sockaddr_storage address;
    int flows[FLOWS];
    socklen_t length;

    assert_int_equal(listener_parse("127.0.0.1:0", &address, &length), 0);
    for (unsigned workers = 2; workers <= 3; workers++) {
        struct receiver *receivers[3];
        struct line line = {.count = workers};
        unsigned counts[3] = {0}, received = 0;
        assert_int_equal(
            listener_open((struct sockaddr *)&address, length, &listen, workers, line.sockets), 0);
        for (unsigned i = 0; i < FLOWS; i++)
            flows[i] = line_sender(line.sockets[0]);
        for (unsigned i = 0; i < workers; i++)
            if (receiver_open(&options, &line.sockets[i], 1, &receivers[i]) < 0)
                skip();
        alarm(LINE_DEADLINE);
        for (uint32_t sent = 0; sent < SENT || received < SENT;) {
            for (unsigned i = 0; i < 100 && sent < SENT; i++) {
                line.senders[0] = flows[sent % FLOWS];
                line_send(&line, 0, 57, sent++);
            }
            for (unsigned i = 0; i < workers; i++) {
                receiver_wake(receivers[i]); /* to end the wait */
                unsigned count = line_wait(receivers[i], arrivals, SENT - received);
                counts[i] += count;
                received += count;
            }
        }
        for (unsigned i = 0; i < workers; i++) {
            if (counts[i] < SENT / workers / 2)
                fail_msg("worker %u of %u got %u of %u", i, workers, counts[i], SENT);
            receiver_close(receivers[i]);
            close(line.sockets[i]);
        }
        for (unsigned i = 0; i < FLOWS; i++)
            close(flows[i]);
        alarm(0);
    }
}

/* Requests in flight hold their socket: if they were not cancelled, the port would stay in use. */
static void ports_are_free_after_close(void **state)
{
    const unsigned descriptors = count_descriptors();
    struct arrival arrivals[2];
    struct line line;

    for (unsigned round = 0; round < 50; round++) {
        open_line(&line, state);
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                      .sin_port = htons(line_port(line.sockets[0]))};
        if (round % 3) { /* also before the first wait */
            line_send(&line, 0, 57, 1);
            line_collect(line.receiver, arrivals, 1);
        }
        if (round % 2) /* also with buffers not released */
            line_send(&line, 0, 57, 1);
        line_close(&line);
        int again = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (bind(again, (struct sockaddr *)&address, sizeof(address)) < 0)
            fail_msg("round %u: %s", round, strerror(errno));
        close(again);
    }
    assert_int_equal(count_descriptors(), descriptors);
}

/* ---- errors ------------------------------------------------------------------------------ */

static void engines_are_named(void **state)
{
    struct line line;

    open_line(&line, state);
    assert_string_equal(receiver_engine(line.receiver),
                        engine_of(state) == RECEIVE_IO_URING ? "io_uring" : "recvmmsg");
    assert_int_equal(receiver_fallback(line.receiver), 0);
    line_close(&line);
}

static void no_socket_is_refused(void **state)
{
    const struct receive_options options = {.engine = engine_of(state)};
    struct receiver *receiver = NULL;

    assert_int_equal(receiver_open(&options, NULL, 0, &receiver), -EINVAL);
    assert_null(receiver);
    receiver_close(NULL);
}

/* With a pipe among the sockets, the datagrams of the others are still returned. */
static void errors_are_returned_and_lose_nothing(void **state)
{
    const struct receive_options options = {.engine = engine_of(state)};
    const struct receive_buffer *buffers;
    struct line line;
    unsigned count, received = 0, errors = 0;
    int pipe_ends[2];

    open_line(&line, state);
    receiver_close(line.receiver);
    assert_return_code(pipe(pipe_ends), errno);
    assert_return_code((int)write(pipe_ends[1], "x", 1), errno);
    const int sockets[] = {line.sockets[0], pipe_ends[0]};
    assert_int_equal(receiver_open(&options, sockets, LENGTH(sockets), &line.receiver), 0);
    for (uint32_t i = 0; i < 200; i++)
        line_send(&line, 0, 57, i);
    while (received < 200 || errors < 3) {
        int r = receiver_wait(line.receiver, &buffers, &count);
        if (r < 0)
            assert_int_equal(r, -ENOTSOCK);
        errors += r < 0;
        for (unsigned i = 0; r == 0 && i < count; i++)
            assert_int_equal(line_number(buffers[i].data, buffers[i].length), received++);
    }
    line_close(&line);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BOTH(a_datagram_arrives),
        WITH_BOTH(every_length_arrives_whole),
        WITH_BOTH(empty_datagrams_arrive_amid_others),
        WITH_BOTH(empty_datagrams_hold_nothing_up),
        WITH_BOTH(sockets_are_served_alike),
        WITH_BOTH(a_busy_socket_holds_nobody_up),
        WITH_BOTH(more_than_there_are_buffers_for_is_not_lost),
        WITH_BOTH(buffers_stay_while_more_arrives),
        WITH_BOTH(anything_arrives_in_order),
        WITH_BOTH(what_is_too_long_is_left_out),
        WITH_BOTH(trains_arrive_as_one_buffer),
        WITH_BOTH(trains_arrive_apart_without_offload),
        WITH_BOTH(senders_are_returned_if_wanted),
        WITH_BOTH(ipv6_arrives),
        WITH_BOTH(many_flows_reach_every_worker),
        WITH_BOTH(ports_are_free_after_close),
        WITH_BOTH(engines_are_named),
        WITH_BOTH(no_socket_is_refused),
        WITH_BOTH(errors_are_returned_and_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

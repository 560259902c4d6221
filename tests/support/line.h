/* line.h - sockets with a sender each, a receiver of all, and datagrams that can be recognized. */
#ifndef PRESENCE_TESTS_LINE_H
#define PRESENCE_TESTS_LINE_H

#include "ipv6.h"
#include "own_loopback.h"
#include "unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <signal.h>
#include <unistd.h>

#include "receive/listener.h"
#include "receive/receive.h"

#define LINE_SOCKETS  4
#define LINE_DEADLINE 120 /* seconds; a test that waits longer has lost something */

struct line {
    struct receiver *receiver;
    unsigned count;
    int sockets[LINE_SOCKETS];
    int senders[LINE_SOCKETS]; /* connected to the socket of the same index */
};

struct line_options {
    enum receive_engine engine;
    const char *address; /* NULL: IPv4 loopback, any port */
    unsigned sockets;    /* 0: one */
    bool no_offload;
    bool want_sender;
};

/* A datagram that has arrived. */
struct arrival {
    uint32_t length;
    uint32_t number;      /* the number that its sender gave it; 0 if it is too short for one */
    uint32_t train_bytes; /* size of the buffer in which it came */
    in_port_t port;       /* of the sender, host byte order; 0 if unknown */
};

static enum receive_engine line_engines[] = {RECEIVE_IO_URING, RECEIVE_RECVMMSG};

#define LINE_TEST(title, test, engine)  \
    {                                   \
        title, test, NULL, NULL, engine \
    }

/* A test's entries in the table, one for each engine. */
#define WITH_BOTH(test)                                    \
    LINE_TEST("io_uring: " #test, test, &line_engines[0]), \
        LINE_TEST("recvmmsg: " #test, test, &line_engines[1])

static inline enum receive_engine engine_of(void **state)
{
    return *(enum receive_engine *)*state;
}

static inline void line_out_of_time(int signal)
{
    static const char reason[] = "deadline: something that was sent or woken never arrived\n";

    (void)signal;
    if (write(STDERR_FILENO, reason, sizeof(reason) - 1) < 0)
        _exit(2);
    _exit(1);
}

static inline in_port_t line_port(int socket)
{
    struct sockaddr_in6 address; /* the port of an IPv4 address is at the same offset */
    socklen_t length = sizeof(address);

    assert_return_code(getsockname(socket, (struct sockaddr *)&address, &length), errno);
    return ntohs(address.sin6_port);
}

static inline int line_sender(int to)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    assert_return_code(getsockname(to, (struct sockaddr *)&address, &length), errno);
    int sender = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_return_code(sender, errno);
    assert_return_code(connect(sender, (struct sockaddr *)&address, length), errno);
    return sender;
}

/* Open the sockets. Skips the test if this machine has no such address, e.g. no IPv6, or does not
 * permit io_uring. */
static inline void line_open(struct line *line, const struct line_options *options)
{
    const struct receive_options receive = {.engine = options->engine,
                                            .want_sender = options->want_sender};
    const struct listener_options listen = {.generic_receive_offload = !options->no_offload};
    struct sockaddr_storage address;
    socklen_t length;

    setvbuf(stdout, NULL, _IOLBF, 0); /* so that the name of a test that hangs is printed */
    signal(SIGALRM, line_out_of_time);
    alarm(LINE_DEADLINE);
    line->count = options->sockets ? options->sockets : 1;
    assert_int_equal(
        listener_parse(options->address ? options->address : "127.0.0.1:0", &address, &length), 0);
    if (address.ss_family == AF_INET6 && !has_ipv6())
        skip();
    for (unsigned i = 0; i < line->count; i++) {
        int r = listener_open((struct sockaddr *)&address, length, &listen, 1, &line->sockets[i]);
        assert_int_equal(r, 0);
        line->senders[i] = line_sender(line->sockets[i]);
    }
    int r = receiver_open(&receive, line->sockets, line->count, &line->receiver);
    if (receive.engine == RECEIVE_IO_URING && (r == -EPERM || r == -ENOSYS))
        skip();
    assert_int_equal(r, 0);
}

static inline void line_close(struct line *line)
{
    receiver_close(line->receiver);
    for (unsigned i = 0; i < line->count; i++) {
        close(line->sockets[i]);
        close(line->senders[i]);
    }
    alarm(0);
}

/* Fill a datagram with its number, as far as it fits, and a pattern made of it. */
static inline void line_fill(uint8_t *bytes, uint32_t length, uint32_t number)
{
    for (uint32_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(number * 7 + i);
    memcpy(bytes, &number, length < sizeof(number) ? length : sizeof(number));
}

/* Return the number of a datagram that line_fill has filled; fail the test if it has changed. */
static inline uint32_t line_number(const uint8_t *bytes, uint32_t length)
{
    static uint8_t expected[65536];
    uint32_t number = 0;

    if (length < sizeof(number))
        return 0;
    memcpy(&number, bytes, sizeof(number));
    line_fill(expected, length, number);
    if (memcmp(bytes, expected, length) != 0)
        fail_msg("datagram %u of %u bytes is damaged", number, length);
    return number;
}

static inline void line_send(const struct line *line, unsigned index, uint32_t length,
                             uint32_t number)
{
    static uint8_t bytes[65536];

    line_fill(bytes, length, number);
    if (send(line->senders[index], bytes, length, 0) != (ssize_t)length)
        fail_msg("cannot send %u bytes: %s", length, strerror(errno));
}

/* Send datagrams of `segment` bytes and the last of `last` in one call, which loopback delivers as
 * a train. */
static inline void line_send_train(const struct line *line, uint32_t segment, uint32_t count,
                                   uint32_t last, uint32_t first_number)
{
    static uint8_t bytes[65536];
    uint32_t total = segment * (count - 1) + last;
    int on = (int)segment, off = 0;

    for (uint32_t i = 0; i < count; i++)
        line_fill(bytes + i * segment, i + 1 < count ? segment : last, first_number + i);
    assert_return_code(setsockopt(line->senders[0], IPPROTO_UDP, UDP_SEGMENT, &on, sizeof(on)),
                       errno);
    if (send(line->senders[0], bytes, total, 0) != (ssize_t)total)
        fail_msg("cannot send a train of %u bytes: %s", total, strerror(errno));
    assert_return_code(setsockopt(line->senders[0], IPPROTO_UDP, UDP_SEGMENT, &off, sizeof(off)),
                       errno);
}

static inline in_port_t line_sender_port(const struct sockaddr *sender)
{
    in_port_t port = 0;

    if (sender) /* at the same offset for both families */
        memcpy(&port, (const uint8_t *)sender + offsetof(struct sockaddr_in, sin_port),
               sizeof(port));
    return ntohs(port);
}

/* Wait once, and split the buffers into datagrams. Returns how many, at most `capacity`. */
static inline unsigned line_wait(struct receiver *receiver, struct arrival *arrivals,
                                 unsigned capacity)
{
    const struct receive_buffer *buffers;
    unsigned buffer_count, count = 0;

    assert_int_equal(receiver_wait(receiver, &buffers, &buffer_count), 0);
    for (unsigned i = 0; i < buffer_count; i++) {
        const struct receive_buffer *buffer = &buffers[i];
        uint32_t offset = 0;
        assert_true(buffer->segment_bytes <= buffer->length);
        assert_true((buffer->segment_bytes == 0) == (buffer->length == 0));
        do {
            uint32_t rest = buffer->length - offset;
            uint32_t length = rest < buffer->segment_bytes ? rest : buffer->segment_bytes;
            if (count == capacity)
                fail_msg("more than the %u datagrams that were sent", capacity);
            arrivals[count++] = (struct arrival){
                .length = length,
                .number = line_number(buffer->data + offset, length),
                .train_bytes = buffer->length,
                .port = line_sender_port(buffer->sender),
            };
            offset += buffer->segment_bytes;
        } while (offset < buffer->length);
    }
    receiver_release(receiver);
    return count;
}

/* Wait until `expected` datagrams have arrived; more fail the test. */
static inline void line_collect(struct receiver *receiver, struct arrival *arrivals,
                                unsigned expected)
{
    unsigned count = 0;

    while (count < expected)
        count += line_wait(receiver, arrivals + count, expected - count);
}

static inline void open_line(struct line *line, void **state)
{
    line_open(line, &(struct line_options){.engine = engine_of(state)});
}

#endif

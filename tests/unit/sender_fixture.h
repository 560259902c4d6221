/* sender_fixture.h - a receiver on a free port of loopback, and senders to it. */
#ifndef PRESENCE_TESTS_SENDER_FIXTURE_H
#define PRESENCE_TESTS_SENDER_FIXTURE_H

#include "../support/own_loopback.h"
#include "../support/unit.h"

#include <arpa/inet.h>
#include <core/text.h>
#include <presence/presence.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_DEADLINE_S 60
#define RECEIVE_BUFFER     (8 << 20)

struct receiver {
    int socket;
    char address[32];
    uint64_t datagrams, bytes, visitors; /* received so far */
    uint32_t length;
    uint8_t datagram[65536];
    struct wire_scratch scratch;
    bool is_native;
    struct wire_v2_datagram native;  /* of a datagram that is */
    struct wire_heartbeat heartbeat; /* of text, or the native datagram's last record that was read;
                                        points into the above */
    uint32_t read;                   /* visitors of `heartbeat` that were read */
};

/* Listen on `port` of 127.0.0.1; 0: a free one. */
static inline void receiver_open(struct receiver *receiver, uint16_t port)
{
    const struct timeval deadline = {RECEIVE_DEADLINE_S, 0};
    const int buffer = RECEIVE_BUFFER;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof(address);

    memset(receiver, 0, sizeof(*receiver));
    receiver->socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(receiver->socket >= 0);
    assert_int_equal(bind(receiver->socket, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(receiver->socket, (struct sockaddr *)&address, &size), 0);
    setsockopt(receiver->socket, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
    /* Without the privilege the default buffer holds over 200 small datagrams. */
    setsockopt(receiver->socket, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
    snprintf(receiver->address, sizeof(receiver->address), "127.0.0.1:%u",
             (unsigned)ntohs(address.sin_port));
}

static inline void receiver_close(struct receiver *receiver)
{
    close(receiver->socket);
}

/* Read the datagram's next record. False if there is none. */
static inline bool receiver_record(struct receiver *receiver)
{
    receiver->read = 0;
    return receiver->is_native &&
           wire_v2_next(&receiver->native, &receiver->scratch, &receiver->heartbeat);
}

/* Receive a datagram and read its first record, if it has one. */
static inline bool receiver_take(struct receiver *receiver, int flags)
{
    ssize_t length = recv(receiver->socket, receiver->datagram, sizeof(receiver->datagram), flags);

    if (length < 0)
        return false;
    receiver->length = (uint32_t)length;
    receiver->heartbeat = (struct wire_heartbeat){0};
    receiver->is_native = wire_is_native(receiver->datagram, receiver->length);
    if (receiver->is_native) {
        assert_true(wire_is_v2(receiver->datagram, receiver->length));
        assert_int_equal(wire_v2_decode(receiver->datagram, receiver->length, &receiver->native),
                         WIRE_ACCEPTED);
        receiver->visitors += receiver->native.visitors;
        receiver_record(receiver);
    } else {
        assert_int_equal(text_decode(receiver->datagram, receiver->length, &receiver->scratch,
                                     &receiver->heartbeat),
                         WIRE_ACCEPTED);
        receiver->visitors += receiver->heartbeat.visitors;
        receiver->read = 0;
    }
    receiver->datagrams++;
    receiver->bytes += receiver->length;
    return true;
}

/* Return the port from which the next datagram has come, which is still to be received. */
static inline uint16_t receiver_sender_port(const struct receiver *receiver)
{
    struct sockaddr_in sender = {0};
    socklen_t size = sizeof(sender);

    assert_true(recvfrom(receiver->socket, NULL, 0, MSG_PEEK | MSG_TRUNC,
                         (struct sockaddr *)&sender, &size) >= 0);
    assert_int_not_equal(sender.sin_port, 0);
    return ntohs(sender.sin_port);
}

/* Wait for the next datagram and decode it. */
static inline void receiver_next(struct receiver *receiver)
{
    if (!receiver_take(receiver, 0))
        fail_msg("no datagram in %d s; %llu came before", RECEIVE_DEADLINE_S,
                 (unsigned long long)receiver->datagrams);
}

/* Check that nothing is queued: on loopback, what was sent has arrived when the call that sent it
 * returns. */
static inline void receiver_expect_nothing(struct receiver *receiver)
{
    if (receiver_take(receiver, MSG_DONTWAIT))
        fail_msg("a datagram of %u bytes that should not have been sent (yet)", receiver->length);
}

static inline struct presence_sender *receiver_sender(const struct receiver *receiver,
                                                      struct presence_sender_options options)
{
    struct presence_sender *sender = NULL;

    assert_int_equal(presence_sender_open(receiver->address, &options, &sender), 0);
    assert_non_null(sender);
    return sender;
}

/* Write the id of visitor `number`. */
static inline void visitor_id(uint64_t number, uint8_t ret_id[16])
{
    memset(ret_id, 0, 16);
    memcpy(ret_id + 8, &number, sizeof(number));
}

static inline uint64_t visitor_number(const uint8_t id[16])
{
    uint64_t number;
    memcpy(&number, id + 8, sizeof(number));
    return number;
}

static inline void send_number(struct presence_sender *sender, const struct presence_place *place,
                               uint64_t number)
{
    uint8_t id[16];

    visitor_id(number, id);
    assert_int_equal(presence_send_id(sender, place, id), 0);
}

/* Read the datagram's next visitor, and their place if it is another. False if there is none. */
static inline bool receiver_visitor(struct receiver *receiver, uint64_t *ret_number)
{
    if (receiver->read == receiver->heartbeat.visitors && !receiver_record(receiver))
        return false;
    *ret_number = visitor_number(receiver->heartbeat.visitor_ids + (size_t)receiver->read++ * 16);
    return true;
}

/* Check that the next datagram has the visitors `first` to `first + count - 1`, in this order. */
static inline void expect_numbers(struct receiver *receiver, uint64_t first, uint32_t count)
{
    uint64_t number = 0;

    receiver_next(receiver);
    assert_int_equal(receiver->native.visitors, count);
    for (uint32_t i = 0; i < count; i++) {
        assert_true(receiver_visitor(receiver, &number));
        assert_int_equal(number, first + i);
    }
}

static inline struct presence_sender_totals totals_of(const struct presence_sender *sender)
{
    struct presence_sender_totals totals;

    presence_sender_totals(sender, &totals);
    return totals;
}

#endif

/* test_sender_stream.c - the stream of a sender: numbers, and signs of life while it has nothing to
 * send.
 *
 * Linked with --wrap=clock_gettime: the sender's clock is set by hand.
 */
#include "golden.h"
#include "sender_fixture.h"

#include <common/monotonic.h>
#include <sender_datagram.h>
#include <sys/wait.h>

#define STREAM UINT64_C(0x0102030405060708)

static const struct presence_place here = {.site = "example.com"};

static struct receiver receiver;
static int64_t now_ms;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    (void)clock;
    *ret = (struct timespec){now_ms / 1000, now_ms % 1000 * NS_PER_MS};
    return 0;
}

static int open_receiver(void **state)
{
    (void)state;
    now_ms = 1000000;
    receiver_open(&receiver, 0);
    return 0;
}

static int close_receiver(void **state)
{
    (void)state;
    receiver_close(&receiver);
    return 0;
}

static struct presence_sender *open_sender(struct presence_sender_options options)
{
    return receiver_sender(&receiver, options);
}

static void send_one(struct presence_sender *sender)
{
    send_number(sender, &here, 1);
    presence_sender_flush(sender);
    receiver_next(&receiver);
    assert_int_equal(receiver.native.visitors, 1);
}

static void expect_empty(uint32_t sequence)
{
    receiver_next(&receiver);
    assert_int_equal(receiver.native.records, 0);
    assert_int_equal(receiver.datagram[7], 0); /* names */
    assert_int_equal(receiver.native.sequence, sequence);
}

static void datagrams_are_numbered(void **state)
{
    struct presence_sender *sender =
        open_sender((struct presence_sender_options){.batch = 1, .stream = STREAM, .target = 515});

    (void)state;
    for (uint32_t i = 1; i <= 300; i++) /* more than go in one call */
        send_number(sender, &here, i);
    presence_sender_flush(sender);
    for (uint32_t i = 1; i <= 300; i++) {
        expect_numbers(&receiver, i, 1);
        assert_true(receiver.native.stream == STREAM);
        assert_int_equal(receiver.native.target, 515);
        assert_int_equal(receiver.native.sequence, i);
    }
    presence_sender_close(sender);
}

/* 0 follows 2^32 - 1. */
static void numbers_wrap(void **state)
{
    struct presence_sender_options options = {
        .batch = 1, .datagram_bytes = 1400, .stream = STREAM, .no_offload = true};
    static struct outbox outbox;
    static struct datagram datagram;

    (void)state;
    assert_int_equal(outbox_open(&outbox, receiver.address, &options), 0);
    assert_int_equal(datagram_init(&datagram, &outbox, &options), 0);
    datagram.header.sequence = UINT32_MAX - 1;
    for (int i = 0; i < 3; i++)
        datagram_close(&datagram);
    outbox_send(&outbox);
    expect_empty(UINT32_MAX);
    expect_empty(0);
    expect_empty(1);
    datagram_free(&datagram);
    outbox_close(&outbox);
}

static void streams_are_random(void **state)
{
    uint64_t streams[3];

    (void)state;
    for (size_t i = 0; i < LENGTH(streams); i++) {
        struct presence_sender *sender = open_sender((struct presence_sender_options){0});
        send_one(sender);
        assert_int_equal(receiver.native.sequence, 1);
        streams[i] = receiver.native.stream;
        presence_sender_close(sender);
        assert_true(streams[i] != 0);
        assert_true(i == 0 || streams[i] != streams[i - 1]);
    }
}

/* Parent and child must not number their datagrams alike. */
static void a_child_has_its_own_stream(void **state)
{
    struct presence_sender *sender =
        open_sender((struct presence_sender_options){.stream = STREAM, .target = 3});
    int status;

    (void)state;
    send_one(sender);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        for (uint64_t i = 0; i < 2; i++) {
            send_number(sender, &here, i);
            presence_sender_flush(sender);
        }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    for (uint32_t i = 1; i <= 2; i++) {
        receiver_next(&receiver);
        assert_true(receiver.native.stream != STREAM && receiver.native.stream != 0);
        assert_int_equal(receiver.native.sequence, i);
        assert_int_equal(receiver.native.target, 3);
    }
    send_one(sender);
    assert_true(receiver.native.stream == STREAM);
    assert_int_equal(receiver.native.sequence, 2);
    presence_sender_close(sender);
}

/* A program that ends has no stream, and is not alive afterwards. */
static void one_shot_has_no_stream(void **state)
{
    struct presence_sender *sender =
        open_sender((struct presence_sender_options){.one_shot = true, .target = 3});

    (void)state;
    for (int i = 0; i < 3; i++) {
        send_one(sender);
        assert_true(receiver.native.stream == 0);
        assert_int_equal(receiver.native.sequence, 0);
        assert_int_equal(receiver.native.target, 3);
        now_ms += 5000;
        presence_sender_flush_aged(sender);
    }
    receiver_expect_nothing(&receiver);
    presence_sender_close(sender);
}

static void alive_once_a_second(void **state)
{
    struct bytes golden = bytes_from_hex(GOLDEN_V2_EMPTY_HEX);
    struct presence_sender *sender =
        open_sender((struct presence_sender_options){.stream = STREAM});

    (void)state;
    for (uint32_t i = 1; i <= 5; i++) {
        now_ms += 500;
        presence_sender_flush_aged(sender);
        receiver_expect_nothing(&receiver);
        now_ms += 500;
        presence_sender_flush_aged(sender);
        expect_empty(i);
        presence_sender_flush_aged(sender);
        presence_sender_flush(sender);
        receiver_expect_nothing(&receiver);
        if (i == 3) {
            assert_int_equal(receiver.length, golden.length);
            assert_memory_equal(receiver.datagram, golden.bytes, golden.length);
        }
    }
    struct presence_sender_totals totals = totals_of(sender);
    assert_int_equal(totals.datagrams, 5);
    assert_int_equal(totals.heartbeats, 0);
    presence_sender_close(sender);
    bytes_free(&golden);
}

/* Whatever is sent says that the sender is alive, too. */
static void not_while_others_are_sent(void **state)
{
    struct presence_sender *sender = open_sender((struct presence_sender_options){0});

    (void)state;
    for (uint32_t i = 1; i <= 10; i++) {
        now_ms += 700;
        send_one(sender);
        assert_int_equal(receiver.native.sequence, i);
        now_ms += 700;
        presence_sender_flush_aged(sender);
        receiver_expect_nothing(&receiver);
    }
    presence_sender_close(sender);
}

/* A visitor who may wait for longer than a second goes with the sign of life. */
static void alive_while_visitors_wait(void **state)
{
    struct presence_sender *sender =
        open_sender((struct presence_sender_options){.max_age_ms = 3600 * 1000});

    (void)state;
    send_number(sender, &here, 7);
    presence_sender_flush_aged(sender);
    receiver_expect_nothing(&receiver);
    now_ms += 1000;
    presence_sender_flush_aged(sender);
    expect_numbers(&receiver, 7, 1);
    receiver_expect_nothing(&receiver);
    presence_sender_close(sender);
}

/* A batch is as old as its first visitor, wherever the others are and however steadily they come.
 */
static void a_batch_is_as_old_as_its_first_visitor(void **state)
{
    static const struct presence_place there = {.site = "other.example"};
    struct presence_sender *sender =
        open_sender((struct presence_sender_options){.max_age_ms = 100});

    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        send_number(sender, i % 2 ? &there : &here, i);
        if (i < 4)
            receiver_expect_nothing(&receiver);
        now_ms += 25;
    }
    receiver_next(&receiver);
    assert_int_equal(receiver.native.visitors, 5);
    presence_sender_close(sender);
}

static void text_has_no_stream(void **state)
{
    struct presence_sender *sender =
        open_sender((struct presence_sender_options){.text = true, .stream = STREAM});

    (void)state;
    now_ms += 10000;
    presence_sender_flush_aged(sender);
    receiver_expect_nothing(&receiver);
    presence_sender_close(sender);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_receiver, close_receiver)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(datagrams_are_numbered),    TEST(numbers_wrap),
        TEST(streams_are_random),        TEST(a_child_has_its_own_stream),
        TEST(one_shot_has_no_stream),    TEST(alive_once_a_second),
        TEST(not_while_others_are_sent), TEST(alive_while_visitors_wait),
        TEST(text_has_no_stream),        TEST(a_batch_is_as_old_as_its_first_visitor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

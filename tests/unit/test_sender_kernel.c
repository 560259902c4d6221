/* test_sender_kernel.c - how a sender hands datagrams to the kernel, and handles refusals.
 *
 * Linked with --wrap=sendmmsg and --wrap=clock_gettime (sender_faults.h).
 */
#include "sender_faults.h"

static void runs_go_in_one_call(void **state)
{
    struct presence_sender *sender = single_sender(false);

    (void)state;
    send_numbers(sender, 130);
    assert_int_equal(fault.calls, 1);
    assert_int_equal(fault.segmented, 3); /* 64, 64 and 2 */
    assert_int_equal(totals_of(sender).calls, 1);
    expect_each(130);
    expect_totals(sender, 130, 0);
    presence_sender_close(sender);
}

/* Nor do they gather without end. */
static void gathered_datagrams_are_limited(void **state)
{
    struct presence_sender *sender = single_sender(false);

    (void)state;
    for (uint64_t i = 0; i < 600; i++)
        send_number(sender, &here, i);
    assert_int_equal(fault.calls, 2);
    presence_sender_flush(sender);
    assert_int_equal(fault.calls, 3);
    expect_each(600);
    presence_sender_close(sender);
}

static void offload_can_be_turned_off(void **state)
{
    struct presence_sender *sender = single_sender(true);

    (void)state;
    send_numbers(sender, 130);
    assert_int_equal(fault.calls, 1);
    assert_int_equal(fault.segmented, 0);
    expect_each(130);
    presence_sender_close(sender);
}

/* Datagrams of all sizes, so that runs begin and end everywhere. */
static void mixed_sizes_keep_their_order(void **state)
{
    uint64_t random = random_seed("mixed_sizes_keep_their_order"), next = 0, bytes = 0;
    struct presence_sender *sender = single_sender(false);

    (void)state;
    for (int round = 0; round < 200; round++) {
        static const char names[] = "/abcdefgh";
        uint64_t first = next, count = random_next(&random) % 150 + 1;
        for (uint64_t i = 0; i < count; i++) {
            /* Mostly the same size, sometimes shorter or longer. */
            uint64_t draw = random_next(&random);
            const char *room = draw % 8 ? "/room" : names + draw / 8 % 9;
            const struct presence_place place = {.site = "example.com", .room = room};
            bytes += 28 + 12 + (*room ? 1 + strlen(room) : 0) + 24;
            send_number(sender, &place, next++);
        }
        presence_sender_flush(sender);
        for (uint64_t i = first; i < next; i++)
            expect_numbers(&receiver, i, 1);
        receiver_expect_nothing(&receiver);
    }
    assert_true(fault.segmented > 200);
    expect_totals(sender, next, 0);
    assert_int_equal(totals_of(sender).bytes, bytes);
    assert_int_equal(receiver.bytes, bytes);
    presence_sender_close(sender);
}

/* No message is longer than one IP packet can be, however long its datagrams. */
static void long_runs_are_split(void **state)
{
    struct presence_sender *sender =
        receiver_sender(&receiver, (struct presence_sender_options){.datagram_bytes = 15000,
                                                                    .max_age_ms = LONG_AGE_MS});
    uint32_t fitting = (15000 - 28 - 12 - 4 * 8) / 16; /* in four records */

    (void)state;
    for (uint64_t i = 0; i < (uint64_t)fitting * 20; i++)
        send_number(sender, &here, i);
    presence_sender_flush(sender);
    for (uint64_t i = 0; i < 20; i++)
        expect_numbers(&receiver, i * fitting, fitting);
    receiver_expect_nothing(&receiver);
    assert_int_equal(totals_of(sender).failed, 0);
    assert_true(fault.segmented >= 5);
    presence_sender_close(sender);
}

static void refused_offload_is_done_without(void **state)
{
    static const int errors[] = {EIO, EINVAL, EOPNOTSUPP, ENOPROTOOPT, EMSGSIZE};

    (void)state;
    for (size_t i = 0; i < LENGTH(errors); i++) {
        struct presence_sender *sender = single_sender(false);
        fault.error = errors[i];
        fault.refusals = 1000000;
        fault.only_segmented = true;
        send_numbers(sender, 130);
        expect_each(130);
        expect_totals(sender, 130, 0);

        fault.segmented = 0; /* it does not try again */
        send_numbers(sender, 130);
        expect_each(130);
        assert_int_equal(fault.segmented, 0);
        expect_totals(sender, 260, 0);
        presence_sender_close(sender);
    }
}

/* One refusal may be about an earlier datagram: offload stays. */
static void offload_survives_a_report(void **state)
{
    struct presence_sender *sender = single_sender(false);

    (void)state;
    fault.error = EMSGSIZE;
    fault.refusals = 1;
    send_numbers(sender, 64);
    expect_each(64);
    fault.segmented = 0;
    send_numbers(sender, 64);
    assert_int_equal(fault.segmented, 1);
    presence_sender_close(sender);
}

static void short_calls_go_on(void **state)
{
    (void)state;
    for (unsigned most = 1; most < 4; most++) {
        for (int no_offload = 0; no_offload < 2; no_offload++) {
            struct presence_sender *sender = single_sender(no_offload);
            fault.most = most;
            send_numbers(sender, 200);
            expect_each(200);
            expect_totals(sender, 200, 0);
            presence_sender_close(sender);
        }
    }
}

static void full_socket_is_waited_for(void **state)
{
    static const int errors[] = {EAGAIN, ENOBUFS, ENOMEM, EINTR};

    (void)state;
    /* Otherwise a machine that stalls for longer than senders wait would make them give up. */
    time_stands_still = true;
    for (size_t i = 0; i < LENGTH(errors); i++) {
        struct presence_sender *sender = single_sender(true);
        fault.error = errors[i];
        fault.refusals = 5;
        send_numbers(sender, 100);
        expect_each(100);
        expect_totals(sender, 100, 0);
        presence_sender_close(sender);
    }
}

static void full_socket_is_not_waited_for_long(void **state)
{
    static const int errors[] = {EAGAIN, ENOBUFS};
    struct timespec before, after;

    (void)state;
    for (size_t i = 0; i < 2 * LENGTH(errors); i++) {
        struct presence_sender *sender = single_sender(i % 2);
        fault.error = errors[i / 2];
        fault.refusals = UINT32_MAX;
        clock_gettime(CLOCK_MONOTONIC, &before);
        send_numbers(sender, 100);
        clock_gettime(CLOCK_MONOTONIC, &after);
        assert_true(after.tv_sec - before.tv_sec < 5);
        expect_totals(sender, 0, 100);
        receiver_expect_nothing(&receiver);

        fault.refusals = 0;
        send_numbers(sender, 100);
        expect_each(100);
        expect_totals(sender, 100, 100);
        presence_sender_close(sender);
    }
}

/* Full datagrams have one size, whatever is in them, so that they are runs. */
static void mixed_places_are_runs(void **state)
{
    uint64_t random = random_seed("mixed_places_are_runs"), full = 0, odd = 0;
    struct presence_sender *sender =
        receiver_sender(&receiver, (struct presence_sender_options){.max_age_ms = LONG_AGE_MS});

    (void)state;
    for (uint64_t i = 0; i < 5000; i++) {
        char room[64];
        uint64_t draw = random_next(&random);
        snprintf(room, sizeof(room), "/%0*llu", 1 + (int)(draw % 30),
                 (unsigned long long)(draw / 32 % 1000));
        const struct presence_place place = {.site = "example.com", .room = room};
        send_number(sender, &place, i);
    }
    presence_sender_flush(sender);
    for (uint64_t next = 0, number = 0; next < 5000;) {
        receiver_next(&receiver);
        while (receiver_visitor(&receiver, &number))
            assert_int_equal(number, next++);
        full += receiver.length == 1400;
        odd += receiver.length != 1400;
    }
    assert_true(full >= 100);
    assert_true(odd <= full / 10); /* the last one, and those that a byte is missing in */
    assert_true(fault.segmented > 0 && fault.segmented <= 2 * (odd + full / 64 + 1));
    presence_sender_close(sender);
}

/* A datagram that is refused for good is lost alone. */
static void refused_datagram_is_counted(void **state)
{
    struct presence_sender *sender = single_sender(true);

    (void)state;
    fault.error = EPERM;
    fault.refusals = 2;
    send_numbers(sender, 3);
    expect_numbers(&receiver, 1, 1);
    expect_numbers(&receiver, 2, 1);
    receiver_expect_nothing(&receiver);
    expect_totals(sender, 2, 1);
    presence_sender_close(sender);
}

static void report_does_not_lose_the_next(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct presence_sender *sender = i / 2 ? hasty_sender(i % 2) : single_sender(i % 2);

        memset(&fault, 0, sizeof(fault));
        fault.error = ECONNREFUSED;
        fault.refusals = 1;
        send_numbers(sender, 3);
        expect_each(3);
        expect_totals(sender, 3, 0);

        fault.every_other = true;
        fault.most = 1;
        send_numbers(sender, 100);
        expect_each(100);
        expect_totals(sender, 103, 0);
        presence_sender_close(sender);
    }
}

/* Without a fault: the collector stops, and comes back on the same port. */
static void nobody_listens_for_a_while(void **state)
{
    (void)state;
    for (int no_offload = 0; no_offload < 2; no_offload++) {
        struct presence_sender *sender = single_sender(no_offload);
        uint16_t port = (uint16_t)atoi(strchr(receiver.address, ':') + 1);

        send_numbers(sender, 2);
        expect_each(2);
        assert_int_equal(totals_of(sender).refused, 0);
        receiver_close(&receiver);
        send_numbers(sender, 10);
        /* The kernel's reports, which a busy machine may be late with. */
        for (int i = 0; i < 1000 * RECEIVE_DEADLINE_S && totals_of(sender).refused == 0; i++) {
            usleep(1000);
            presence_sender_flush(sender);
        }
        struct presence_sender_totals totals = totals_of(sender);
        assert_in_range(totals.refused, 1, 10);
        assert_int_equal(totals.datagrams, 12);
        assert_int_equal(totals.failed, 0);

        receiver_open(&receiver, port);
        send_numbers(sender, 5);
        expect_each(5); /* and the last reports came before these */
        totals = totals_of(sender);
        assert_in_range(totals.refused, 1, 10);
        send_numbers(sender, 5);
        expect_each(5);
        assert_int_equal(totals_of(sender).refused, totals.refused);
        presence_sender_close(sender);
    }
}

static void totals_add_up(void **state)
{
    uint64_t random = random_seed("totals_add_up"), queued = 0;
    struct presence_sender *sender =
        receiver_sender(&receiver, (struct presence_sender_options){.batch = 7, .max_age_ms = 1});

    (void)state;
    for (int i = 0; i < 20000; i++) {
        static const char *const rooms[] = {NULL, "/a", "/b", "/a/long/one"};
        uint64_t draw = random_next(&random);
        const struct presence_place place = {
            .kind = draw % 16 == 0 ? PRESENCE_LEAVE : PRESENCE_HEARTBEAT,
            .site = "example.com",
            .room = rooms[draw / 16 % LENGTH(rooms)],
        };
        send_number(sender, &place, draw / 64);
        queued++;
        if (draw % 1024 < 20)
            presence_sender_flush(sender);
        while (receiver_take(&receiver, MSG_DONTWAIT))
            continue;
    }
    presence_sender_flush(sender);
    struct presence_sender_totals totals = totals_of(sender);
    assert_int_equal(totals.heartbeats, queued);
    while (receiver.datagrams < totals.datagrams)
        receiver_next(&receiver);
    receiver_expect_nothing(&receiver);
    assert_int_equal(totals.heartbeats, receiver.visitors);
    assert_int_equal(totals.datagrams, receiver.datagrams);
    assert_int_equal(totals.bytes, receiver.bytes);
    assert_int_equal(totals.calls, fault.calls);
    assert_int_equal(totals.failed, 0);
    assert_int_equal(totals.refused, 0);
    presence_sender_close(sender);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(runs_go_in_one_call),
        TEST(gathered_datagrams_are_limited),
        TEST(offload_can_be_turned_off),
        TEST(mixed_sizes_keep_their_order),
        TEST(long_runs_are_split),
        TEST(refused_offload_is_done_without),
        TEST(offload_survives_a_report),
        TEST(short_calls_go_on),
        TEST(full_socket_is_waited_for),
        TEST(full_socket_is_not_waited_for_long),
        TEST(mixed_places_are_runs),
        TEST(refused_datagram_is_counted),
        TEST(report_does_not_lose_the_next),
        TEST(nobody_listens_for_a_while),
        TEST(totals_add_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

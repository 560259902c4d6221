/* test_sender_no_wait.c - a sender that waits for nothing: what its kernel refuses is given up at
 * once, and counted.
 *
 * Linked with --wrap=sendmmsg and --wrap=clock_gettime (sender_faults.h).
 */
#include "sender_faults.h"

/* With `no_wait`, time may stand still: nothing waits for it to pass. All is given up at once,
 * without a call for each message. */
static void full_socket_is_not_waited_for_at_all(void **state)
{
    static const int errors[] = {EAGAIN, ENOMEM, ENOBUFS};

    (void)state;
    time_stands_still = true;
    for (size_t i = 0; i < 2 * LENGTH(errors) - 1; i++) { /* not ENOBUFS for a run */
        struct presence_sender *sender = hasty_sender(i < LENGTH(errors));
        fault.error = errors[i % LENGTH(errors)];
        fault.refusals = 1;
        fault.calls = 0;
        send_numbers(sender, 100);
        assert_int_equal(fault.calls, 1);
        receiver_expect_nothing(&receiver);
        expect_totals(sender, 0, 100);

        send_numbers(sender, 100);
        expect_each(100);
        expect_totals(sender, 100, 100);
        presence_sender_close(sender);
    }
}

/* What has been accepted before the socket was full is sent, and no more. */
static void full_socket_has_taken_some(void **state)
{
    struct presence_sender *sender = hasty_sender(true);

    (void)state;
    fault.error = EAGAIN;
    fault.most = 30;
    fault.refuse_from = 2;
    send_numbers(sender, 100);
    assert_int_equal(fault.calls, 2);
    expect_each(30);
    expect_totals(sender, 30, 70);
    assert_int_equal(totals_of(sender).calls, 1);
    presence_sender_close(sender);
}

/* A run that a queue below the socket has refused may have left in part, so it is not sent again,
 * and counts as sent: what is counted as failed never arrives. */
static void refused_run_is_never_sent_twice(void **state)
{
    struct presence_sender *sender = hasty_sender(false);

    (void)state;
    fault.error = ENOBUFS;
    fault.refuse_from = 2;
    send_numbers(sender, 200); /* 64, 64, 64 and 8 */
    assert_int_equal(fault.calls, 2);
    expect_each(64);
    expect_totals(sender, 128, 72);
    presence_sender_close(sender);
}

/* The kernel doesn't say why it takes fewer messages than it is given, so a run goes alone. */
static void runs_go_alone_without_waiting(void **state)
{
    struct presence_sender *sender = hasty_sender(false);

    (void)state;
    send_numbers(sender, 130);
    assert_int_equal(fault.calls, 3);
    expect_each(130);
    expect_totals(sender, 130, 0);
    presence_sender_close(sender);
}

/* Where nothing can be sent, `no_wait` gives all of it up after trying twice. Neither a route nor a
 * firewall is a reason to do without segmentation afterwards. */
static void no_way_is_given_up_at_once(void **state)
{
    static const int errors[] = {ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EINVAL, ENETDOWN,
                                 EPERM,       EACCES,       ENOKEY,        EIO};

    (void)state;
    for (size_t i = 0; i < 2 * LENGTH(errors); i++) {
        struct presence_sender *sender = hasty_sender(i % 2);
        fault.error = errors[i / 2];
        fault.refusals = UINT32_MAX;
        fault.calls = 0;
        send_numbers(sender, 200);
        assert_in_range(fault.calls, 1, 4);
        expect_totals(sender, 0, 200);
        receiver_expect_nothing(&receiver);

        fault.refusals = 0;
        fault.segmented = 0;
        send_numbers(sender, 128);
        expect_each(128);
        expect_totals(sender, 128, 200);
        assert_int_equal(fault.segmented, i % 2 ? 0 : 2);
        presence_sender_close(sender);
    }
}

/* A datagram that is too long is no reason to give up the others. */
static void too_long_is_given_up_alone(void **state)
{
    struct presence_sender *sender = hasty_sender(true);

    (void)state;
    fault.error = EMSGSIZE;
    fault.refusals = 2;
    send_numbers(sender, 3);
    expect_numbers(&receiver, 1, 1);
    expect_numbers(&receiver, 2, 1);
    receiver_expect_nothing(&receiver);
    expect_totals(sender, 2, 1);
    presence_sender_close(sender);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(full_socket_is_not_waited_for_at_all), TEST(full_socket_has_taken_some),
        TEST(refused_run_is_never_sent_twice),      TEST(runs_go_alone_without_waiting),
        TEST(no_way_is_given_up_at_once),           TEST(too_long_is_given_up_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* sender_faults.h - a sender whose kernel refuses what the test wants it to refuse.
 *
 * Link with --wrap=sendmmsg and --wrap=clock_gettime: a fault can be injected before the real call,
 * and the sender's clock can be stopped.
 */
#ifndef PRESENCE_TESTS_SENDER_FAULTS_H
#define PRESENCE_TESTS_SENDER_FAULTS_H

#include "sender_fixture.h"

#include <errno.h>
#include <netinet/udp.h>
#include <time.h>

#define LONG_AGE_MS (3600 * 1000)

static const struct presence_place here = {.site = "example.com"};

/* Faults of the next calls of sendmmsg. */
static struct {
    int error;            /* with which messages are refused */
    unsigned refusals;    /* how many calls are refused from now on */
    bool only_segmented;  /* and only for a first message that is to be segmented */
    bool every_other;     /* refuse every other call, for ever */
    unsigned refuse_from; /* refuse all calls from this one on; 0: none */
    unsigned most;        /* messages that a call accepts; 0: all */
    unsigned calls;       /* counted */
    unsigned segmented;   /* messages to be segmented that were offered */
} fault;

static inline bool is_segmented(const struct msghdr *message)
{
    const struct cmsghdr *control = CMSG_FIRSTHDR(message);

    return control && control->cmsg_level == SOL_UDP && control->cmsg_type == UDP_SEGMENT;
}

int __real_sendmmsg(int descriptor, struct mmsghdr *messages, unsigned length, int flags);
int __wrap_sendmmsg(int descriptor, struct mmsghdr *messages, unsigned length, int flags);

int __wrap_sendmmsg(int descriptor, struct mmsghdr *messages, unsigned length, int flags)
{
    fault.calls++;
    for (unsigned i = 0; i < length; i++)
        fault.segmented += is_segmented(&messages[i].msg_hdr);
    if ((fault.every_other && fault.calls % 2 == 1) ||
        (fault.refuse_from && fault.calls >= fault.refuse_from)) {
        errno = fault.error;
        return -1;
    }
    if (fault.refusals > 0 && (!fault.only_segmented || is_segmented(&messages[0].msg_hdr))) {
        fault.refusals--;
        errno = fault.error;
        return -1;
    }
    if (fault.most > 0 && length > fault.most)
        length = fault.most;
    return __real_sendmmsg(descriptor, messages, length, flags);
}

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

static bool time_stands_still;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    if (!time_stands_still || clock != CLOCK_MONOTONIC_COARSE)
        return __real_clock_gettime(clock, ret);
    *ret = (struct timespec){.tv_sec = 1000};
    return 0;
}

static struct receiver receiver;

static inline int begin(void **state)
{
    (void)state;
    memset(&fault, 0, sizeof(fault));
    time_stands_still = false;
    receiver_open(&receiver, 0);
    return 0;
}

static inline int end(void **state)
{
    (void)state;
    receiver_close(&receiver);
    return 0;
}

static inline struct presence_sender *single_sender(bool no_offload)
{
    return receiver_sender(&receiver, (struct presence_sender_options){.batch = 1,
                                                                       .max_age_ms = LONG_AGE_MS,
                                                                       .no_offload = no_offload});
}

static inline void send_numbers(struct presence_sender *sender, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        send_number(sender, &here, i);
    presence_sender_flush(sender);
}

static inline void expect_each(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        expect_numbers(&receiver, i, 1);
    receiver_expect_nothing(&receiver);
}

static inline void expect_totals(const struct presence_sender *sender, uint64_t datagrams,
                                 uint64_t failed)
{
    struct presence_sender_totals totals = totals_of(sender);

    assert_int_equal(totals.datagrams, datagrams);
    assert_int_equal(totals.heartbeats, datagrams);
    assert_int_equal(totals.failed, failed);
}

/* One that waits for nothing. */
static inline struct presence_sender *hasty_sender(bool no_offload)
{
    return receiver_sender(&receiver, (struct presence_sender_options){.batch = 1,
                                                                       .max_age_ms = LONG_AGE_MS,
                                                                       .no_offload = no_offload,
                                                                       .no_wait = true});
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

#endif

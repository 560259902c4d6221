/* test_sender_signed.c - the sending half of presence.h with a key: every datagram has its tag. */
#include "golden.h"
#include "sender_fixture.h"

#include <core/siphash.h>
#include <errno.h>
#include <time.h>

#define GOLDEN_KEY                                            \
    {                                                         \
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \
    }

static const struct presence_sender_options golden_options = {.key_id = 7, .key = GOLDEN_KEY};
static const uint8_t golden_key[SIPHASH_KEY_SIZE] = GOLDEN_KEY;

static struct receiver receiver;
static time_t wall_now = GOLDEN_SENT_AT;

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
        return __real_clock_gettime(clock, ret);
    *ret = (struct timespec){.tv_sec = wall_now};
    return 0;
}

static int open_receiver(void **state)
{
    (void)state;
    receiver_open(&receiver, 0);
    return 0;
}

static int close_receiver(void **state)
{
    (void)state;
    receiver_close(&receiver);
    return 0;
}

static void expect_signed(uint32_t sent_at)
{
    receiver_next(&receiver);
    assert_true(receiver.native.authenticated);
    assert_int_equal(receiver.native.key_id, 7);
    assert_int_equal(receiver.native.sent_at, sent_at);
    assert_true(siphash_tag_matches(siphash_key(golden_key), receiver.datagram,
                                    receiver.length - WIRE_TAG_SIZE, receiver.native.tag));
}

static void golden_datagram(void **state)
{
    const struct presence_place place = {.site = "Example.COM"};
    struct presence_sender_options options = golden_options;
    options.stream = UINT64_C(0x0102030405060708);
    struct presence_sender *sender = receiver_sender(&receiver, options);
    struct bytes golden = bytes_from_hex(GOLDEN_V2_SIGNED_HEX);

    (void)state;
    wall_now = GOLDEN_SENT_AT;
    for (int sequence = 1; sequence <= 2; sequence++) {
        assert_int_equal(presence_send(sender, &place, GOLDEN_VISITOR_TEXT), 0);
        presence_sender_flush(sender);
        receiver_next(&receiver);
    }
    presence_sender_close(sender);
    assert_int_equal(receiver.length, golden.length);
    assert_memory_equal(receiver.datagram, golden.bytes, golden.length);
    bytes_free(&golden);
}

/* Whatever it contains, and with the time at which it is closed. */
static void every_datagram(void **state)
{
    static const struct presence_place places[] = {
        {.site = "a"},
        {.site = "a", .room = "/b", .country = "de", .source = "c"},
        {.site = "a", .kind = PRESENCE_LEAVE},
        {.site = "a", .kind = PRESENCE_PAGEVIEW},
        {.site = "a", .kind = PRESENCE_EVENT, .event = "e"},
    };
    struct presence_sender *sender = receiver_sender(&receiver, golden_options);

    (void)state;
    for (uint32_t round = 0; round < 3; round++) {
        wall_now = (time_t)(1000 + 10 * round);
        for (size_t i = 0; i < LENGTH(places); i++)
            send_number(sender, &places[i], i);
        presence_sender_flush(sender);
        expect_signed(1000 + 10 * round);
        assert_int_equal(receiver.native.visitors, LENGTH(places));
    }
    presence_sender_close(sender);
}

/* The tag needs eight bytes of the room for visitors, and of the longest datagram. */
static void sizes(void **state)
{
    const struct presence_place place = {.site = "12345678901"};

    (void)state;
    for (uint32_t bytes = 72; bytes < 140; bytes++) {
        struct presence_sender_options options = golden_options;
        options.datagram_bytes = bytes;
        struct presence_sender *sender = receiver_sender(&receiver, options);
        uint32_t fitting = (bytes - 28 - 12 - 8 - 8) / 16;
        for (uint32_t i = 0; i < 2 * fitting; i++)
            send_number(sender, &place, i);
        presence_sender_flush(sender);
        for (int i = 0; i < 2; i++) {
            expect_signed((uint32_t)wall_now);
            assert_int_equal(receiver.native.visitors, fitting);
            assert_in_range(receiver.length, 1, bytes);
        }
        receiver_expect_nothing(&receiver);
        presence_sender_close(sender);
    }
}

static void options(void **state)
{
    const struct {
        int error;
        struct presence_sender_options options;
    } cases[] = {
        {0, {.key_id = 1, .datagram_bytes = 62}},
        {-EINVAL, {.key_id = 1, .datagram_bytes = 61}},
        {0, {.key_id = 255}},
        {-EINVAL, {.key_id = 7, .key = GOLDEN_KEY, .text = true}},
        {0, {.key_id = 0, .key = GOLDEN_KEY, .text = true}},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct presence_sender *sender = NULL;
        assert_int_equal(presence_sender_open("127.0.0.1:9", &cases[i].options, &sender),
                         cases[i].error);
        assert_int_equal(sender != NULL, cases[i].error == 0);
        presence_sender_close(sender);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_receiver, close_receiver)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(golden_datagram),
        TEST(every_datagram),
        TEST(sizes),
        cmocka_unit_test(options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

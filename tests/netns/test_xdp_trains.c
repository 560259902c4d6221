/* test_xdp_trains.c - if the kernel hands over several datagrams as one packet, none that would be
 * counted is dropped. */
#include "filter.h"

#define SEARCHED 1536 /* bytes; longer packets are not searched for a second datagram */

/* What generic mode may see as one packet: `count` datagrams of `size` bytes, the last of `last`.
 */
static uint32_t write_train(uint8_t *train, const uint8_t *datagram, uint32_t size, unsigned count,
                            const uint8_t *last, uint32_t last_size)
{
    for (unsigned i = 0; i < count; i++)
        memcpy(train + i * size, datagram, size);
    memcpy(train + count * size, last, last_size);
    return count * size + last_size;
}

/* Judge trains of up to 99 datagrams and a last one: they pass in generic mode only. */
static void judge_trains(struct filter *generic, struct filter *native, bool v6,
                         const uint8_t *datagram, uint32_t size, const uint8_t *last,
                         uint32_t last_size)
{
    uint8_t train[FRAME_MAX];

    for (unsigned count = 1; count < 100; count++) {
        uint32_t length = write_train(train, datagram, size, count, last, last_size);
        assert_int_equal(run_payload(generic, v6, train, length), PRESENCE_XDP_PASSED);
        assert_int_equal(run_payload(native, v6, train, length), PRESENCE_XDP_MALFORMED);
    }
}

static void trains_pass_in_generic_mode(void **state)
{
    static const char text[] = "<190>Nov 22 03:56:23 presence: PH1 site=a visitor=b";
    uint8_t train[FRAME_MAX], two[128], one[64];
    uint32_t two_size = payload_native(2, two), one_size = payload_native(1, one), length;
    struct filter generic, native;

    (void)state;
    open_filter(&generic, true, NULL, 0, 0);
    open_filter(&native, false, NULL, 0, 0);
    for (int v6 = 0; v6 < 2; v6++) {
        judge_trains(&generic, &native, v6, two, two_size, one, one_size);
        length = write_train(train, two, two_size, 1, (const uint8_t *)text, sizeof(text) - 1);
        assert_int_equal(run_payload(&generic, v6, train, length), PRESENCE_XDP_PASSED);
        length = write_train(train, (const uint8_t *)text, sizeof(text) - 1, 1, one, one_size);
        assert_int_equal(run_payload(&generic, v6, train, length), PRESENCE_XDP_PASSED);
        /* A datagram that is longer than its length field. */
        length = write_train(train, two, two_size, 1, (const uint8_t *)"\0\0\0", 3);
        assert_int_equal(run_payload(&generic, v6, train, length), PRESENCE_XDP_MALFORMED);
        length = write_train(train, two, two_size, 1, (const uint8_t *)"P", 1);
        assert_int_equal(run_payload(&generic, v6, train, length), PRESENCE_XDP_MALFORMED);
    }
    close_filter(&generic);
    close_filter(&native);
}

/* Trains of libpresence, which only sends this version in them. */
static void trains_of_version_2_pass_in_generic_mode(void **state)
{
    uint8_t train[FRAME_MAX], two[128], one[128];
    uint32_t two_size = payload_v2(2, 1, two), one_size = payload_v2(1, 2, one), length;
    struct filter generic, native;

    (void)state;
    open_filter(&generic, true, NULL, 0, 0);
    open_filter(&native, false, NULL, 0, 0);
    for (int v6 = 0; v6 < 2; v6++) {
        judge_trains(&generic, &native, v6, two, two_size, one, one_size);
        length = write_train(train, two, two_size, 1, (const uint8_t *)"\0\0\0", 3);
        assert_int_equal(run_payload(&generic, v6, train, length), PRESENCE_XDP_MALFORMED);
    }
    close_filter(&generic);
    close_filter(&native);
}

/* A valid datagram of a train is not lost, whatever the first one is. */
static void bad_beginnings_of_trains_pass(void **state)
{
    static const char text[] = "PH1 site=a visitor=b";
    static const struct {
        const char *magic;
        int fate;
    } beginnings[] = {
        {"PH\1", PRESENCE_XDP_MALFORMED},
        {"PH\2", PRESENCE_XDP_MALFORMED},
        {"PH\3", PRESENCE_XDP_VERSION},
    };
    uint8_t train[FRAME_MAX], bad[2048], valid[3][128];
    uint32_t valid_size[3] = {payload_native(1, valid[0]), payload_v2(1, 1, valid[1]),
                              sizeof(text) - 1};
    struct filter generic;

    (void)state;
    open_filter(&generic, true, NULL, 0, 0);
    memcpy(valid[2], text, sizeof(text) - 1);
    memset(bad, 0xff, sizeof(bad));
    for (uint32_t size = 3; size <= sizeof(bad); size++) {
        const uint8_t *behind = valid[size / 3 % 3];
        memcpy(bad, beginnings[size % 3].magic, 3);
        uint32_t length = write_train(train, bad, size, 1, behind, valid_size[size / 3 % 3]);
        if (run_payload(&generic, size & 4, train, length) != PRESENCE_XDP_PASSED)
            fail_msg("a valid datagram behind %u bad bytes is lost", size);
        int alone = run_payload(&generic, size & 4, bad, size);
        if (alone != (size > SEARCHED ? PRESENCE_XDP_PASSED : beginnings[size % 3].fate))
            fail_msg("%u bad bytes alone have fate %d", size, alone);
    }
    close_filter(&generic);
}

int main(void)
{
    if (!can_load_filter())
        return 77; /* skipped */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trains_pass_in_generic_mode),
        cmocka_unit_test(trains_of_version_2_pass_in_generic_mode),
        cmocka_unit_test(bad_beginnings_of_trains_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

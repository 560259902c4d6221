/* test_ring.c - what a bucket's tag does to its changes. */
#include "../support/unit.h"

#include <core/ring.h>

static void older_tags_are_dropped_and_newer_ones_reset(void **state)
{
    uint64_t bucket = 0;

    (void)state;
    ring_add_bucket(&bucket, 7, 3);
    ring_add_bucket(&bucket, 7, -5); /* a subtraction may come before its addition */
    assert_int_equal(ring_bucket_count(&bucket, 7), -2);
    ring_add_bucket(&bucket, 7 + RING_SECONDS, 1);
    assert_int_equal(ring_bucket_count(&bucket, 7 + RING_SECONDS), 1);
    ring_add_bucket(&bucket, 7, 9);
    assert_int_equal(ring_bucket_count(&bucket, 7 + RING_SECONDS), 1);
    assert_int_equal(ring_bucket_count(&bucket, 7), 0);
    bucket = UINT64_C(0xfffffff0) << 32 | 4; /* tags wrap around, too */
    ring_add_bucket(&bucket, 16, 1);
    assert_int_equal(ring_bucket_count(&bucket, 16), 1);
}

static void a_lone_writer_adds_the_same(void **state)
{
    uint64_t random = random_seed("alone"), shared = 0, own = 0;
    uint32_t tag = 0;

    (void)state;
    for (unsigned step = 0; step < 100000; step++) {
        uint64_t draw = random_next(&random);
        int32_t delta = (int32_t)(draw % 9) - 4;
        tag += draw >> 20 & 7 ? (uint32_t)(draw >> 24 & 3) - 1 : (uint32_t)(draw >> 32);
        ring_add_bucket(&shared, tag, delta);
        ring_add_bucket_alone(&own, tag, delta);
        assert_int_equal(own, shared);
    }
}

/* However far the tag is from 0. */
static void an_unused_bucket_takes_any_tag(void **state)
{
    static const uint32_t tags[] = {1, INT32_MAX, UINT32_C(1) << 31, UINT32_MAX};

    (void)state;
    for (unsigned i = 0; i < LENGTH(tags); i++) {
        uint64_t bucket = 0, alone = 0;
        ring_add_bucket(&bucket, tags[i], 1);
        ring_add_bucket_alone(&alone, tags[i], 1);
        assert_int_equal(ring_bucket_count(&bucket, tags[i]), 1);
        assert_int_equal(ring_bucket_count(&alone, tags[i]), 1);
    }
}

static void windows_are_rounded_above_480(void **state)
{
    (void)state;
    assert_int_equal(window_rounded(1), 1);
    assert_int_equal(window_rounded(480), 480);
    assert_int_equal(window_rounded(481), 540);
    assert_int_equal(window_rounded(540), 540);
    assert_int_equal(window_rounded(3600), 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(older_tags_are_dropped_and_newer_ones_reset),
        cmocka_unit_test(a_lone_writer_adds_the_same),
        cmocka_unit_test(an_unused_bucket_takes_any_tag),
        cmocka_unit_test(windows_are_rounded_above_480),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

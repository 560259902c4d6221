/* test_ring.c - the rings against a model that knows every visitor's last tick. */
#include "../support/buckets.h"
#include "../support/unit.h"

#include <core/ring.h>

/* The contract in the fewest words. */
static int64_t naive_sum(const uint64_t *buckets, uint32_t size, uint64_t last, uint32_t length)
{
    int64_t sum = 0;

    for (uint64_t age = 0; age < length && age <= last; age++) {
        uint64_t word = buckets[(last - age) % size];
        if ((uint32_t)(word >> 32) == (uint32_t)(last - age))
            sum += (int32_t)(uint32_t)word;
    }
    return sum;
}

/* Fill the buckets around `last`: most carry their tag, some an older or newer one, counts of any
 * size. */
static void fill(uint64_t *random, uint64_t *buckets, uint32_t size, uint64_t last)
{
    for (uint64_t age = 0; age < size; age++) {
        uint64_t tick = last - age;
        uint64_t tag = tick & 0xffffffff;
        uint64_t count = (random_next(random) % 4) == 0 ? random_next(random) & 0xffffffff
                                                        : (random_next(random) % 100000);
        if ((random_next(random) % 8) == 0)
            tag = (tag + ((random_next(random) % 2) ? size : -(uint64_t)size)) & 0xffffffff;
        buckets[tick % size] = tag << 32 | count;
    }
}

static uint64_t random_last(uint64_t *random)
{
    switch ((random_next(random) % 4)) {
    case 0:
        return (random_next(random) % 1000); /* soon after boot */
    case 1:                                  /* about the tag's wraparound */
        return (UINT64_C(1) << 32) - 300 + (random_next(random) % 600);
    default:
        return random_next(random) % (UINT64_C(1) << 33);
    }
}

static void sum_is_the_naive_one(void **state)
{
    uint64_t random = random_seed("sums");
    _Alignas(16) static uint64_t storage[RING_SECONDS + 1];

    (void)state;
    for (int round = 0; round < 300; round++) {
        uint32_t size = round % 2 ? RING_SECONDS : RING_MINUTES;
        uint32_t longest = round % 2 ? WINDOW_FINE_MAX : WINDOW_MAX / 60;
        uint64_t *buckets =
            storage + (random_next(&random) % 2); /* an alignment of 8 bytes is enough */
        uint64_t last = random_last(&random);
        fill(&random, buckets, size, last);
        for (uint32_t length = 1; length <= longest; length++)
            assert_int_equal(ring_sum(buckets, size, last, length),
                             naive_sum(buckets, size, last, length));
    }
}

#if RING_VECTOR_SUM
/* Test both ways, whichever the processor makes ring_sum choose. */
static void vector_sums_agree(void **state)
{
    uint64_t random = random_seed("vectors");
    _Alignas(16) static uint64_t buckets[RING_SECONDS];

    (void)state;
    for (int round = 0; round < 200; round++) {
        uint64_t last = RING_SECONDS - 1 + RING_SECONDS * (random_next(&random) % 1000);
        uint32_t first = (uint32_t)(random_next(&random) % (RING_SECONDS / 2)) * 2;
        uint32_t eights = (uint32_t)(random_next(&random) % ((RING_SECONDS - first) / 8 + 1));
        uint64_t tag = last + 1 - RING_SECONDS + first;
        fill(&random, buckets, RING_SECONDS, last);
        int64_t expected = naive_sum(buckets, RING_SECONDS, tag + eights * 8 - 1, eights * 8);
        assert_int_equal(ring_sum_fours(buckets + first, eights * 2, (uint32_t)tag), expected);
        if (__builtin_cpu_supports("avx2"))
            assert_int_equal(ring_sum_eights(buckets + first, eights, (uint32_t)tag), expected);
    }
}
#endif

static void extreme_counts_do_not_overflow(void **state)
{
    static const uint32_t counts[] = {INT32_MAX, (uint32_t)INT32_MIN, 0x0000ffff, 0xffff0000};
    static struct ring ring;
    uint64_t last = 5000;

    (void)state;
    for (size_t i = 0; i < LENGTH(counts); i++) {
        for (uint64_t tick = last - RING_SECONDS + 1; tick <= last; tick++)
            ring.seconds[tick % RING_SECONDS] = tick << 32 | counts[i];
        assert_int_equal(ring_count(&ring, last, WINDOW_FINE_MAX),
                         (int64_t)(int32_t)counts[i] * WINDOW_FINE_MAX);
    }
}

static void a_tick_from_the_end_of_time_ends(void **state)
{
    static struct ring ring;

    (void)state;
    assert_int_equal(ring_sum(ring.seconds, RING_SECONDS, UINT64_MAX, 300), 0);
    ring_sum(ring.seconds, RING_SECONDS, UINT64_MAX - 1, 300);
}

#define VISITORS 200

/* Count by R3: active while now - last < W, or in whole minutes above 480 s. */
static int64_t active(const uint64_t *last, uint64_t now, uint32_t window_s)
{
    int64_t count = 0;

    for (int i = 0; i < VISITORS; i++) {
        if (!last[i])
            continue;
        if (window_s <= WINDOW_FINE_MAX)
            count += now - last[i] < window_s;
        else
            count += now / 60 - last[i] / 60 < (window_s + 59) / 60;
    }
    return count;
}

static void counts_follow_the_rule(void **state)
{
    uint64_t random = random_seed("visitors");
    static struct ring ring;
    uint64_t last[VISITORS] = {0};
    uint64_t now = 100000 + (random_next(&random) % 100000);

    (void)state;
    for (int step = 0; step < 3000; step++) {
        now +=
            (random_next(&random) % 8) ? (random_next(&random) % 3) : (random_next(&random) % 200);
        for (uint64_t i = (random_next(&random) % 4); i > 0; i--) {
            uint64_t *visitor = &last[(random_next(&random) % VISITORS)];
            ring_add(&ring, now, 1);
            if (*visitor)
                ring_add(&ring, *visitor, -1); /* dropped if the bucket has moved on */
            *visitor = now;
        }
        uint32_t window_s = 1 + (uint32_t)(random_next(&random) % WINDOW_MAX);
        if ((random_next(&random) % 2))
            window_s = 1 + window_s % WINDOW_FINE_MAX;
        assert_int_equal(ring_count(&ring, now, window_s), active(last, now, window_s));
    }
}

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
        cmocka_unit_test(sum_is_the_naive_one),
#if RING_VECTOR_SUM
        cmocka_unit_test(vector_sums_agree),
#endif
        cmocka_unit_test(extreme_counts_do_not_overflow),
        cmocka_unit_test(a_tick_from_the_end_of_time_ends),
        cmocka_unit_test(counts_follow_the_rule),
        cmocka_unit_test(older_tags_are_dropped_and_newer_ones_reset),
        cmocka_unit_test(a_lone_writer_adds_the_same),
        cmocka_unit_test(an_unused_bucket_takes_any_tag),
        cmocka_unit_test(windows_are_rounded_above_480),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_ring_sum.c - counts of rings against a model that knows every visitor's last tick. */
#include "../support/buckets.h"
#include "../support/unit.h"

#include <core/ring_sum.h>

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

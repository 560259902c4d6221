/* test_shard.c - shard.h: which shard has a visitor. The expected values come from an
 * implementation of XXH3-64 for 16 bytes that was written after its specification, in Python, and
 * from libxxhash: both say the same. */
#include "../support/unit.h"

#include <common/shard.h>

#include "golden.h"

static const uint32_t counts[] = {1, 2, 3, 5, 64, UINT32_MAX};

static const struct {
    const char *visitor;
    uint32_t shards[LENGTH(counts)];
} cases[] = {
    {GOLDEN_VISITOR_HEX, {0, 1, 1, 3, 39, 2634921871}},
    {GOLDEN_VISITOR_2_HEX, {0, 0, 0, 1, 13, 890089033}},
    {GOLDEN_ID_HEX, {0, 1, 2, 4, 56, 3769242914}},
    {"00000000000000000000000000000000", {0, 1, 2, 4, 52, 3500567140}},
    {"ffffffffffffffffffffffffffffffff", {0, 0, 1, 2, 28, 1915363374}},
};

static void fixed_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct bytes visitor = bytes_from_hex(cases[i].visitor);
        for (size_t j = 0; j < LENGTH(counts); j++)
            assert_int_equal(shard_of(visitor.bytes, counts[j]), cases[i].shards[j]);
        bytes_free(&visitor);
    }
}

/* Consecutive ids, which are much alike: 100,000 in 7 shards differ from the mean by less than five
 * times its standard deviation. */
static void shards_are_of_one_size(void **state)
{
    uint32_t sizes[7] = {0};

    (void)state;
    for (uint32_t i = 0; i < 100000; i++) {
        uint8_t visitor[16] = {0};
        memcpy(visitor + 12, &i, sizeof(i));
        uint32_t shard = shard_of(visitor, LENGTH(sizes));
        assert_in_range(shard, 0, LENGTH(sizes) - 1);
        sizes[shard]++;
    }
    for (size_t i = 0; i < LENGTH(sizes); i++)
        assert_in_range(sizes[i], 14286 - 555, 14286 + 555);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_values),
        cmocka_unit_test(shards_are_of_one_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

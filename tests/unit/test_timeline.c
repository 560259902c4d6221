/* Merging the minutes of the segment and of the database: each is used once, in order. */
#include "../support/unit.h"

#include "timeline.h"

#define WALL INT64_C(1769860807) /* when the later boot began */

static const uint8_t boots[2][16] = {{1}, {2}};

static struct presence_minute minute_of(uint64_t number, uint32_t count, uint32_t seconds)
{
    return (struct presence_minute){
        .minute = number,
        .start = WALL + 60 * (int64_t)number,
        .minimum = count - 1,
        .maximum = count + 1,
        .mean = count,
        .seconds = seconds,
        .heartbeats = count * 10,
        .entries = 1,
    };
}

static struct archive_minute kept_of(unsigned boot, uint64_t number, uint32_t count,
                                     uint32_t seconds)
{
    struct presence_minute minute = minute_of(number, count, seconds);
    struct archive_minute kept = archive_minute_of(&minute);

    memcpy(kept.boot_id, boots[boot], sizeof(kept.boot_id));
    return kept;
}

static struct timeline merge_steps(const struct archive_minute *kept, size_t kept_length,
                                   struct presence_minute *held, size_t held_length, int64_t since,
                                   uint32_t step_s)
{
    struct presence_history segment = {.minutes = held, .length = held_length};
    struct timeline timeline;

    memcpy(segment.boot_id, boots[1], sizeof(segment.boot_id));
    assert_int_equal(timeline_begin(&segment, since, step_s, &timeline), 0);
    for (size_t i = 0; i < kept_length; i++)
        assert_int_equal(timeline_add(&timeline, &kept[i]), 0);
    assert_int_equal(timeline_end(&timeline), 0);
    return timeline;
}

static struct timeline merge(const struct archive_minute *kept, size_t kept_length,
                             struct presence_minute *held, size_t held_length, int64_t since)
{
    return merge_steps(kept, kept_length, held, held_length, since, 60);
}

static void test_a_minute_in_both_counts_once(void **state)
{
    struct archive_minute kept[] = {kept_of(1, 1, 10, 60), kept_of(1, 2, 20, 60),
                                    kept_of(1, 3, 30, 15)};
    struct presence_minute held[] = {minute_of(2, 20, 60), minute_of(3, 31, 60),
                                     minute_of(4, 40, 7)};
    struct timeline timeline = merge(kept, 3, held, 3, 0);

    (void)state;
    assert_int_equal(timeline.length, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(timeline.steps[i].minute, i + 1);
    assert_int_equal(timeline.steps[2].maximum, 32); /* the one that was observed for longer */
    timeline_free(&timeline);
}

/* A new segment began within a minute that was recorded from the old one. */
static void test_the_longer_half_of_a_minute_stays(void **state)
{
    struct archive_minute kept[] = {kept_of(1, 5, 50, 40)};
    struct presence_minute held[] = {minute_of(5, 10, 19)};
    struct timeline timeline = merge(kept, 1, held, 1, 0);

    (void)state;
    assert_int_equal(timeline.length, 1);
    assert_int_equal(timeline.steps[0].seconds, 40);
    timeline_free(&timeline);
}

static void test_equal_numbers_of_two_boots_are_two(void **state)
{
    struct archive_minute kept[] = {kept_of(0, 5, 50, 60)};
    struct presence_minute held[] = {minute_of(5, 10, 60)};

    (void)state;
    kept[0].start -= 86400;
    struct timeline timeline = merge(kept, 1, held, 1, 0);
    assert_int_equal(timeline.length, 2);
    assert_int_equal(timeline.steps[0].maximum, 51);
    timeline_free(&timeline);
}

/* The wall clock was wrong by hours when the database was written. */
static void test_a_stepped_clock_leaves_no_seam(void **state)
{
    struct archive_minute kept[] = {kept_of(1, 1, 10, 60), kept_of(1, 2, 20, 60)};
    struct presence_minute held[] = {minute_of(2, 20, 60), minute_of(3, 30, 60)};

    (void)state;
    kept[0].start -= 7200;
    kept[1].start -= 7200;
    struct timeline timeline = merge(kept, 2, held, 2, 0);
    assert_int_equal(timeline.length, 3);
    for (size_t i = 1; i < 3; i++)
        assert_int_equal(timeline.steps[i].start - timeline.steps[i - 1].start, 60);
    timeline_free(&timeline);
}

static void test_either_half_may_be_empty(void **state)
{
    struct archive_minute kept[] = {kept_of(1, 1, 10, 60)};
    struct presence_minute held[] = {minute_of(2, 20, 60)};
    struct timeline timeline = merge(kept, 1, NULL, 0, 0);

    (void)state;
    assert_int_equal(timeline.length, 1);
    timeline_free(&timeline);
    timeline = merge(NULL, 0, held, 1, 0);
    assert_int_equal(timeline.length, 1);
    timeline_free(&timeline);
    timeline = merge(NULL, 0, NULL, 0, 0);
    assert_int_equal(timeline.length, 0);
    timeline_free(&timeline);
}

static void test_since(void **state)
{
    struct archive_minute kept[] = {kept_of(1, 1, 10, 60), kept_of(1, 2, 20, 60)};
    struct timeline timeline = merge(kept, 2, NULL, 0, WALL + 120);

    (void)state;
    assert_int_equal(timeline.length, 1);
    assert_int_equal(timeline.steps[0].minute, 2);
    timeline_free(&timeline);
}

/* The wall clock was ahead when they were recorded; those of this boot start when the segment says,
 * unless its collector, in a time namespace, has not come so far. */
static void test_no_minute_is_to_come(void **state)
{
    struct archive_minute kept[] = {kept_of(0, 1, 10, 60), kept_of(0, 900, 20, 60),
                                    kept_of(1, 1, 30, 60), kept_of(1, 950, 40, 60)};
    struct presence_minute held = minute_of(3, 50, 7);
    struct presence_history segment = {.minutes = &held, .length = 1, .boot_id = {2}};
    struct timeline timeline;

    (void)state;
    kept[2].start += 86400;
    kept[3].start = WALL + 120;
    assert_int_equal(timeline_begin(&segment, 0, 60, &timeline), 0);
    timeline.until = WALL + 187;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(timeline_add(&timeline, &kept[i]), 0);
    assert_int_equal(timeline_end(&timeline), 0);
    assert_int_equal(timeline.length, 4);
    assert_int_equal(timeline.future, 1);
    for (size_t i = 0; i < 4; i++)
        assert_in_range(timeline.steps[i].start, WALL, WALL + 187);
    assert_int_equal(timeline.first, WALL + 60);
    assert_int_equal(timeline.last, WALL + 180);
    timeline_free(&timeline);
}

/* One may begin while the history is loaded. */
static void test_a_minute_that_begins(void **state)
{
    struct archive_minute kept[] = {kept_of(0, 1, 10, 60), kept_of(0, 2, 20, 60)};
    const struct presence_history segment = {.length = 0};
    struct timeline timeline;

    (void)state;
    kept[1].start = kept[0].start + 1;
    assert_int_equal(timeline_begin(&segment, 0, 60, &timeline), 0);
    timeline.until = kept[0].start - 5;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(timeline_add(&timeline, &kept[i]), 0);
    assert_int_equal(timeline_end(&timeline), 0);
    assert_int_equal(timeline.length, 1);
    assert_int_equal(timeline.future, 1);
    timeline_free(&timeline);
}

/* Steps are whole multiples of their length, before 1970 too. */
static void test_steps_before_1970(void **state)
{
    struct archive_minute kept[] = {kept_of(0, 1, 10, 60), kept_of(0, 2, 20, 60)};

    (void)state;
    kept[0].start = -601;
    kept[1].start = -600;
    struct timeline timeline = merge_steps(kept, 2, NULL, 0, -100000, 600);
    assert_int_equal(timeline.length, 2);
    assert_int_equal(timeline.steps[0].start, -1200);
    assert_int_equal(timeline.steps[1].start, -600);
    timeline_free(&timeline);
}

static void test_steps_are_gathered(void **state)
{
    struct presence_minute held[] = {minute_of(1, 10, 60), minute_of(2, 20, 30),
                                     minute_of(3, 1, 0), /* nobody looked */
                                     minute_of(11, 40, 60)};
    struct timeline timeline = merge_steps(NULL, 0, held, 4, 0, 600);

    (void)state;
    assert_int_equal(timeline.length, 2);
    assert_int_equal(timeline.steps[0].start % 600, 0);
    assert_int_equal(timeline.steps[0].minimum, 9);
    assert_int_equal(timeline.steps[0].maximum, 21);
    assert_int_equal(timeline.steps[0].seconds, 90);
    assert_int_equal(timeline.steps[0].heartbeats, 310);
    assert_float_equal(timeline.steps[0].mean, (10.0 * 60 + 20 * 30) / 90, 1e-9);
    assert_int_equal(timeline.steps[1].maximum, 41);
    timeline_free(&timeline);
}

/* The segment, the database and two boots with a wrong clock contribute to the same step. */
static void test_steps_are_joined(void **state)
{
    struct archive_minute kept[] = {kept_of(0, 3, 10, 60), kept_of(0, 13, 70, 60),
                                    kept_of(1, 1, 20, 60), kept_of(1, 2, 30, 60)};
    struct presence_minute held[] = {minute_of(2, 30, 60), minute_of(3, 40, 60)};
    struct timeline timeline = merge_steps(kept, 4, held, 2, 0, 600);

    (void)state;
    assert_int_equal(timeline.length, 2);
    assert_int_equal(timeline.steps[1].start - timeline.steps[0].start, 600);
    assert_int_equal(timeline.steps[0].seconds, 240);
    assert_int_equal(timeline.steps[0].heartbeats, 1000);
    assert_int_equal(timeline.steps[0].minimum, 9);
    assert_int_equal(timeline.steps[0].maximum, 41);
    assert_float_equal(timeline.steps[0].mean, 25, 1e-9);
    assert_int_equal(timeline.steps[1].maximum, 71);
    timeline_free(&timeline);
}

/* Memory grows with the steps, not with the minutes of a year. */
static void test_years_take_memory_for_steps_only(void **state)
{
    const uint32_t minutes = 400 * 1440;
    struct presence_history none = {0};
    struct timeline timeline;

    (void)state;
    assert_int_equal(timeline_begin(&none, 0, 86400, &timeline), 0);
    for (uint32_t number = 0; number < minutes; number++) {
        struct archive_minute kept = kept_of(0, number, 10 + number % 7, 60);
        assert_int_equal(timeline_add(&timeline, &kept), 0);
    }
    assert_in_range(timeline.capacity, 400, 1024);
    assert_int_equal(timeline_end(&timeline), 0);
    assert_int_equal(timeline.length, 401); /* it began in the middle of a day */
    int64_t highest;
    struct timeline_step sum = timeline_sum(&timeline, &highest);
    assert_int_equal(sum.entries, minutes);
    assert_int_equal(sum.minimum, 9);
    assert_int_equal(sum.maximum, 17);
    timeline_free(&timeline);
}

/* Totals exceed 32 bits, their traffic is unknown, and one partial minute makes a step partial. */
static void test_totals(void **state)
{
    struct archive_minute kept[] = {
        {.minute = 1, .start = 3600, .minimum = UINT64_C(6000000000), .seconds = 60},
        {.minute = 2, .start = 3660, .minimum = UINT64_C(5000000000), .seconds = 20},
        {.minute = 60, .start = 7200, .minimum = 7, .seconds = 60},
    };
    int64_t highest;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        kept[i].maximum = kept[i].minimum + 9;
        kept[i].mean = (double)kept[i].minimum;
    }
    kept[1].partial = true;
    struct timeline timeline = merge_steps(kept, 3, NULL, 0, 0, 3600);
    assert_int_equal(timeline.length, 2);
    assert_int_equal(timeline.steps[0].minimum, UINT64_C(5000000000));
    assert_int_equal(timeline.steps[0].maximum, UINT64_C(6000000009));
    assert_float_equal(timeline.steps[0].mean, 5.75e9, 1);
    assert_true(timeline.steps[0].partial && !timeline.steps[1].partial);
    struct timeline_step sum = timeline_sum(&timeline, &highest);
    assert_int_equal(sum.maximum, UINT64_C(6000000009));
    assert_int_equal(highest, 3600);
    assert_false(sum.has_traffic);
    timeline_free(&timeline);
    struct presence_minute held[] = {minute_of(3, 50, 60)};
    timeline = merge_steps(kept, 1, held, 1, 0, 60);
    assert_true(timeline_sum(&timeline, &highest).has_traffic);
    timeline_free(&timeline);
}

/* However a random history is divided between segment and database, the result is the same. */
static void test_any_division(void **state)
{
    uint64_t random = random_seed("test_any_division");

    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        struct archive_minute kept[200];
        struct presence_minute held[100];
        size_t kept_length = 0, held_length = 0;
        uint64_t heartbeats = 0;
        for (uint64_t number = 1; number <= 100; number++) {
            uint32_t count = 2 + (uint32_t)(random_next(&random) % 50);
            unsigned where = 1 + (unsigned)(random_next(&random) % 3);
            if (where & 1)
                kept[kept_length++] = kept_of(1, number, count, 60);
            if (where & 2)
                held[held_length++] = minute_of(number, count, 60);
            heartbeats += count * 10;
        }
        struct timeline timeline = merge(kept, kept_length, held, held_length, 0);
        int64_t highest;
        struct timeline_step sum = timeline_sum(&timeline, &highest);
        assert_int_equal(timeline.length, 100);
        assert_int_equal(sum.heartbeats, heartbeats);
        assert_int_equal(sum.seconds, 6000);
        timeline_free(&timeline);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_minute_in_both_counts_once),
        cmocka_unit_test(test_the_longer_half_of_a_minute_stays),
        cmocka_unit_test(test_equal_numbers_of_two_boots_are_two),
        cmocka_unit_test(test_a_stepped_clock_leaves_no_seam),
        cmocka_unit_test(test_either_half_may_be_empty),
        cmocka_unit_test(test_since),
        cmocka_unit_test(test_no_minute_is_to_come),
        cmocka_unit_test(test_a_minute_that_begins),
        cmocka_unit_test(test_steps_before_1970),
        cmocka_unit_test(test_steps_are_gathered),
        cmocka_unit_test(test_steps_are_joined),
        cmocka_unit_test(test_years_take_memory_for_steps_only),
        cmocka_unit_test(test_totals),
        cmocka_unit_test(test_any_division),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_history_record.c - history.h: seconds and minutes that are written while they are copied. */
#include "../support/unit.h"

#include <core/atomics.h>

/* A writer between two loads of a reader. */
static void (*writer)(void);
static unsigned loads_before; /* of it */

static inline void let_write(void)
{
    if (writer && loads_before-- == 0) {
        writer();
        writer = NULL;
    }
}

#undef atomic_load_relaxed
#define atomic_load_relaxed(pointer) (let_write(), __atomic_load_n(pointer, __ATOMIC_RELAXED))

#include <core/history.h>

#define TICK  UINT64_C(5000)
#define LOADS 12 /* more than there are of a record */

static struct history_second second;
static struct history_minute minute;

static void write_second(void)
{
    second = (struct history_second){TICK + 1 + HISTORY_SECONDS, 9, 9, 9, 9, 0};
}

static void write_minute(void)
{
    minute.mark += UINT64_C(1) << 16; /* another version */
    minute.sum = minute.heartbeats = 9;
    minute.minimum = minute.maximum = minute.pageviews = minute.entries = 9;
    minute.leaves = minute.departures = 9;
}

static void a_second_is_of_one_moment(void **state)
{
    struct history_second copy;
    unsigned loaded = 0;

    (void)state;
    for (unsigned i = 0; i < LOADS; i++) {
        second = (struct history_second){TICK + 1, 4, 4, 4, 4, 0};
        writer = write_second;
        loads_before = i;
        if (!history_load_second(&second, TICK, &copy))
            continue;
        loaded++;
        assert_int_equal(copy.heartbeats + copy.entries + copy.leaves + copy.departures, 16);
    }
    assert_in_range(loaded, 1, LOADS - 1);
}

static void a_minute_is_of_one_moment(void **state)
{
    struct history_minute copy;
    unsigned loaded = 0;

    (void)state;
    for (unsigned i = 0; i < LOADS; i++) {
        minute = (struct history_minute){
            .mark = TICK << 24 | 1 << 8 | HISTORY_MARK_USED,
            .sum = 4,
            .minimum = 4,
            .maximum = 4,
            .heartbeats = 4,
            .pageviews = 4,
            .entries = 4,
            .leaves = 4,
            .departures = 4,
        };
        writer = write_minute;
        loads_before = i;
        if (!history_load_minute(&minute, TICK, &copy))
            continue;
        loaded++;
        assert_int_equal(copy.sum + copy.minimum + copy.maximum + copy.heartbeats, 16);
        assert_int_equal(copy.pageviews + copy.entries + copy.leaves + copy.departures, 16);
    }
    assert_in_range(loaded, 1, LOADS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_is_of_one_moment),
        cmocka_unit_test(a_minute_is_of_one_moment),
    };
    return cmocka_run_group_tests_name("history_record", tests, NULL, NULL);
}

/* test_processors.c - lists of processors, as the kernel writes them. */
#include "../support/unit.h"

#include <unistd.h>

#include "processors.h"

static void test_lists(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        unsigned wanted;
    } cases[] = {
        {"0\n", 1},   {"0-1\n", 2},       {"0-3", 4}, {"0,2-3\n", 4},   {"0-3,8-11\n", 12},
        {"1,5\n", 6}, {"0-8191\n", 8192}, {"7\n", 8}, {"0-1,63\n", 64}, {"4-5,0\n", 6},
    };

    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_int_equal(processors_in(cases[i].list), cases[i].wanted);
}

static void test_no_lists(void **state)
{
    (void)state;
    static const char *const lists[] = {
        "", "\n", "-1\n", "0-\n", "0,\n", "x", "0 1", "0x3", " 0", "0-99999999999999999999",
    };

    for (size_t i = 0; i < LENGTH(lists); i++)
        assert_int_equal(processors_in(lists[i]), 0);
}

static void test_this_machine(void **state)
{
    (void)state;
    assert_true(processors_possible() >= sysconf(_SC_NPROCESSORS_CONF));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_no_lists),
        cmocka_unit_test(test_this_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

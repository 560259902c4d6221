/* test_processors.c - lists of processors, as the kernel writes them. */
#include "../support/scratch.h"

#include <errno.h>

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
    /* Not those that are online: others may come later. */
    assert_string_equal(processors_path, "/sys/devices/system/cpu/possible");
}

static void test_a_long_list(void **state)
{
    const struct scratch *scratch = *state;
    const char *kernels = processors_path;
    FILE *file = fopen(scratch->path, "w");

    assert_non_null(file);
    for (unsigned i = 0; i < 512; i++)
        fprintf(file, "%u,", 2 * i);
    fprintf(file, "1024-1055\n");
    fclose(file);
    processors_path = scratch->path;
    assert_int_equal(processors_possible(), 1056);
    assert_int_equal(truncate(scratch->path, 0), 0);
    assert_int_equal(processors_possible(), -EBADMSG);
    assert_int_equal(unlink(scratch->path), 0);
    assert_int_equal(processors_possible(), -ENOENT);
    processors_path = kernels;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_no_lists),
        cmocka_unit_test(test_this_machine),
        SCRATCH_TEST(test_a_long_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

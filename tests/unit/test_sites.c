/* test_sites.c - sites.h: a set of names. */
#include "../support/unit.h"

#include <errno.h>

#include "sites.h"

static bool contains(const struct sites *sites, const char *name)
{
    return sites_contain(sites, (const uint8_t *)name, (uint32_t)strlen(name));
}

static void names_are_found(void **state)
{
    struct sites sites = {0};

    (void)state;
    assert_false(contains(&sites, "example.com"));
    assert_int_equal(sites_add(&sites, "example.com"), 0);
    assert_int_equal(sites_add(&sites, "Shop.Example"), 0);
    assert_int_equal(sites_add(&sites, "m\xc3\xbcnchen.example"), 0);
    assert_int_equal(sites_add(&sites, "EXAMPLE.com"), 0); /* again */
    assert_int_equal(sites.count, 3);
    assert_true(contains(&sites, "example.com"));
    assert_true(contains(&sites, "shop.example"));
    assert_true(contains(&sites, "m\xc3\xbcnchen.example"));
    assert_false(contains(&sites, "example.co"));
    assert_false(contains(&sites, "example.comm"));
    assert_false(contains(&sites, "xample.com"));
    assert_false(contains(&sites, ""));
    sites_free(&sites);
    assert_false(contains(&sites, "example.com"));
}

static void what_is_no_site_is_refused(void **state)
{
    char long_name[255];
    struct sites sites = {0};

    (void)state;
    memset(long_name, 'a', sizeof(long_name));
    long_name[254] = '\0';
    assert_int_equal(sites_add(&sites, long_name), -EINVAL);
    assert_int_equal(sites_add(&sites, ""), -EINVAL);
    assert_int_equal(sites_add(&sites, "tab\t"), -EINVAL);
    assert_int_equal(sites_add(&sites, "\xff"), -EINVAL);
    assert_int_equal(sites_add(&sites, "\xc2\x85"), -EINVAL);
    assert_int_equal(sites.count, 0);
    long_name[253] = '\0';
    assert_int_equal(sites_add(&sites, long_name), 0);
    assert_true(contains(&sites, long_name));
    sites_free(&sites);
}

static void many_names(void **state)
{
    struct sites sites = {0};
    char name[32];

    (void)state;
    for (unsigned i = 0; i < 10000; i += 2) {
        snprintf(name, sizeof(name), "site-%u.example", i);
        assert_int_equal(sites_add(&sites, name), 0);
        assert_false(contains(&sites, "absent.example")); /* the search ends, however many */
    }
    assert_int_equal(sites.count, 5000);
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "site-%u.example", i);
        if (contains(&sites, name) != (i % 2 == 0))
            fail_msg("%s is %s", name, i % 2 ? "found" : "not found");
    }
    sites_free(&sites);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(what_is_no_site_is_refused),
        cmocka_unit_test(many_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

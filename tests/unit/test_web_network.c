/* test_web_network.c - addresses, and the networks that they are in. */
#include "../support/unit.h"

#include "network.h"

static bool contains(const char *network_text, const char *host_text)
{
    struct network network;
    struct host host;

    assert_true(network_read(network_text, &network));
    assert_true(host_read(host_text, &host));
    return network_contains(&network, &host);
}

static void test_inside_and_outside(void **state)
{
    (void)state;
    static const struct {
        const char *network, *inside, *outside;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
        {"10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"},
        {"192.0.2.128/25", "192.0.2.128", "192.0.2.127"},
        {"192.0.2.7", "192.0.2.7", "192.0.2.6"},
        {"192.0.2.7/31", "192.0.2.6", "192.0.2.8"},
        {"0.0.0.0/0", "255.255.255.255", "2001:db8::1"},
        {"2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"},
        {"2001:db8::1", "2001:db8::1", "2001:db8::"},
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_true(contains(cases[i].network, cases[i].inside));
        assert_false(contains(cases[i].network, cases[i].outside));
    }
    assert_true(contains("::/0", "192.0.2.1"));
}

static void test_no_networks(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",           "/",        "/8",          "10.0.0.0/",    "10.0.0.0/33",   "10.0.0.0/-1",
        "::/129",     "10.0.0/8", "localhost",   "10.0.0.0/8/8", "10.0.0.0/0008", "10.0.0.0/8 ",
        "1.2.3.4:80", "[::1]",    "2001:db8:::", "10.0.0.0/0x8",
    };
    struct network network;

    for (size_t i = 0; i < LENGTH(wrong); i++)
        assert_false(network_read(wrong[i], &network));
}

static void test_families(void **state)
{
    (void)state;
    struct host host;

    assert_true(host_read("192.0.2.1", &host));
    assert_true(host_is_v4(&host));
    assert_true(host_read("::ffff:192.0.2.1", &host));
    assert_true(host_is_v4(&host));
    assert_true(host_read("2001:db8::1", &host));
    assert_false(host_is_v4(&host));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inside_and_outside),
        cmocka_unit_test(test_no_networks),
        cmocka_unit_test(test_families),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

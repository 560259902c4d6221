/* test_networks.c - networks.h: how networks are written, and which addresses they hold. */
#include "../support/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "common/networks.h"

static struct network parse(const char *text)
{
    struct network network;

    if (network_parse(text, &network) != 0)
        fail_msg("'%s' is refused", text);
    return network;
}

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
    bool is_v6 = strchr(text, ':') != NULL;

    storage.ss_family = is_v6 ? AF_INET6 : AF_INET;
    assert_int_equal(
        inet_pton(storage.ss_family, text, is_v6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr),
        1);
    return storage;
}

static struct networks build(const char *const *texts, unsigned count)
{
    struct network list[16];
    struct networks networks;

    for (unsigned i = 0; i < count; i++)
        list[i] = parse(texts[i]);
    assert_int_equal(networks_build(list, count, &networks), 0);
    return networks;
}

static void expect(const struct networks *networks, const char *text, bool expected)
{
    struct sockaddr_storage address = address_of(text);

    if (networks_contain(networks, (struct sockaddr *)&address) != expected)
        fail_msg("%s is %s", text, expected ? "left out" : "let in");
}

static void networks_are_written(void **state)
{
    static const struct {
        const char *text;
        bool v6;
        uint8_t bits;
        const char *address;
    } cases[] = {
        {"10.0.0.0/8", false, 8, "10.0.0.0"},
        {"10.1.2.3/8", false, 8, "10.0.0.0"},
        {"10.255.255.255/9", false, 9, "10.128.0.0"},
        {"192.0.2.1", false, 32, "192.0.2.1"},
        {"0.0.0.0/0", false, 0, "0.0.0.0"},
        {"255.255.255.255/00", false, 0, "0.0.0.0"},
        {"2001:db8::/32", true, 32, "2001:db8::"},
        {"2001:db8:ffff:ffff::1/33", true, 33, "2001:db8:8000::"},
        {"::1", true, 128, "::1"},
        {"::/0", true, 0, "::"},
        {"::ffff:10.1.2.3/104", false, 8, "10.0.0.0"},
        {"::ffff:192.0.2.1", false, 32, "192.0.2.1"},
        {"::ffff:0:0/96", false, 0, "0.0.0.0"},
        {"::ffff:0:0/95", true, 95, "::fffe:0:0"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct network network = parse(cases[i].text);
        uint8_t address[16] = {0};
        assert_int_equal(inet_pton(cases[i].v6 ? AF_INET6 : AF_INET, cases[i].address, address), 1);
        if (network.v6 != cases[i].v6 || network.bits != cases[i].bits ||
            memcmp(network.address, address, sizeof(address)) != 0)
            fail_msg("'%s' is read as another network", cases[i].text);
    }
}

static void other_words_are_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "/",
        "/8",
        "10",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/8x",
        "10.0.0.0/8/8",
        "10.0.0.0/ 8",
        "10.0.0.0 /8",
        " 10.0.0.0/8",
        "10.0.0.0/0008",
        "10.0.0/8",
        "256.0.0.0/8",
        "10.0.0.0/255.0.0.0",
        "2001:db8::/129",
        "2001:db8::/999",
        "2001:db8/32",
        "[::1]",
        "fe80::1%lo",
        "localhost",
        "10.0.0.0:9514",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd",
    };
    struct network network = {.bits = 77};

    (void)state;
    for (size_t i = 0; i < LENGTH(texts); i++) {
        if (network_parse(texts[i], &network) != -EINVAL)
            fail_msg("'%s' is taken", texts[i]);
        assert_int_equal(network.bits, 77);
    }
}

static void addresses_are_found(void **state)
{
    static const char *const texts[] = {
        "10.1.0.0/16", "10.0.0.0/8",    "192.0.2.7",   "172.16.0.0/12",
        "10.255.0.1",  "2001:db8::/32", "2001:db8::1", "fd00::/8",
    };
    static const char *const in[] = {
        "10.0.0.0",       "10.1.2.3",        "10.255.255.255",   "192.0.2.7",
        "172.16.0.0",     "172.31.255.255",  "::ffff:10.9.9.9",  "2001:db8::",
        "2001:db8::ffff", "2001:db8:ffff::", "fdff:ffff::1",     "::ffff:192.0.2.7",
        "10.255.0.1",     "10.255.0.2",      "2001:db8:0:1::ff",
    };
    static const char *const out[] = {
        "9.255.255.255",    "11.0.0.0",        "192.0.2.6", "192.0.2.8",  "172.15.255.255",
        "172.32.0.0",       "0.0.0.0",         "127.0.0.1", "2001:db7::", "2001:db9::",
        "255.255.255.255",  "fc00::",          "fe00::",    "::",         "::10.0.0.1",
        "::ffff:192.0.2.8", "::ffff:11.0.0.0",
    };
    struct networks networks = build(texts, LENGTH(texts));

    (void)state;
    for (size_t i = 0; i < LENGTH(in); i++)
        expect(&networks, in[i], true);
    for (size_t i = 0; i < LENGTH(out); i++)
        expect(&networks, out[i], false);
    assert_false(networks_contain(&networks, NULL));
    assert_false(networks_contain(&networks, &(struct sockaddr){.sa_family = AF_UNIX}));
    networks_free(&networks);
}

static void everything_of_one_family(void **state)
{
    struct networks v4 = build((const char *[]){"0.0.0.0/0"}, 1);
    struct networks v6 = build((const char *[]){"::/0"}, 1);
    struct networks none = build(NULL, 0);

    (void)state;
    expect(&v4, "0.0.0.0", true);
    expect(&v4, "255.255.255.255", true);
    expect(&v4, "::ffff:1.2.3.4", true);
    expect(&v4, "::", false);
    expect(&v6, "::", true);
    expect(&v6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true);
    expect(&v6, "1.2.3.4", false);
    expect(&v6, "::ffff:1.2.3.4", false);
    expect(&none, "1.2.3.4", false);
    expect(&none, "::1", false);
    networks_free(&v4);
    networks_free(&v6);
    networks_free(&none);
}

static bool bits_match(const struct network *network, const uint8_t *address)
{
    for (unsigned bit = 0; bit < network->bits; bit++)
        if ((network->address[bit / 8] ^ address[bit / 8]) & 0x80 >> bit % 8)
            return false;
    return true;
}

/* Networks and addresses over few bits, so that they nest, repeat and touch; looked up one by one.
 */
static void random_networks(void **state)
{
    uint64_t random = random_seed("random_networks");
    struct network list[16];

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        unsigned count = (unsigned)(random_next(&random) % LENGTH(list)) + 1;
        bool v6 = random_next(&random) & 1;
        struct networks networks;
        for (unsigned i = 0; i < count; i++) {
            char text[64];
            uint64_t r = random_next(&random);
            snprintf(text, sizeof(text), v6 ? "%x::/%u" : "%u.0.0.0/%u", (unsigned)(r & 0xff),
                     (unsigned)(r >> 8) % (v6 ? 17 : 9));
            list[i] = parse(text);
        }
        assert_int_equal(networks_build(list, count, &networks), 0);
        for (unsigned first = 0; first < 256; first++) {
            char text[64];
            uint8_t address[16];
            bool expected = false;
            snprintf(text, sizeof(text), v6 ? "%x::%x" : "%u.%u.3.4", first, first ^ 0x55);
            assert_int_equal(inet_pton(v6 ? AF_INET6 : AF_INET, text, address), 1);
            for (unsigned i = 0; i < count; i++)
                expected |= bits_match(&list[i], address);
            expect(&networks, text, expected);
        }
        networks_free(&networks);
    }
}

/* ---- hosts ---- */

static bool contains(const char *network_text, const char *host_text)
{
    struct network network;
    struct host host;

    assert_int_equal(network_parse(network_text, &network), 0);
    assert_int_equal(host_parse(host_text, &host), 0);
    return network_contains(&network, &host);
}

static void hosts_are_inside_or_outside(void **state)
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

static void words_that_are_no_networks(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",           "/",        "/8",          "10.0.0.0/",    "10.0.0.0/33",   "10.0.0.0/-1",
        "::/129",     "10.0.0/8", "localhost",   "10.0.0.0/8/8", "10.0.0.0/0008", "10.0.0.0/8 ",
        "1.2.3.4:80", "[::1]",    "2001:db8:::", "10.0.0.0/0x8",
    };
    struct network network;

    for (size_t i = 0; i < LENGTH(wrong); i++)
        assert_int_equal(network_parse(wrong[i], &network), -EINVAL);
}

static void hosts_have_a_family(void **state)
{
    (void)state;
    struct host host;

    assert_int_equal(host_parse("192.0.2.1", &host), 0);
    assert_true(host_is_v4(&host));
    assert_int_equal(host_parse("::ffff:192.0.2.1", &host), 0);
    assert_true(host_is_v4(&host));
    assert_int_equal(host_parse("2001:db8::1", &host), 0);
    assert_false(host_is_v4(&host));
}

static void a_client_is_an_address_or_a_network(void **state)
{
    static const struct {
        const char *address, *client;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
        {"::192.0.2.1", "::"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct host host, expected;
        assert_int_equal(host_parse(cases[i].address, &host), 0);
        assert_int_equal(host_parse(cases[i].client, &expected), 0);
        host = host_client(&host);
        assert_memory_equal(&host, &expected, sizeof(host));
    }
}

/* A list has room for NETWORKS_MAX; what can't be added leaves it alone. */
static void lists_grow_to_their_limit(void **state)
{
    struct network_list list = {0}, other = {0};

    (void)state;
    assert_int_equal(network_list_add(&list, "10.0.0.0/33"), -EINVAL);
    assert_int_equal(list.count, 0);
    assert_true(network_list_is_same(&list, &other));
    for (unsigned i = 0; i < NETWORKS_MAX; i++)
        assert_int_equal(network_list_add(&list, "10.0.0.1/8"), 0);
    assert_int_equal(network_list_add(&list, "10.0.0.0/8"), -ENOSPC);
    assert_int_equal(list.count, NETWORKS_MAX);
    assert_false(network_list_is_same(&list, &other));
    network_list_free(&list);
    assert_int_equal(network_list_add(&list, "10.0.0.0/8"), 0);
    assert_int_equal(network_list_add(&other, "10.0.0.1/8"), 0);
    assert_true(network_list_is_same(&list, &other));
    network_list_free(&other);
    assert_int_equal(network_list_add(&other, "10.0.0.0/9"), 0);
    assert_false(network_list_is_same(&list, &other));
    network_list_free(&list);
    network_list_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_are_written),
        cmocka_unit_test(a_client_is_an_address_or_a_network),
        cmocka_unit_test(other_words_are_refused),
        cmocka_unit_test(addresses_are_found),
        cmocka_unit_test(everything_of_one_family),
        cmocka_unit_test(random_networks),
        cmocka_unit_test(hosts_are_inside_or_outside),
        cmocka_unit_test(words_that_are_no_networks),
        cmocka_unit_test(hosts_have_a_family),
        cmocka_unit_test(lists_grow_to_their_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

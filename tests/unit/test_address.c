/* test_address.c - address.h: HOST:PORT in parts, and the address of a socket. */
#include "../support/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/address.h"

#define A_50  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A_250 A_50 A_50 A_50 A_50 A_50

static void test_parts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *port;
        bool bracketed;
        unsigned number;
        bool peer; /* can be sent to */
    } cases[] = {
        {"127.0.0.1:9514", "127.0.0.1", "9514", false, 9514, true},
        {"[::1]:9514", "::1", "9514", true, 9514, true},
        {"[fe80::1%eth0]:1", "fe80::1%eth0", "1", true, 1, true},
        {"collector.example:00001", "collector.example", "00001", false, 1, true},
        {"h:65535", "h", "65535", false, 65535, true},
        {A_250 "aaaaa:1", A_250 "aaaaa", "1", false, 1, true},
        {"h:0", "h", "0", false, 0, false},
        {":9474", "", "9474", false, 9474, false},
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct address address;
        if (address_split(cases[i].text, &address) != 0)
            fail_msg("'%s' was refused", cases[i].text);
        assert_string_equal(address.host, cases[i].host);
        assert_string_equal(address.port, cases[i].port);
        assert_int_equal(address.bracketed, cases[i].bracketed);
        assert_int_equal(address.number, cases[i].number);
        if (address_split_peer(cases[i].text, &address) != (cases[i].peer ? 0 : -EINVAL))
            fail_msg("'%s' is taken wrong as a peer", cases[i].text);
    }
}

static void test_other_text(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",         ":",    "h",    "h:",       "9514",  "h:65536",       "h:-1",
        "h:+1",     "h: 1", "h:1 ", "h:000001", "h:1x",  "::1:9514",      "[::1]",
        "[::1]1",   "[::1", "[]:1", "[::1]::1", "h:1:1", "h:99999999999", A_250 "aaaaaa:1",
        "[::1] :1",
    };

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct address address = {.number = 77};
        if (address_split(cases[i], &address) != -EINVAL ||
            address_split_peer(cases[i], &address) != -EINVAL)
            fail_msg("'%s' was taken", cases[i]);
        assert_int_equal(address.number, 77); /* untouched */
    }
}

static void check_bound(int family, const struct sockaddr *wanted, socklen_t length,
                        const char *host)
{
    char text[ADDRESS_SIZE], *end;
    struct address address;
    int fd = socket(family, SOCK_STREAM, 0);

    if (fd < 0 || bind(fd, wanted, length) < 0) {
        close(fd);
        return; /* a machine without IPv6 */
    }
    assert_int_equal(address_bound(fd, text), 0);
    assert_int_equal(address_split(text, &address), 0);
    assert_string_equal(address.host, host);
    assert_int_equal(address.bracketed, family == AF_INET6);
    assert_true(strtol(address.port, &end, 10) > 0 && *end == '\0');
    close(fd);
}

static void test_bound(void **state)
{
    (void)state;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    char text[ADDRESS_SIZE] = "as it was";

    check_bound(AF_INET, (struct sockaddr *)&v4, sizeof(v4), "127.0.0.1");
    check_bound(AF_INET6, (struct sockaddr *)&v6, sizeof(v6), "::1");
    assert_int_equal(address_bound(-1, text), -EBADF);
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(address_bound(other, text), -EAFNOSUPPORT);
    close(other);
    assert_string_equal(text, "as it was");
}

static struct sockaddr_storage parse(const char *host, uint16_t port)
{
    struct sockaddr_storage address = {.ss_family = strchr(host, ':') ? AF_INET6 : AF_INET};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    if (address.ss_family == AF_INET6) {
        assert_int_equal(inet_pton(AF_INET6, host, &v6.sin6_addr), 1);
        memcpy(&address, &v6, sizeof(v6));
    } else {
        assert_int_equal(inet_pton(AF_INET, host, &v4.sin_addr), 1);
        memcpy(&address, &v4, sizeof(v4));
    }
    return address;
}

static void test_compare(void **state)
{
    static const struct {
        const char *a, *b;
        uint16_t port_a, port_b;
        bool is_same, conflicts;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1", 9514, 9514, true, true},
        {"127.0.0.1", "127.0.0.1", 9514, 9515, false, false},
        {"127.0.0.1", "127.0.0.1", 0, 0, true, false},
        {"127.0.0.1", "127.0.0.2", 9514, 9514, false, false},
        {"0.0.0.0", "127.0.0.1", 9514, 9514, false, true},
        {"0.0.0.0", "127.0.0.1", 9514, 9770, false, false},
        {"0.0.0.0", "::", 9514, 9514, false, false},
        {"::1", "::1", 9514, 9514, true, true},
        {"::1", "::2", 9514, 9514, false, false},
        {"2001:db8::1", "2001:db8:0:1::1", 9514, 9514, false, false},
        {"::", "2001:db8::1", 9514, 9514, false, true},
        {"::", "2001:db8::1", 0, 0, false, false},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct sockaddr_storage a = parse(cases[i].a, cases[i].port_a);
        struct sockaddr_storage b = parse(cases[i].b, cases[i].port_b);
        assert_int_equal(address_is_same(&a, &b), cases[i].is_same);
        assert_int_equal(address_is_same(&b, &a), cases[i].is_same);
        assert_int_equal(address_conflicts(&a, &b), cases[i].conflicts);
        assert_int_equal(address_conflicts(&b, &a), cases[i].conflicts);
        assert_int_equal(address_get_port(&a), cases[i].port_a);
        address_set_port(&a, 258);
        assert_int_equal(address_get_port(&a), 258);
        struct sockaddr_storage same = parse(cases[i].a, 258);
        assert_memory_equal(&a, &same, sizeof(a));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_other_text),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_compare),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

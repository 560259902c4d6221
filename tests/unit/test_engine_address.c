/* test_engine_address.c - where an engine is, and what is wrong with a URL. */
#include "../support/unit.h"

#include <errno.h>

#include "engine/engine_address.h"

static struct engine_address parse(const char *url)
{
    char problem[ENGINE_URL_PROBLEM_SIZE] = "";
    struct engine_address address;

    if (engine_address_parse(url, &address, problem) != 0)
        fail_msg("%s: %s", url, problem);
    return address;
}

static void check_host(const struct engine_address *address, unsigned index, const char *host,
                       const char *port)
{
    assert_true(index < address->host_count);
    assert_string_equal(address->hosts[index].host, host);
    assert_string_equal(address->hosts[index].port, port);
}

static void servers(void **state)
{
    (void)state;
    struct engine_address address = parse("redis://localhost");
    assert_int_equal(address.kind, ENGINE_HOSTS);
    assert_int_equal(address.host_count, 1);
    check_host(&address, 0, "localhost", "6379");
    address = parse("redis://a:1,[::1]:2,[fe80::1%eth0],10.0.0.1/0");
    assert_int_equal(address.host_count, 4);
    check_host(&address, 0, "a", "1");
    check_host(&address, 1, "::1", "2");
    check_host(&address, 2, "fe80::1%eth0", "6379");
    check_host(&address, 3, "10.0.0.1", "6379");
    address = parse("redis://a/");
    check_host(&address, 0, "a", "6379");
    address = parse("redis://a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,b");
    check_host(&address, 15, "b", "6379");
}

static void sentinels(void **state)
{
    (void)state;
    struct engine_address address = parse("redis-sentinel://a,b:2,[::1]/my-master");
    assert_int_equal(address.kind, ENGINE_SENTINELS);
    assert_string_equal(address.master, "my-master");
    check_host(&address, 0, "a", "26379");
    check_host(&address, 1, "b", "2");
    check_host(&address, 2, "::1", "26379");
}

static void sockets(void **state)
{
    char url[256], *end = url + sprintf(url, "unix:");

    (void)state;
    struct engine_address address = parse("unix:/run/redis/a b.sock");
    assert_int_equal(address.kind, ENGINE_SOCKET);
    assert_string_equal(address.path, "/run/redis/a b.sock");
    memset(end, '/', 107);
    end[107] = '\0';
    assert_string_equal(parse(url).path, end);
}

static void problems(void **state)
{
    static const struct {
        const char *url, *says;
    } cases[] = {
        {"redis://user:secret@host", "--password-file"},
        {"redis://:secret@host", "--password-file"},
        {"redis-sentinel://secret@host/m", "--password-file"},
        {"rediss://host", "stunnel"},
        {"http://host", "redis://"},
        {"", "redis://"},
        {"host:6379", "redis://"},
        {"redis://", "missing"},
        {"redis://,a", "missing"},
        {"redis://a,", "missing"},
        {"redis://a:0", "host 1"},
        {"redis://a,b:65536", "host 2"},
        {"redis://a:b", "host 1"},
        {"redis://::1", "[::1]"},
        {"redis://[::1", "host 1"},
        {"redis://a b", "printable"},
        {"redis://a\n", "printable"},
        {"redis://a/1", "database"},
        {"redis://a/b", "database"},
        {"redis://a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", "16"},
        {"redis-sentinel://a:0/m", "26379"},
        {"redis-sentinel://a", "master"},
        {"redis-sentinel://a/", "master"},
        {"redis-sentinel://a/b/c", "master"},
        {"redis-sentinel:///m", "missing"},
        {"unix:run/redis", "/"},
        {"unix:", "/"},
    };

    (void)state;
    for (unsigned i = 0; i < LENGTH(cases); i++) {
        char problem[ENGINE_URL_PROBLEM_SIZE] = "";
        struct engine_address address = {.host_count = 77};
        if (engine_address_parse(cases[i].url, &address, problem) != -EINVAL ||
            !strstr(problem, cases[i].says) || strstr(problem, "secret"))
            fail_msg("%s: %s", cases[i].url, problem);
        assert_int_equal(address.host_count, 77); /* untouched */
    }
}

static void long_ones(void **state)
{
    char url[1024], problem[ENGINE_URL_PROBLEM_SIZE];
    struct engine_address address;

    (void)state;
    for (unsigned length = 200; length < 700; length++) {
        memset(url, 'a', sizeof(url));
        memcpy(url, "redis://", 8);
        url[8 + length] = '\0';
        int r = engine_address_parse(url, &address, problem);
        assert_int_equal(r, length < ADDRESS_HOST_SIZE ? 0 : -EINVAL);
    }
    int start = sprintf(url, "redis-sentinel://a/");
    memset(url + start, 'm', ENGINE_MASTER_SIZE);
    url[start + ENGINE_MASTER_SIZE] = '\0';
    assert_int_equal(engine_address_parse(url, &address, problem), -EINVAL);
    url[start + ENGINE_MASTER_SIZE - 1] = '\0';
    assert_string_equal(parse(url).master, url + start);
    memset(url, 'a', sizeof(url));
    memcpy(url, "unix:/", 6);
    url[5 + 108] = '\0';
    assert_int_equal(engine_address_parse(url, &address, problem), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(servers),  cmocka_unit_test(sentinels), cmocka_unit_test(sockets),
        cmocka_unit_test(problems), cmocka_unit_test(long_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

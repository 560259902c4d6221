/* test_http_client.c - whom a request comes from, by what proxies say that are trusted. The request
 * is played. */
#include "../support/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "http/http_client.h"

#define HEADERS_MAX 64

struct header {
    const char *name, *value;
};

static struct {
    struct sockaddr_in6 peer;
    struct header headers[HEADERS_MAX];
    size_t count;
} world;

/* The linker calls these instead (--wrap). */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

const union MHD_ConnectionInfo *__wrap_MHD_get_connection_info(struct MHD_Connection *connection,
                                                               enum MHD_ConnectionInfoType type,
                                                               ...)
{
    static union MHD_ConnectionInfo info;

    (void)connection, (void)type;
    info.client_addr = (struct sockaddr *)&world.peer;
    return &info;
}

int __wrap_MHD_get_connection_values(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                                     MHD_KeyValueIterator visit, void *context)
{
    (void)connection;
    for (size_t i = 0; i < world.count; i++)
        visit(context, kind, world.headers[i].name, world.headers[i].value);
    return (int)world.count;
}

const char *__wrap_http_request_header(const struct http_request *request, const char *name)
{
    (void)request, (void)name;
    return NULL;
}

/* Find the client of a request from this peer with these headers. */
static const char *find(const char *peer)
{
    static char text[INET6_ADDRSTRLEN];
    struct network proxies[2];
    const struct http_request request = {0};

    world.peer = (struct sockaddr_in6){.sin6_family = AF_INET6};
    assert_int_equal(inet_pton(AF_INET6, peer, &world.peer.sin6_addr), 1);
    assert_int_equal(network_parse("10.0.0.0/8", &proxies[0]), 0);
    assert_int_equal(network_parse("2001:db8:aaaa::/48", &proxies[1]), 0);
    struct http_client client = http_client_find(&request, proxies, LENGTH(proxies));
    if (host_is_v4(&client.host))
        inet_ntop(AF_INET, client.host.bytes + 12, text, sizeof(text));
    else
        inet_ntop(AF_INET6, client.host.bytes, text, sizeof(text));
    return text;
}

#define PROXY "::ffff:10.0.0.1"
#define FOR   "X-Forwarded-For"

static void test_headers(void **state)
{
    static const struct {
        struct header headers[3];
        const char *client;
    } cases[] = {
        {{{FOR, "192.0.2.7"}}, "192.0.2.7"},
        {{{FOR, "203.0.113.9, 192.0.2.7"}}, "192.0.2.7"},
        {{{FOR, "203.0.113.9, 192.0.2.7, 10.9.9.9"}}, "192.0.2.7"},
        {{{FOR, "203.0.113.9"}, {FOR, "192.0.2.7"}}, "192.0.2.7"},
        {{{FOR, "10.9.9.9"}}, "10.9.9.9"}, /* a proxy's own request */
        {{{FOR, "2001:db8::1, [2001:db8:bbbb:1::2]:80"}}, "2001:db8:bbbb:1::"},
        /* What a stranger has sent hides nothing that the proxy has appended. */
        {{{FOR, "\"203.0.113.9, 192.0.2.7"}}, "192.0.2.7"},
        {{{FOR, "\\, \" , 192.0.2.7"}}, "192.0.2.7"},
        {{{"Forwarded", "for=\"203.0.113.9, for=192.0.2.7"}}, "10.0.0.1"},
        {{{"Forwarded", "for=203.0.113.9"}, {"Forwarded", "for=192.0.2.7"}}, "192.0.2.7"},
        {{{"Forwarded", "for=203.0.113.9, for=\"192.0.2.7:80\""}}, "192.0.2.7"},
        /* A hop that the proxy hides, or that is malformed, is not passed over. */
        {{{"Forwarded", "for=203.0.113.9, for=_hidden"}}, "10.0.0.1"},
        {{{"Forwarded", "for=203.0.113.9, for=unknown, for=10.9.9.9"}}, "10.9.9.9"},
        {{{FOR, "203.0.113.9, nonsense"}}, "10.0.0.1"},
        /* Where the headers differ, nobody knows which one the proxy has written. */
        {{{FOR, "192.0.2.7"}, {"X-Real-IP", "192.0.2.7"}}, "192.0.2.7"},
        {{{FOR, "192.0.2.7"}, {"X-Real-IP", "203.0.113.9"}}, "10.0.0.1"},
        {{{FOR, "192.0.2.7"}, {"Forwarded", "for=203.0.113.9"}}, "10.0.0.1"},
        {{{"X-Other", "192.0.2.7"}}, "10.0.0.1"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        memcpy(world.headers, cases[i].headers, sizeof(cases[i].headers));
        for (world.count = 0; world.count < 3 && world.headers[world.count].name;)
            world.count++;
        const char *found = find(PROXY);
        if (strcmp(found, cases[i].client) != 0)
            fail_msg("%s: %s is %s", cases[i].headers[0].value, cases[i].client, found);
    }
}

/* However much a stranger sends, in one header or in many, what the proxy has appended counts. */
static void test_many(void **state)
{
    char list[2048] = "";

    (void)state;
    for (int hops = 1; hops < 60; hops++) {
        sprintf(list + strlen(list), "203.0.113.%d, ", hops);
        char all[2100];
        snprintf(all, sizeof(all), "%s192.0.2.7", list);
        world.headers[0] = (struct header){FOR, all};
        world.count = 1;
        assert_string_equal(find(PROXY), "192.0.2.7");
        for (int i = 0; i < hops; i++)
            world.headers[i] = (struct header){FOR, "203.0.113.9"};
        world.headers[hops] = (struct header){FOR, "192.0.2.7"};
        world.count = (size_t)hops + 1;
        assert_string_equal(find(PROXY), "192.0.2.7");
    }
}

/* A peer that isn't trusted speaks for itself alone, with its network of IPv6. */
static void test_strangers(void **state)
{
    (void)state;
    world.headers[0] = (struct header){FOR, "192.0.2.7"};
    world.count = 1;
    assert_string_equal(find("::ffff:203.0.113.9"), "203.0.113.9");
    assert_string_equal(find("2001:db8:1:2:3::4"), "2001:db8:1:2::");
    assert_string_equal(find("2001:db8:aaaa::1"), "192.0.2.7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_strangers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

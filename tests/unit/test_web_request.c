/* test_web_request.c - what requests ask for: how long a stream lasts, and names of any length. The
 * request is played. */
#include "../support/unit.h"

#include "request.h"

static struct {
    const char *sites[4], *tokens[4];
    size_t count;
} asked;

static struct web web;

/* The linker calls these instead (--wrap). */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

size_t __wrap_http_request_query_all(const struct http_request *request, const char *name,
                                     const char **ret, size_t capacity)
{
    const char *const *values = strcmp(name, "site") == 0    ? asked.sites
                                : strcmp(name, "token") == 0 ? asked.tokens
                                                             : NULL;

    (void)request;
    for (size_t i = 0; values && i < asked.count && i < capacity; i++)
        ret[i] = values[i];
    return values ? asked.count : 0;
}

const char *__wrap_http_request_header(const struct http_request *request, const char *name)
{
    (void)request, (void)name;
    return NULL;
}

bool __wrap_request_has_api_key(const struct web *from, const struct http_request *request)
{
    (void)from, (void)request;
    return false;
}

struct totals *__wrap_live_totals(const struct live *live)
{
    (void)live;
    return NULL;
}

/* A token is the time at which it expires. */
bool __wrap_request_may_use(const struct web *from, const struct http_request *request,
                            const char *token, const struct token_use *use, int64_t *ret_expires,
                            struct problem *problem)
{
    (void)from, (void)request, (void)use, (void)problem;
    *ret_expires = atoll(token);
    return true;
}

/* A stream ends with the first of its tokens, wherever that is among them. */
static void test_the_first_token_ends_it(void **state)
{
    static const char *const orders[][3] = {
        {"10", "20", "30"}, {"20", "10", "30"}, {"30", "20", "10"}};
    const struct http_request request = {0};
    struct request_places places;
    struct problem problem;

    (void)state;
    for (size_t i = 0; i < LENGTH(orders); i++) {
        asked.count = 3;
        for (size_t j = 0; j < 3; j++) {
            asked.sites[j] = "example.com";
            asked.tokens[j] = orders[i][j];
        }
        assert_true(request_parse_places(&web, &request, &places, &problem));
        assert_int_equal(places.count, 3);
        assert_int_equal(places.expires, 10);
    }
}

/* A name in a path that is too long is refused, not cut. */
static void test_long_names(void **state)
{
    char path[400], name[300];
    struct http_request request = {.path = path};
    struct problem problem;
    struct place place;

    (void)state;
    memset(name, 'a', sizeof(name));
    for (int length = 250; length < 270; length++) {
        snprintf(path, sizeof(path), "/api/sites/%.*s/events", length, name);
        bool is_good =
            request_parse_path_site(&web, &request, "/api/sites/", "/events", &place, &problem);
        assert_int_equal(is_good, length <= PLACE_SITE_MAX);
        if (is_good)
            assert_int_equal(strlen(place.site), length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_token_ends_it),
        cmocka_unit_test(test_long_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

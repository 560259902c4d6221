/* test_http_request.c - lists of a request's headers, and its cookies. The request is played. */
#include "../support/unit.h"

#include "http/http_server.h"

struct header {
    const char *name, *value;
};

static struct header headers[3]; /* up to the first without a name */

int __wrap_MHD_get_connection_values(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                                     MHD_KeyValueIterator visit, void *context);

int __wrap_MHD_get_connection_values(struct MHD_Connection *connection, enum MHD_ValueKind kind,
                                     MHD_KeyValueIterator visit, void *context)
{
    int visited = 0;

    (void)connection;
    for (size_t i = 0; i < LENGTH(headers) && headers[i].name; i++) {
        visited++;
        if (visit(context, kind, headers[i].name, headers[i].value) == MHD_NO)
            break;
    }
    return visited;
}

static void play(const char *name, const char *value, const char *second_name, const char *second)
{
    headers[0] = (struct header){name, value};
    headers[1] = (struct header){second_name, second};
}

/* Expect a list that is built in so many bytes, and none behind them to be written. */
static void expect_list(size_t size, const char *expected)
{
    const struct http_request request = {0};
    char list[32];

    memset(list, '#', sizeof(list));
    const char *found = http_request_header_list(&request, "Accept-Encoding", list, size);
    assert_ptr_equal(found, list);
    assert_string_equal(list, expected);
    for (size_t i = size; i < sizeof(list); i++)
        assert_int_equal(list[i], '#');
}

static void lists(void **state)
{
    const struct http_request request = {0};
    char list[32];

    (void)state;
    play("Accept-Encoding", "br", "ACCEPT-ENCODING", "gzip");
    expect_list(sizeof(list), "br,gzip");
    play("accept-encoding", "br", NULL, NULL); /* as HTTP/2 has it */
    expect_list(sizeof(list), "br");
    play("Accept", "br", NULL, NULL);
    assert_null(http_request_header_list(&request, "Accept-Encoding", list, sizeof(list)));
    assert_string_equal(list, "");
}

/* A header that has no room is left out whole. */
static void lists_that_hardly_fit(void **state)
{
    (void)state;
    play("Accept-Encoding", "br", "Accept-Encoding", "gzip");
    expect_list(sizeof("br,gzip,"), "br,gzip");
    expect_list(sizeof("br,gzip"), "br,gzip");
    expect_list(sizeof("br,gzi"), "br");
    play("Accept-Encoding", "deflate", "Accept-Encoding", "br");
    expect_list(sizeof("br,"), "br");
}

/* Expect the cookie `id` in so many bytes, and none behind them to be written. */
static void expect_cookie(size_t size, const char *expected)
{
    const struct http_request request = {0};
    char value[32];

    memset(value, '#', sizeof(value));
    assert_true(http_request_cookie(&request, "id", value, size));
    assert_string_equal(value, expected);
    for (size_t i = size; i < sizeof(value); i++)
        assert_int_equal(value[i], '#');
}

static void cookies(void **state)
{
    const struct http_request request = {0};
    char value[32];

    (void)state;
    play("Cookie", "identity=1; id = 2 ; id=3", NULL, NULL);
    expect_cookie(sizeof(value), "2");
    play("cookie", "a=1", "cookie", "id=2"); /* as HTTP/2 has them */
    expect_cookie(sizeof(value), "2");
    play("Cookies", "id=2", NULL, NULL);
    assert_false(http_request_cookie(&request, "id", value, sizeof(value)));
}

static void cookies_are_cut_at_the_room_for_them(void **state)
{
    (void)state;
    play("Cookie", "id=12345678; a=1", NULL, NULL);
    expect_cookie(10, "12345678");
    expect_cookie(9, "12345678");
    expect_cookie(8, "1234567");
    expect_cookie(7, "123456");
    expect_cookie(1, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists),
        cmocka_unit_test(lists_that_hardly_fit),
        cmocka_unit_test(cookies),
        cmocka_unit_test(cookies_are_cut_at_the_room_for_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

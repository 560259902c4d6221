/* test_web_access.c - tokens at the edges of their time. The clock is played. */
#include "../support/unit.h"

#include <jwt.h>
#include <time.h>

#include "request.h"

#define NOW INT64_C(1767225600)
#define KEY "a key of thirty-two bytes, or so"

static time_t now;

/* The linker calls this instead (--wrap). */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

time_t __wrap_time(time_t *ret)
{
    (void)ret;
    return now;
}

/* Make a token with these times, 0 for none. The caller frees it. */
static char *make_token(int64_t expires, int64_t not_before, int64_t issued)
{
    char claims[256];
    jwt_t *jwt;

    snprintf(claims, sizeof(claims),
             "{\"site\":\"example.com\",\"exp\":%lld,\"nbf\":%lld,\"iat\":%lld}",
             (long long)expires, (long long)not_before, (long long)issued);
    assert_int_equal(jwt_new(&jwt), 0);
    assert_int_equal(jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)KEY, (int)strlen(KEY)),
                     0);
    assert_int_equal(jwt_add_grants_json(jwt, claims), 0);
    char *token = jwt_encode_str(jwt);
    assert_non_null(token);
    jwt_free(jwt);
    return token;
}

/* Use a token at that time. Returns the code of the problem, or "". */
static const char *use(const char *token, int64_t at, int64_t *ret_expires)
{
    static char key[] = KEY;
    static struct problem problem;
    static struct web web;
    const struct http_request request = {0};
    const struct place place = {"example.com", ""};
    const struct token_use use = {.place = &place};

    web.jwt_keys.count = 1;
    web.jwt_keys.items[0] = key;
    now = (time_t)at;
    return request_may_use(&web, &request, token, &use, ret_expires, &problem) ? "" : problem.code;
}

/* A token holds for half a minute longer than it says, and not in the second after that. What it
 * permits ends when the token does, or if that has passed, with the half minute. */
static void test_the_end(void **state)
{
    char *token = make_token(NOW, 0, 0);
    int64_t expires = 0;

    (void)state;
    assert_string_equal(use(token, NOW - 1, &expires), "");
    assert_int_equal(expires, NOW);
    assert_string_equal(use(token, NOW, &expires), "");
    assert_int_equal(expires, NOW + 30);
    assert_string_equal(use(token, NOW + 29, &expires), "");
    assert_int_equal(expires, NOW + 30);
    assert_string_equal(use(token, NOW + 30, &expires), "token_expired");
    free(token);
}

static void test_the_beginning(void **state)
{
    char *later = make_token(NOW + 1000, NOW, 0), *future = make_token(NOW + 1000, 0, NOW);
    int64_t expires = 0;

    (void)state;
    assert_string_equal(use(later, NOW - 31, &expires), "token_invalid");
    assert_string_equal(use(later, NOW - 30, &expires), "");
    assert_string_equal(use(future, NOW - 31, &expires), "token_invalid");
    assert_string_equal(use(future, NOW - 30, &expires), "");
    free(later);
    free(future);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_end),
        cmocka_unit_test(test_the_beginning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_web_heartbeat.c - what a heartbeat says besides its place: who is a bot, and how long a
 * leave is held. Headers are played. */
#include "../support/unit.h"

#include "heartbeat.h"

#define NAMES 5000 /* more than verdicts are kept */

static const char *user_agent;

/* The linker calls this instead (--wrap). */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

const char *__wrap_http_request_header(const struct http_request *request, const char *name)
{
    (void)request;
    return strcmp(name, "User-Agent") == 0 ? user_agent : NULL;
}

static struct heartbeat parse(double hold_s)
{
    const struct heartbeat_fields fields = {
        .site = "example.com", .visitor = "ann", .hold_s = hold_s};
    static const struct web web;
    const struct http_request request = {0};
    struct heartbeat heartbeat;
    struct problem problem;

    assert_true(heartbeat_parse_permitted(&web, &request, &fields, &heartbeat, &problem));
    return heartbeat;
}

/* However many browsers and bots come, none is taken for another. */
static void test_bots(void **state)
{
    char browser[64], bot[64];

    (void)state;
    for (int i = 0; i < NAMES; i++) {
        snprintf(browser, sizeof(browser), "Mozilla/5.0 (X11; Linux) Version/%d", i);
        snprintf(bot, sizeof(bot), "Examplebot/%d", i);
        user_agent = bot;
        assert_true(parse(-1).is_from_bot);
        user_agent = browser;
        assert_false(parse(-1).is_from_bot);
    }
    user_agent = NULL;
    assert_false(parse(-1).is_from_bot);
}

static void test_hold(void **state)
{
    static const struct {
        double given;
        int held;
    } cases[] = {{-1, -1}, {0, 0},   {0.4, 0},   {0.5, 1},   {1.4, 1},
                 {1.6, 2}, {29, 29}, {29.6, 30}, {30.4, 30}, {1e300, 30}};

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_int_equal(parse(cases[i].given).hold_s, cases[i].held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bots),
        cmocka_unit_test(test_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

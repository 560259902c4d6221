/* test_http_exposition.c - both formats, byte by byte. */
#include "../support/unit.h"

#include "http/exposition.h"

static void expect(enum format format, const char *expected)
{
    char *text;
    size_t length;
    struct exposition exposition = {.out = open_memstream(&text, &length), .format = format};
    const struct label hostile[] = {{"site", "a\nb\\n\"c\"\\"}, {"window", "\x1b[31m"}};
    const struct label version = {"version", "1"};

    exposition_gauge(&exposition, "age_seconds", "How old.", 0);
    exposition_family(&exposition, "visitors", FAMILY_GAUGE, "Who.");
    exposition_sample(&exposition, hostile, 2, UINT64_MAX);
    exposition_family(&exposition, "drops", FAMILY_COUNTER, "Lost.");
    exposition_sample(&exposition, NULL, 0, 7);
    exposition_family(&exposition, "build", FAMILY_INFO, "Made.");
    exposition_sample(&exposition, &version, 1, 1);
    exposition_end(&exposition);
    fclose(exposition.out);
    assert_string_equal(text, expected);
    free(text);
}

static void text_is_written(void **state)
{
    (void)state;
    expect(FORMAT_TEXT, "# HELP presence_age_seconds How old.\n"
                        "# TYPE presence_age_seconds gauge\n"
                        "presence_age_seconds 0\n"
                        "# HELP presence_visitors Who.\n"
                        "# TYPE presence_visitors gauge\n"
                        "presence_visitors{site=\"a\\nb\\\\n\\\"c\\\"\\\\\",window=\"\x1b[31m\"} "
                        "18446744073709551615\n"
                        "# HELP presence_drops_total Lost.\n"
                        "# TYPE presence_drops_total counter\n"
                        "presence_drops_total 7\n"
                        "# HELP presence_build_info Made.\n"
                        "# TYPE presence_build_info gauge\n"
                        "presence_build_info{version=\"1\"} 1\n");
}

static void openmetrics_is_written(void **state)
{
    (void)state;
    expect(FORMAT_OPENMETRICS,
           "# HELP presence_age_seconds How old.\n"
           "# TYPE presence_age_seconds gauge\n"
           "# UNIT presence_age_seconds seconds\n"
           "presence_age_seconds 0\n"
           "# HELP presence_visitors Who.\n"
           "# TYPE presence_visitors gauge\n"
           "presence_visitors{site=\"a\\nb\\\\n\\\"c\\\"\\\\\",window=\"\x1b[31m\"} "
           "18446744073709551615\n"
           "# HELP presence_drops Lost.\n"
           "# TYPE presence_drops counter\n"
           "presence_drops_total 7\n"
           "# HELP presence_build Made.\n"
           "# TYPE presence_build info\n"
           "presence_build_info{version=\"1\"} 1\n"
           "# EOF\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_written),
        cmocka_unit_test(openmetrics_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

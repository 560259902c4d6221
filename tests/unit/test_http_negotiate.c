/* test_http_negotiate.c - Accept headers. */
#include "../support/unit.h"

#include "http/negotiate.h"

static const struct {
    const char *accept;
    enum format expected;
} cases[] = {
    {NULL, FORMAT_TEXT},
    {"", FORMAT_TEXT},
    {"*/*", FORMAT_TEXT},
    {"text/plain", FORMAT_TEXT},
    {"image/png", FORMAT_TEXT},
    {"application/openmetrics-text", FORMAT_OPENMETRICS},
    {"Application/OpenMetrics-Text", FORMAT_OPENMETRICS},
    {"application/openmetrics-text; version=1.0.0; charset=utf-8", FORMAT_OPENMETRICS},
    {"application/openmetrics-text;version=\"1.0.0\"", FORMAT_OPENMETRICS},
    {"application/openmetrics-text;version=0.0.1", FORMAT_TEXT},
    {"application/openmetrics-text;version=1.0.0;q=0", FORMAT_TEXT},
    {"application/openmetrics-text;q=0.0", FORMAT_TEXT},
    {"application/openmetrics-text;q=0.3,text/plain;q=0.4", FORMAT_TEXT},
    {"application/openmetrics-text;q=0.4,text/plain;q=0.3", FORMAT_OPENMETRICS},
    {"application/openmetrics-text;q=0.301,text/*;q=0.3", FORMAT_OPENMETRICS},
    {"text/plain, application/openmetrics-text", FORMAT_OPENMETRICS},
    {"*/*, application/openmetrics-text;q=0.9", FORMAT_TEXT},
    {" , ;q=1 ,\tapplication/openmetrics-text ; q = 1", FORMAT_OPENMETRICS},
    {"application/openmetrics-text;q=nan", FORMAT_TEXT},
    {"application/openmetrics-text;q=2", FORMAT_TEXT},
    {"application/openmetrics-text;q=1.5", FORMAT_TEXT},
    {"application/openmetrics-text;q=", FORMAT_TEXT},
    {"application/openmetrics-textual", FORMAT_TEXT},
    {"application/openmetrics", FORMAT_TEXT},
    {";;;,,,===,\"", FORMAT_TEXT},
    /* Prometheus 2.42, and a browser */
    {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
     "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
     FORMAT_OPENMETRICS},
    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", FORMAT_TEXT},
};

static void headers_are_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        if (negotiate(cases[i].accept) != cases[i].expected)
            fail_msg("\"%s\" should be format %d", cases[i].accept ? cases[i].accept : "(none)",
                     cases[i].expected);
    }
}

static void codings_are_understood(void **state)
{
    static const struct {
        const char *header;
        bool gzip;
    } codings[] = {
        {NULL, false},
        {"", false},
        {"gzip", true},
        {"x-gzip", true},
        {"br, GZIP;q=0.5", true},
        {"*", true},
        {"*;q=0", false},
        {"br", false},
        {"identity", false},
        {"gzip;q=0", false},
        {"gzip;q=0, *", false},
        {"gzip;q=0.000", false},
        {"gzip;q=0.5, identity;q=0.5", true},
        {"gzip;q=0.5, identity", false},
        {"gzip;q=0.5, identity;q=0", true},
        {"gzip;q=2", false},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(codings); i++) {
        if (negotiate_gzip(codings[i].header) != codings[i].gzip)
            fail_msg("%s", codings[i].header);
    }
}

/* Anything may stand there: nothing is read beyond its end (for the sanitizers). */
static void any_bytes_are_survived(void **state)
{
    static const char alphabet[] = "application/openmetrics-text;,=q.01 \t\"*\xff";
    uint64_t random = random_seed("any_bytes_are_survived");

    (void)state;
    for (int i = 0; i < 20000; i++) {
        size_t length = random_next(&random) % 64;
        char *header = malloc(length + 1);
        for (size_t j = 0; j < length; j++)
            header[j] = alphabet[random_next(&random) % (sizeof(alphabet) - 1)];
        header[length] = '\0';
        negotiate(header);
        free(header);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_understood),
        cmocka_unit_test(codings_are_understood),
        cmocka_unit_test(any_bytes_are_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

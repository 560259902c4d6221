/* test_exporter_metrics.c - the exporter's page, of snapshots that hardly occur: full sites beside
 * others, odd windows, many streams, a collector that has stopped. */
#include "../support/unit.h"

#include "metrics.h"

#define STREAMS_SHOWN 200

static struct presence_busy_scope sites[] = {{.site = "full.example", .count = 7, .partial = true},
                                             {.site = "b.example", .count = 3}};
static struct presence_peaks peaks[] = {{.window_s = 300,
                                         .today = {.count = 7, .at = 1767225661},
                                         .ever = {.count = 9, .at = 1767225599}},
                                        {.window_s = 0}};

static struct snapshot make(void)
{
    struct snapshot snapshot = {.readable = true, .up = true, .window_count = 3, .peaks = peaks};
    static const uint32_t windows[] = {90, 300, 3660};

    for (size_t i = 0; i < LENGTH(windows); i++) {
        snapshot.windows[i].window_s = windows[i];
        snapshot.windows[i].busiest[PRESENCE_SITE] =
            (struct presence_busiest){.scopes = sites, .length = 2, .total = 2};
    }
    snapshot.windows[0].busiest[PRESENCE_SITE].moment.partial = true;
    return snapshot;
}

/* Return the page, which the caller frees. */
static char *write_page(const struct snapshot *snapshot)
{
    char *page;
    size_t length;
    struct exposition exposition = {.out = open_memstream(&page, &length), .format = FORMAT_TEXT};

    metrics_write(&exposition, snapshot);
    fclose(exposition.out);
    return page;
}

static bool has_line(const char *page, const char *line)
{
    char text[256];

    snprintf(text, sizeof(text), "\npresence_%s\n", line);
    return strstr(page, text);
}

static void test_sites(void **state)
{
    static const char *const lines[] = {
        "site_partial{site=\"full.example\"} 1",
        "site_partial{site=\"b.example\"} 0",
        "partial{kind=\"site\"} 1",
        "active_visitors{site=\"b.example\",window=\"90s\"} 3",
        "active_visitors{site=\"b.example\",window=\"5m\"} 3",
        "active_visitors{site=\"b.example\",window=\"61m\"} 3",
        "peak_visitors{site=\"full.example\",period=\"today\",window=\"5m\"} 7",
        "peak_timestamp_seconds{site=\"full.example\",period=\"today\",window=\"5m\"} 1767225661",
        "peak_timestamp_seconds{site=\"full.example\",period=\"ever\",window=\"5m\"} 1767225599",
    };
    const struct snapshot snapshot = make();
    char *page = write_page(&snapshot);

    (void)state;
    for (size_t i = 0; i < LENGTH(lines); i++) {
        if (!has_line(page, lines[i]))
            fail_msg("no \"%s\" in %s", lines[i], page);
    }
    assert_null(strstr(page, "peak_visitors{site=\"b.example\""));
    free(page);
}

static void test_many_streams(void **state)
{
    static struct presence_stream streams[STREAMS_SHOWN + 7];
    struct snapshot snapshot = make();

    (void)state;
    for (size_t i = 0; i < LENGTH(streams); i++)
        streams[i] = (struct presence_stream){.id = i, .expected = 2, .received = 1};
    snapshot.streams = (struct presence_streams){.streams = streams, .length = LENGTH(streams)};
    for (size_t more = 0; more <= 7; more += 7) {
        char expected[64];
        snapshot.streams_heard = STREAMS_SHOWN + more;
        char *page = write_page(&snapshot);
        snprintf(expected, sizeof(expected), "streams_not_shown %zu", more);
        assert_true(has_line(page, expected));
        free(page);
    }
}

/* Nothing is said of now by a collector that has stopped. */
static void test_stopped(void **state)
{
    struct snapshot snapshot = make();

    (void)state;
    snapshot.up = false;
    char *page = write_page(&snapshot);
    assert_non_null(strstr(page, "presence_up 0\n"));
    assert_non_null(strstr(page, "presence_tick_age_seconds "));
    assert_null(strstr(page, "presence_warming"));
    assert_null(strstr(page, "presence_active_visitors"));
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sites),
        cmocka_unit_test(test_many_streams),
        cmocka_unit_test(test_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

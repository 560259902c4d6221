/* test_time_text.c - time_text.h: times and durations as text, and back. */
#include "../support/unit.h"

#include <errno.h>

#include "common/time_text.h"

static void durations_have_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t seconds;
    } right[] = {{"0", 0},     {"90", 90},        {"90s", 90},      {"5m", 300},
                 {"1h", 3600}, {"2d", 2 * 86400}, {"1w", 7 * 86400}};
    static const char *const wrong[] = {"",     "s",
                                        "-1",   "+1",
                                        " 1",   "1 ",
                                        "1min", "1y",
                                        "5M",   "30000000000000000w",
                                        "1.5h", "18446744073709551616"};
    uint64_t seconds = 7;

    for (size_t i = 0; i < LENGTH(wrong); i++)
        if (duration_parse(wrong[i], &seconds) != -EINVAL || seconds != 7)
            fail_msg("'%s' is %llu s", wrong[i], (unsigned long long)seconds);
    for (size_t i = 0; i < LENGTH(right); i++) {
        assert_int_equal(duration_parse(right[i].text, &seconds), 0);
        assert_true(seconds == right[i].seconds);
    }
}

static void times_may_have_a_zone(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t microseconds;
    } right[] = {{"2026-01-31", INT64_C(1769817600000000)},
                 {"2026-01-31T12:00", INT64_C(1769860800000000)},
                 {"2026-01-31T12:00Z", INT64_C(1769860800000000)},
                 {"2026-01-31T12:00:05", INT64_C(1769860805000000)},
                 {"2026-01-31T12:00:05.25Z", INT64_C(1769860805250000)},
                 {"2026-01-31T12:00:05.000001", INT64_C(1769860805000001)},
                 {"2026-01-31T12:00:05.0000019Z", INT64_C(1769860805000001)},
                 {"2026-01-31T12:00:05+00:00", INT64_C(1769860805000000)},
                 {"2026-01-31T12:00:05-00:00", INT64_C(1769860805000000)},
                 {"2026-01-31T17:30:05.5+05:30", INT64_C(1769860805500000)},
                 {"2026-01-31T17:30:05 05:30", INT64_C(1769860805000000)},
                 {"2026-01-31 12:00", INT64_C(1769860800000000)},
                 {"2026-01-31 12:00:05.25", INT64_C(1769860805250000)},
                 {"2026-01-31 14:00:05.25+02:00", INT64_C(1769860805250000)},
                 {"2026-01-31 17:30:05 05:30", INT64_C(1769860805000000)},
                 {"2026-02-01T01:00+13", INT64_C(1769860800000000)},
                 {"2026-01-31t04:30:05-0730", INT64_C(1769860805000000)},
                 {"2026-01-31T12:00z", INT64_C(1769860800000000)},
                 {"2024-02-29T00:00:00Z", INT64_C(1709164800000000)},
                 {"2016-12-31T23:59:60Z", INT64_C(1483228800000000)},
                 {"0001-01-01T00:00:00+23:59", INT64_C(-62135683140000000)},
                 {"9999-12-31T23:59:59.9-23:59", INT64_C(253402387139900000)}};
    static const char *const wrong[] = {"",
                                        "today",
                                        "2026-13-01",
                                        "12:00",
                                        "2026-01-31 ",
                                        "2026-01-31  12:00",
                                        "2026-01-31 T12:00",
                                        "2026-01-31 05:30:00 5:30",
                                        "2026-01-31T12:00:05.",
                                        "2026-01-31T12:00:05.x",
                                        "2026-01-31T12:00+24:00",
                                        "2026-01-31T12:00+01:60",
                                        "2026-01-31T12:00+1:00",
                                        "2026-01-31T12:00+01:",
                                        "2026-01-31T12:00+010",
                                        "2026-01-31T12:00+01:00Z",
                                        "2026-01-31T12:00  01:00",
                                        "2026-01-31T12:00 ",
                                        "2026-01-31T12:00Z ",
                                        "2026-01-31Z",
                                        "2026-01-31+01:00",
                                        "2026-1-31T12:00",
                                        "2026-02-30T12:00",
                                        "2023-02-29",
                                        "2026-01-31T24:00",
                                        "2026-01-31T12:00:61",
                                        "2026-01-31T12:0",
                                        "2026-01-31T12",
                                        " 2026-01-31T12:00",
                                        "+026-01-31T12:00",
                                        "20260-01-31T12:00"};
    int64_t microseconds = 7;

    for (size_t i = 0; i < LENGTH(wrong); i++)
        if (time_parse(wrong[i], &microseconds) != -EINVAL || microseconds != 7)
            fail_msg("'%s' is %lld", wrong[i], (long long)microseconds);
    for (size_t i = 0; i < LENGTH(right); i++) {
        assert_int_equal(time_parse(right[i].text, &microseconds), 0);
        assert_true(microseconds == right[i].microseconds);
    }
    assert_string_equal(show_time(1769860805).text, "2026-01-31T12:00:05Z");
    assert_string_equal(show_time_us(INT64_C(1769860805250000)).text,
                        "2026-01-31T12:00:05.250000Z");
    assert_string_equal(show_time(INT64_C(-42536188800)).text, "0622-01-31T00:00:00Z");
}

static void durations_are_rounded_down_windows_are_exact(void **state)
{
    (void)state;
    assert_string_equal(show_duration(119).text, "119 s");
    assert_string_equal(show_duration(120).text, "2 min");
    assert_string_equal(show_duration(7199).text, "119 min");
    assert_string_equal(show_duration(7200).text, "2 h");
    assert_string_equal(show_duration(3 * 86400).text, "3 d");
    assert_string_equal(show_window(0).text, "0 s");
    assert_string_equal(show_window(90).text, "90 s");
    assert_string_equal(show_window(300).text, "5 min");
    assert_string_equal(show_window(3600).text, "1 h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_have_a_unit),
        cmocka_unit_test(times_may_have_a_zone),
        cmocka_unit_test(durations_are_rounded_down_windows_are_exact),
    };
    return cmocka_run_group_tests_name("time_text", tests, NULL, NULL);
}

/* test_log.c - log.h: which bytes reach the terminal, and how many lines a second. */
#include "../support/capture.h"

#include <errno.h>
#include <time.h>

#include "common/log.h"

static time_t second = 1000;

/* The linker calls it in place of clock_gettime (--wrap). */
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    (void)clock;
    *ret = (struct timespec){.tv_sec = second};
    return 0;
}

static char printed[16384];

/* Log that many lines in a new second, and return how many were printed. */
static unsigned log_lines(unsigned count)
{
    int before, capture = divert(stderr, &before);
    unsigned lines = 0;

    second++;
    for (unsigned i = 0; i < count; i++)
        log_line("line %u", i);
    restore(stderr, before, capture, printed, sizeof(printed));
    for (const char *end = printed; (end = strchr(end, '\n')); end++)
        lines++;
    return lines;
}

static void lines_beyond_the_limit_are_counted(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(log_lines(LOG_BURST + 10), LOG_BURST);
        assert_non_null(strstr(printed, "test: line 49\n"));
        assert_int_equal(log_lines(2), 2);
        assert_string_equal(printed,
                            "test: line 0 (10 lines before this left out)\ntest: line 1\n");
    }
    assert_int_equal(log_lines(LOG_BURST + 1), LOG_BURST);
    assert_int_equal(log_lines(1), 1);
    assert_string_equal(printed, "test: line 0 (1 line before this left out)\n");
}

static void errors_and_long_texts_have_no_limit(void **state)
{
    static char text[3000];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    assert_int_equal(log_lines(LOG_BURST), LOG_BURST);
    int before, capture = divert(stderr, &before);
    log_error("an error");
    log_text(text);
    restore(stderr, before, capture, printed, sizeof(printed));
    assert_memory_equal(printed, "test: an error\ntest: xxx", 24);
    assert_int_equal(strlen(printed), strlen("test: an error\ntest: \n") + sizeof(text) - 1);
}

static void other_bytes_than_printable_ones_are_escaped(void **state)
{
    int before, capture = divert(stderr, &before);

    (void)state;
    second++;
    log_line("%s", "\x1b[2J ~ \x7f \xff\t.");
    log_line("%s", "a\nb");
    log_line("%s", "a\r\nb");
    log_text("a\nb");
    restore(stderr, before, capture, printed, sizeof(printed));
    assert_string_equal(printed, "test: \\x1b[2J ~ \\x7f \\xff\\x09.\n"
                                 "test: a\n"
                                 "test: a\n"
                                 "test: a\\x0ab\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_beyond_the_limit_are_counted),
        cmocka_unit_test(errors_and_long_texts_have_no_limit),
        cmocka_unit_test(other_bytes_than_printable_ones_are_escaped),
    };
    program_invocation_short_name = (char *)(uintptr_t) "test";
    return cmocka_run_group_tests(tests, NULL, NULL);
}

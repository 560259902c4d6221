/* test_options_file.c - options_read_file of options.h: lines of a configuration file. */
#include "../support/scratch.h"

#include <common/options.h>
#include <errno.h>

#define MOST 199 /* bytes of a line */

/* What was read: "NAME=VALUE;" of each line. */
struct text {
    char all[2048];
    bool refuses;
};

static bool add_line(void *context, const char *name, const char *value)
{
    struct text *text = context;
    size_t length = strlen(text->all);

    snprintf(text->all + length, sizeof(text->all) - length, "%s=%s;", name, value);
    return !text->refuses;
}

/* Read a file with this text. Returns what options_read_file does. */
static int read_text(const struct scratch *scratch, const char *file, struct text *ret)
{
    FILE *stream = fopen(scratch->path, "w");

    assert_non_null(stream);
    assert_true(fputs(file, stream) >= 0);
    assert_int_equal(fclose(stream), 0);
    *ret = (struct text){.refuses = ret->refuses};
    return options_read_file(scratch->path, add_line, ret);
}

static void lines(void **state)
{
    struct text text = {0};

    assert_int_equal(read_text(*state, "# no\n; no\n[any]\n a = b ; no\nc: d = e\n\nf =", &text),
                     0);
    assert_string_equal(text.all, "a=b;c=d = e;f=;");
    assert_int_equal(read_text(*state, "", &text), 0);
    assert_string_equal(text.all, "");
    assert_int_equal(read_text(*state, "a = b\n\nc\n", &text), 3);
    text.refuses = true;
    assert_int_equal(read_text(*state, "a = b\nc = d\n", &text), -ECANCELED);
    assert_string_equal(text.all, "a=b;");
    assert_int_equal(options_read_file("/nowhere/x", add_line, &text), -ENOENT);
    assert_int_equal(options_read_file("/dev", add_line, &text), -EISDIR);
}

/* A line that begins with a blank is another value of the one before. */
static void continued_lines(void **state)
{
    struct text text = {0};

    assert_int_equal(read_text(*state, "a = b\n  c = d\n\te\nf = g\n", &text), 0);
    assert_string_equal(text.all, "a=b;a=c = d;a=e;f=g;");
}

/* No line is cut where the reader's buffer ends: the rest would be taken for the next line. */
static void long_lines(void **state)
{
    char file[1024], expected[1024];
    struct text text = {0};

    for (int length = MOST - 3; length <= MOST; length++) {
        snprintf(file, sizeof(file), "a = %0*d\nb = c\nx\n", length - 4, 7);
        snprintf(expected, sizeof(expected), "a=%0*d;b=c;", length - 4, 7);
        assert_int_equal(read_text(*state, file, &text), 3); /* lines keep their numbers */
        assert_string_equal(text.all, expected);
    }
    for (int length = MOST + 1; length <= 3 * MOST; length += MOST - 1) {
        snprintf(file, sizeof(file), "b = c\na = %0*d\n", length - 4, 7);
        assert_int_equal(read_text(*state, file, &text), -ECANCELED);
        assert_string_equal(text.all, "b=c;");
    }
    snprintf(file, sizeof(file), "b = c\n%0*d", MOST, 7); /* no line feed at the end */
    assert_int_equal(read_text(*state, file, &text), 2);
}

/* What stands behind a zero byte would be lost, and a device of zeros has no end. */
static void zero_bytes(void **state)
{
    const struct scratch *scratch = *state;
    static const char file[] = "a = b\nc = d\0e = f\ng = h\n";
    FILE *stream = fopen(scratch->path, "w");
    struct text text = {0};

    assert_non_null(stream);
    assert_int_equal(fwrite(file, sizeof(file) - 1, 1, stream), 1);
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(options_read_file(scratch->path, add_line, &text), -ECANCELED);
    assert_string_equal(text.all, "a=b;");
    assert_int_equal(options_read_file("/dev/zero", add_line, &text), -ECANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SCRATCH_TEST(lines), SCRATCH_TEST(continued_lines),
                                       SCRATCH_TEST(long_lines), SCRATCH_TEST(zero_bytes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

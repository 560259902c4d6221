/* test_file_text.c - file_text.h: a file in pieces, one that is too long, one that can't be read.
 */
#include "../support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/file_text.h"

/* Two ends of a pipe, of which reads get a piece each. */
static int ends[2];

static int open_pipe(void **state)
{
    (void)state;
    return pipe2(ends, O_NONBLOCK | O_DIRECT);
}

static int close_pipe(void **state)
{
    (void)state;
    close(ends[0]);
    return close(ends[1]);
}

static void put(const char *piece)
{
    assert_int_equal(write(ends[1], piece, strlen(piece)), strlen(piece));
}

/* Read what was put into `size` bytes. */
static int read_into(char *text, size_t size, size_t *length)
{
    close(ends[1]);
    ends[1] = dup(ends[0]); /* for close_pipe */
    return file_text_read(ends[0], text, size, length);
}

static void pieces_are_joined(void **state)
{
    char text[8];
    size_t length = 99;

    (void)state;
    memset(text, 'x', sizeof(text));
    put("abc");
    put("d");
    put("efg");
    assert_int_equal(read_into(text, sizeof(text), &length), 0);
    assert_int_equal(length, 7);
    assert_string_equal(text, "abcdefg");
}

static void nothing_is_an_empty_text(void **state)
{
    char text[1] = {'x'};
    size_t length = 99;

    (void)state;
    assert_int_equal(read_into(text, sizeof(text), &length), 0);
    assert_int_equal(length, 0);
    assert_int_equal(*text, 0);
}

static void the_zero_must_fit(void **state)
{
    char text[9] = {[8] = 'x'}; /* which is not to be touched */
    size_t length;

    (void)state;
    put("abcdefgh");
    put("i");
    assert_int_equal(read_into(text, sizeof(text) - 1, &length), -EFBIG);
    assert_int_equal(text[8], 'x');
}

static void a_failure_is_told(void **state)
{
    char text[8];
    size_t length;

    (void)state;
    put("a");
    assert_int_equal(file_text_read(ends[0], text, sizeof(text), &length), -EAGAIN);
    assert_int_equal(file_text_read(-1, text, sizeof(text), &length), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pieces_are_joined, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(nothing_is_an_empty_text, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(the_zero_must_fit, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(a_failure_is_told, open_pipe, close_pipe),
    };
    return cmocka_run_group_tests_name("file_text", tests, NULL, NULL);
}

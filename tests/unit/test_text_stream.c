/* test_text_stream.c - a text is all that was written, or there is none. */
#include "../support/failing_memory.h"

#include "common/text_stream.h"

/* Write lines of six bytes, and check that the text has them all. Each is shorter than what stdio
 * keeps before it writes. */
static int write_lines(void *context)
{
    const unsigned lines = *(const unsigned *)context;
    struct text_stream stream;
    size_t length = SIZE_MAX;
    unsigned number;
    char end;

    if (!text_stream_open(&stream))
        return -ENOMEM;
    for (unsigned i = 0; i < lines; i++)
        fprintf(stream.out, "%05u\n", i);
    char *text = text_stream_close(&stream, &length);
    if (!text)
        return -ENOMEM;
    assert_int_equal(length, 6 * lines);
    assert_int_equal(strlen(text), length);
    for (unsigned i = 0; i < lines; i++) {
        assert_int_equal(sscanf(text + i * 6, "%5u%c", &number, &end), 2);
        assert_int_equal(number, i);
        assert_int_equal(end, '\n');
    }
    free(text);
    return 0;
}

static void texts_are_whole(void **state)
{
    static const unsigned counts[] = {0, 1, 100, 1000, 5000, 50000};

    (void)state;
    for (unsigned i = 0; i < LENGTH(counts); i++) {
        unsigned lines = counts[i];
        assert_int_equal(write_lines(&lines), 0);
    }
}

static void each_allocation_may_fail(void **state)
{
    unsigned few = 10, many = 20000;

    (void)state;
    fail_each_allocation("a short text", write_lines, &few);
    fail_each_allocation("a long text", write_lines, &many);
}

static void bytes_of_any_value(void **state)
{
    static const char bytes[] = {'a', '\0', '\xff', '\n', 'b'};
    struct text_stream stream;
    size_t length = 0;

    (void)state;
    assert_non_null(text_stream_open(&stream));
    fwrite(bytes, 1, sizeof(bytes), stream.out);
    char *text = text_stream_close(&stream, &length);
    assert_int_equal(length, sizeof(bytes));
    assert_memory_equal(text, bytes, sizeof(bytes));
    assert_int_equal(text[length], '\0');
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_whole),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(bytes_of_any_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

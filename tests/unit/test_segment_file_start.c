/* test_segment_file_start.c - segment_file.h: probing does not touch a segment, and a failed start
 * removes only what it created. */
#include "../support/scratch.h"

#include <errno.h>

#include "segment_file.h"

static const struct segment_settings settings = {
    .max_entries = 1000, .max_scopes = 16, .max_window = 3600, .warm_up = 90};

static int open_scratch(void **state)
{
    struct scratch *scratch = malloc(sizeof(*scratch));

    assert_non_null(scratch);
    scratch_open(scratch);
    *state = scratch;
    return 0;
}

static int close_scratch(void **state)
{
    scratch_close(*state);
    free(*state);
    return 0;
}

static struct segment_file open_segment(const struct scratch *scratch)
{
    struct segment_file file;
    pid_t holder;

    assert_int_equal(segment_file_open(scratch->path, &settings, 1000, &file, &holder), 0);
    return file;
}

static void a_holder_is_seen(void **state)
{
    const struct scratch *scratch = *state;
    pid_t holder = -7;

    assert_int_equal(segment_file_probe(scratch->path, &holder), 0); /* no segment */
    struct segment_file file = open_segment(scratch);
    assert_int_equal(holder, -7);
    assert_int_equal(segment_file_probe(scratch->path, &holder), -EBUSY);
    assert_int_equal(holder, getpid());
    segment_file_close(&file);
    holder = -7;
    for (int i = 0; i < 2; i++) /* probing does not lock it */
        assert_int_equal(segment_file_probe(scratch->path, &holder), 0);
    assert_int_equal(holder, -7);
    file = open_segment(scratch);
    assert_int_equal(file.origin, SEGMENT_ATTACHED);
    segment_file_close(&file);
}

static void other_files_are_not_held(void **state)
{
    const struct scratch *scratch = *state;
    pid_t holder = -7;

    assert_int_equal(mkfifo(scratch->path, 0600), 0);
    assert_int_equal(segment_file_probe(scratch->path, &holder), 0); /* does not wait */
    assert_int_equal(unlink(scratch->path), 0);
    assert_int_equal(segment_file_probe(scratch->directory, &holder), 0);
    assert_int_equal(segment_file_probe("/", &holder), 0);
    assert_int_equal(holder, -7);
}

static void only_a_created_file_is_discarded(void **state)
{
    const struct scratch *scratch = *state;
    struct segment_file file = open_segment(scratch);

    assert_int_equal(file.origin, SEGMENT_CREATED);
    segment_file_discard(&file, scratch->path);
    segment_file_close(&file);
    assert_int_equal(scratch_count(scratch), 0);

    file = open_segment(scratch);
    segment_file_close(&file);
    file = open_segment(scratch);
    assert_int_equal(file.origin, SEGMENT_ATTACHED);
    segment_file_discard(&file, scratch->path);
    segment_file_close(&file);
    assert_int_equal(scratch_count(scratch), 1);
}

/* Another file is there meanwhile. */
static void another_file_is_not_discarded(void **state)
{
    const struct scratch *scratch = *state;
    struct segment_file file = open_segment(scratch);

    assert_int_equal(unlink(scratch->path), 0);
    int other = open(scratch->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_return_code(other, errno);
    close(other);
    segment_file_discard(&file, scratch->path);
    segment_file_close(&file);
    assert_int_equal(scratch_count(scratch), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_holder_is_seen, open_scratch, close_scratch),
        cmocka_unit_test_setup_teardown(other_files_are_not_held, open_scratch, close_scratch),
        cmocka_unit_test_setup_teardown(only_a_created_file_is_discarded, open_scratch,
                                        close_scratch),
        cmocka_unit_test_setup_teardown(another_file_is_not_discarded, open_scratch, close_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

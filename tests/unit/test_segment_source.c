/* test_segment_source.c - segment_source.h: a segment that comes, is damaged, and is replaced. */
#include "../support/capture.h"
#include "reader_fixture.h"

#include <common/segment_source.h>

static const struct segment_settings settings = {
    .max_entries = 100, .max_scopes = 8, .max_window = 600, .warm_up = 90};

static char printed[2048];

/* Get the handle twice. Returns the result; `printed` has what was logged. */
static int get_twice(struct segment_source *source)
{
    struct presence *presence;
    int before, capture = divert(stderr, &before);
    int first = segment_source_get(source, &presence);
    int second = segment_source_get(source, &presence);

    restore(stderr, before, capture, printed, sizeof(printed));
    assert_int_equal(first, second);
    return first;
}

static void expect_printed(const struct scratch *scratch, const char *before, const char *after)
{
    char line[512];

    snprintf(line, sizeof(line), "test: %s %s%s\n", before, scratch->path, after);
    assert_string_equal(printed, line);
}

static void each_change_is_logged_once(void **state)
{
    static const char none[] = ": no such file: start presenced, or name its segment with "
                               "--segment";
    struct fixture fixture = {.now = fixture_start()};
    struct segment_source source;

    (void)state;
    scratch_open(&fixture.scratch);
    segment_source_init(&source, fixture.scratch.path);
    assert_int_equal(get_twice(&source), -ENOENT);
    expect_printed(&fixture.scratch, "cannot read the segment", none);
    fixture_start_collector(&fixture, settings);
    assert_int_equal(get_twice(&source), 0);
    expect_printed(&fixture.scratch, "reading the segment", " again");
    segment_source_close(&source);
    fixture_stop_collector(&fixture);
    scratch_close(&fixture.scratch);
}

static void a_damaged_segment_is_opened_anew(void **state)
{
    struct fixture fixture;
    struct segment_source source;
    int before;

    (void)state;
    fixture_open(&fixture, settings);
    segment_source_init(&source, fixture.scratch.path);
    assert_int_equal(get_twice(&source), 0);
    segment_source_failed(&source, -ENOENT); /* of a site: the segment is sound */
    assert_int_equal(unlink(fixture.scratch.path), 0);
    assert_int_equal(get_twice(&source), 0);
    assert_string_equal(printed, "");
    int capture = divert(stderr, &before);
    segment_source_failed(&source, -EBADMSG);
    restore(stderr, before, capture, printed, sizeof(printed));
    expect_printed(&fixture.scratch, "cannot read the segment",
                   ": not a presence segment of this version, or damaged: check --segment, or "
                   "restart presenced");
    assert_int_equal(get_twice(&source), -ENOENT);
    segment_source_close(&source);
    fixture_close(&fixture);
}

static void errors_say_what_to_do(void **state)
{
    char text[SEGMENT_ERROR_SIZE];

    (void)state;
    assert_string_equal(segment_error_text(-EPROTO, "/x", text),
                        "written by a newer presenced: update this program");
    assert_string_equal(segment_error_text(-ESTALE, "/x", text),
                        "written before this boot: start presenced, which replaces it");
    assert_string_equal(segment_error_text(-EIO, "/x", text), strerror(EIO));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_is_logged_once),
        cmocka_unit_test(a_damaged_segment_is_opened_anew),
        cmocka_unit_test(errors_say_what_to_do),
    };
    program_invocation_short_name = (char *)(uintptr_t) "test";
    return cmocka_run_group_tests(tests, NULL, NULL);
}

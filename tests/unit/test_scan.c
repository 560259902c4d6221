/* test_scan.c - one pass over all scopes, also over a segment that lies. */
#include "lying_directory.h"
#include "presence/scan.h"
#include "reader_fixture.h"

static struct fixture fixture;
static struct scan scan;

static int close_fixture(void **state)
{
    (void)state;
    scan_free(&scan);
    fixture_close(&fixture);
    return 0;
}

static void open_with(uint32_t max_window, const struct scan_windows *windows)
{
    fixture_open(&fixture, (struct segment_settings){
                               .max_entries = 100, .max_scopes = 8, .max_window = max_window});
    assert_int_equal(scan_alloc(8, windows, &scan), 0);
}

static struct scope_entry *entry_of(uint32_t index)
{
    return &fixture_segment(&fixture)->directory.entries[index];
}

static void windows_are_rounded_and_sorted(void **state)
{
    const struct scan_windows one = {.seconds = {1}, .count = 1};
    const uint32_t wanted[] = {3600, 300, 481, 300, 60, 540}, too_long[] = {3601};
    struct scan_windows chosen;

    (void)state;
    open_with(WINDOW_MAX, &one);
    assert_false(scan_choose_windows(fixture.presence, wanted, LENGTH(wanted), &chosen));
    assert_int_equal(chosen.count, 4);
    const uint32_t expected[] = {60, 300, 540, 3600};
    assert_memory_equal(chosen.seconds, expected, sizeof(expected));
    assert_true(scan_choose_windows(fixture.presence, too_long, 1, &chosen));
    assert_int_equal(chosen.count, 1);
    assert_int_equal(chosen.seconds[0], 300);
    assert_false(scan_choose_windows(fixture.presence, NULL, 0, &chosen));
    assert_int_equal(chosen.seconds[0], 300);
}

static void a_short_collector_has_a_short_default(void **state)
{
    const struct scan_windows one = {.seconds = {20}, .count = 1};
    struct scan_windows chosen;

    (void)state;
    open_with(20, &one);
    assert_false(scan_choose_windows(fixture.presence, NULL, 0, &chosen));
    assert_int_equal(chosen.seconds[0], 20);
}

/* Windows above 480 s are whole minutes, and a scope may be in one and not in a shorter one. */
static void each_window_has_its_counts(void **state)
{
    const struct scan_windows windows = {.seconds = {10, 600}, .count = 2};

    (void)state;
    open_with(600, &windows);
    fixture_beat(&fixture, "1", "a.example", "/a");
    fixture_advance(&fixture, 10);
    fixture_beat(&fixture, "2", "a.example", NULL);
    scan_pass(fixture.presence, &scan);
    assert_int_equal(scan.scope_count, 2);
    assert_int_equal(scan.used, 2);
    for (uint32_t i = 0; i < 8; i++) {
        const struct scan_scope *scope = &scan.scopes[i];
        if (scope->generation == 0)
            continue;
        bool is_site = scope->kind == PRESENCE_SITE;
        assert_int_equal(scan.counts[0][i], is_site ? 1 : 0);
        assert_int_equal(scan.counts[1][i], is_site ? 2 : 1);
    }
    assert_int_equal(scan.tick, scan_tick(fixture.presence));
}

static void a_window_counts_to_its_last_second(void **state)
{
    const struct scan_windows windows = {.seconds = {10, 600}, .count = 2};

    (void)state;
    open_with(600, &windows);
    fixture_beat(&fixture, "1", "a.example", NULL);
    for (unsigned age = 0; age <= 10; age++) {
        scan_pass(fixture.presence, &scan);
        assert_int_equal(scan.used, 1);
        assert_int_equal(scan.counts[0][0], age < 10 ? 1 : 0);
        assert_int_equal(scan.counts[1][0], 1);
        fixture_advance(&fixture, 1);
    }
}

static void names_are_those_of_the_pass(void **state)
{
    const struct scan_windows one = {.seconds = {10}, .count = 1};
    char name[PRESENCE_NAME_MAX + 1];

    (void)state;
    open_with(10, &one);
    fixture_beat(&fixture, "1", "a.example", "/a");
    scan_pass(fixture.presence, &scan);
    for (uint32_t i = 0; i < 8; i++) {
        const struct scan_scope *scope = &scan.scopes[i];
        assert_int_equal(scan_copy_name(fixture.presence, &scan, i, name), scope->generation != 0);
        if (scope->generation)
            assert_string_equal(name, scope->kind == PRESENCE_SITE ? "a.example" : "/a");
    }
    /* Another site has the entry: the room's would be a wrong one. */
    uint32_t site = scan.scopes[0].kind == PRESENCE_SITE ? 0 : 1;
    atomic_store_relaxed(&entry_of(site)->state, entry_of(site)->state + SCOPE_GENERATION);
    assert_false(scan_copy_name(fixture.presence, &scan, site, name));
    assert_false(scan_copy_name(fixture.presence, &scan, 1 - site, name));
}

/* What a hostile writer may store ends in no scope, or in one without a name. */
static void a_segment_that_lies_does_no_harm(void **state)
{
    const struct scan_windows one = {.seconds = {10}, .count = 1};
    char name[PRESENCE_NAME_MAX + 1];
    uint64_t seed = random_seed("scan");

    (void)state;
    open_with(10, &one);
    for (unsigned round = 0; round < 2000; round++) {
        lie(&fixture, &seed);
        scan_pass(fixture.presence, &scan);
        for (uint32_t i = 0; i < 8; i++) {
            if (scan.scopes[i].generation == 0)
                continue;
            assert_true(scan.scopes[i].kind < SCAN_KINDS);
            if (scan_copy_name(fixture.presence, &scan, i, name))
                assert_in_range(strlen(name), 1, PRESENCE_NAME_MAX);
        }
    }
    stop_lying(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(windows_are_rounded_and_sorted, close_fixture),
        cmocka_unit_test_teardown(a_short_collector_has_a_short_default, close_fixture),
        cmocka_unit_test_teardown(each_window_has_its_counts, close_fixture),
        cmocka_unit_test_teardown(a_window_counts_to_its_last_second, close_fixture),
        cmocka_unit_test_teardown(names_are_those_of_the_pass, close_fixture),
        cmocka_unit_test_teardown(a_segment_that_lies_does_no_harm, close_fixture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

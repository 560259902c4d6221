/* test_reader_known.c - R6: a number, nobody or unknown, and lower bounds. */
#include "admission.h"
#include "reader_fixture.h"

#define WINDOW 60

static struct fixture fixture;
static struct admission admission;

static void open_with(struct segment_settings settings)
{
    settings.max_window = WINDOW;
    fixture_open(&fixture, settings);
}

static int close_fixture(void **state)
{
    (void)state;
    fixture_close(&fixture);
    admission_close(&admission);
    return 0;
}

static struct presence_reading read_place(enum presence_kind kind, const char *site,
                                          const char *name, uint32_t window_s)
{
    struct presence_reading reading;

    assert_int_equal(presence_count_scope(fixture.presence, kind, site, name, window_s, &reading),
                     0);
    return reading;
}

#define UNKNOWN (-1)
#define NOBODY  (-2)

/* Check the answer for the longest window: a number, NOBODY or UNKNOWN, and partial or not. */
static void expect_at(int line, enum presence_kind kind, const char *site, const char *name,
                      int64_t answer, bool partial)
{
    struct presence_reading reading = read_place(kind, site, name, 0);
    int64_t got = reading.exists ? (int64_t)reading.count : reading.known ? NOBODY : UNKNOWN;

    if (got != answer || reading.partial != partial ||
        (!reading.exists && (reading.count || reading.last_heartbeat_s)))
        fail_msg("line %d: %s %s: %lld%s, not %lld%s", line, site, name ? name : "", (long long)got,
                 reading.partial ? " partial" : "", (long long)answer, partial ? " partial" : "");
}

#define expect_site(site, ...)    expect_at(__LINE__, PRESENCE_SITE, site, NULL, __VA_ARGS__)
#define expect_room(site, ...)    expect_at(__LINE__, PRESENCE_ROOM, site, __VA_ARGS__)
#define expect_country(site, ...) expect_at(__LINE__, PRESENCE_COUNTRY, site, __VA_ARGS__)
#define expect_source(site, ...)  expect_at(__LINE__, PRESENCE_SOURCE, site, __VA_ARGS__)

/* `visitor` is a letter: the first byte of the id that beat() sends. */
static void expect_seen_at(int line, const char *site, const char *visitor, int64_t answer)
{
    struct presence_reading reading;
    char uuid[40];

    snprintf(uuid, sizeof(uuid), "%02x000000-0000-0000-0000-000000000000", (unsigned)*visitor);
    assert_int_equal(presence_seen(fixture.presence, site, uuid, &reading), 0);
    int64_t got = reading.exists ? (int64_t)reading.count : reading.known ? NOBODY : UNKNOWN;
    if (got != answer)
        fail_msg("line %d: %s on %s: %lld, not %lld", line, visitor, site, (long long)got,
                 (long long)answer);
}

#define expect_seen(...) expect_seen_at(__LINE__, __VA_ARGS__)

static bool is_status_partial(void)
{
    struct presence_status status;

    assert_int_equal(presence_status(fixture.presence, &status), 0);
    return status.partial;
}

static void beat(const char *visitor, const char *site, const char *room, const char *country,
                 const char *source)
{
    fixture_deliver(&fixture, WIRE_HEARTBEAT, visitor, site, room, country, source);
}

static void what_does_not_exist_is_unknown_while_warming(void **state)
{
    (void)state;
    open_with((struct segment_settings){.max_entries = 100, .max_scopes = 8, .warm_up = 5});
    beat("a", "a.example", "/a", NULL, NULL);
    expect_site("a.example", 1, false);
    expect_site("b.example", UNKNOWN, false);
    expect_room("a.example", "/b", UNKNOWN, false);
    expect_room("b.example", "/a", UNKNOWN, false);
    expect_seen("a.example", "a", 1);
    expect_seen("a.example", "b", UNKNOWN);
    fixture_advance(&fixture, 5);
    expect_site("b.example", NOBODY, false);
    expect_room("a.example", "/b", NOBODY, false);
    expect_room("b.example", "/a", NOBODY, false);
    expect_seen("a.example", "b", NOBODY);
    /* And while the collector is silent, whatever it knew. */
    fixture_segment(&fixture)->header->state = SEGMENT_STARTING;
    expect_site("a.example", 1, false);
    expect_site("b.example", UNKNOWN, false);
    expect_room("a.example", "/b", UNKNOWN, false);
    expect_seen("a.example", "b", UNKNOWN);
}

static void sites_that_find_no_room_are_unknown(void **state)
{
    struct presence_listing listing;

    (void)state;
    open_with((struct segment_settings){.max_entries = 100, .max_scopes = 2});
    beat("a", "a.example", NULL, NULL, NULL);
    beat("b", "b.example", NULL, NULL, NULL);
    expect_site("c.example", NOBODY, false);
    assert_false(is_status_partial());
    beat("c", "c.example", "/c", "DE", "s.example");
    assert_true(is_status_partial());
    expect_site("a.example", 1, false);
    expect_site("c.example", UNKNOWN, true);
    expect_site("d.example", UNKNOWN, true);
    expect_seen("c.example", "c", UNKNOWN);
    expect_seen("a.example", "c", NOBODY);
    expect_room("c.example", "/c", UNKNOWN, true);
    expect_source("d.example", "s.example", UNKNOWN, true);
    expect_room("a.example", "/c", NOBODY, false); /* its site is known */
    assert_int_equal(presence_sites(fixture.presence, 0, &listing), 0);
    assert_true(listing.partial);
    assert_false(listing.entries[0].partial);
    presence_listing_free(&listing);
    fixture_advance(&fixture, WINDOW - 1);
    expect_site("c.example", UNKNOWN, true);
    fixture_advance(&fixture, 1);
    expect_site("c.example", NOBODY, false);
    assert_int_equal(presence_sites(fixture.presence, 0, &listing), 0);
    assert_false(listing.partial);
    presence_listing_free(&listing);
}

static void labels_that_find_no_room_are_unknown_in_their_site(void **state)
{
    struct presence_listing listing;

    (void)state;
    open_with((struct segment_settings){.max_entries = 100, .max_scopes = 4});
    beat("a", "a.example", "/a", NULL, NULL);
    beat("b", "b.example", "/b", NULL, NULL);
    assert_false(is_status_partial());
    beat("c", "a.example", "/c", NULL, NULL);
    assert_true(is_status_partial());
    expect_room("a.example", "/a", 1, false);
    expect_room("a.example", "/c", UNKNOWN, true);
    expect_room("a.example", "/d", UNKNOWN, true);
    expect_country("a.example", "DE", NOBODY, false);
    expect_source("a.example", "s", NOBODY, false);
    expect_room("b.example", "/c", NOBODY, false);
    expect_site("a.example", 2, false);
    expect_site("d.example", NOBODY, false);
    assert_int_equal(presence_top(fixture.presence, "a.example", PRESENCE_ROOM, 0, 0, &listing), 0);
    assert_true(listing.partial && !listing.site.partial && !listing.entries[0].partial);
    presence_listing_free(&listing);
    assert_int_equal(presence_top(fixture.presence, "a.example", PRESENCE_SOURCE, 0, 0, &listing),
                     0);
    assert_false(listing.partial);
    presence_listing_free(&listing);
    beat("c", "b.example", NULL, "DE", "s");
    expect_country("b.example", "DE", UNKNOWN, true);
    expect_source("b.example", "s", UNKNOWN, true);
    expect_country("a.example", "DE", NOBODY, false);
    fixture_advance(&fixture, WINDOW);
    beat("a", "a.example", NULL, NULL, NULL); /* so that the site stays */
    expect_room("a.example", "/c", NOBODY, false);
    expect_source("b.example", "s", NOBODY, false);
}

static void crowded_sites_differ_from_others(void **state)
{
    (void)state;
    open_with((struct segment_settings){.max_entries = 100, .max_scopes = 16});
    fixture.collector->directory.labels_max = 1;
    beat("a", "a.example", "/a", "DE", "a");
    beat("b", "a.example", "/b", "FR", NULL);
    expect_room("a.example", "/b", UNKNOWN, true);
    expect_room("a.example", "/a", 1, false);
    expect_source("a.example", "b", NOBODY, false);
    expect_country("a.example", "FR", 1, false);
    expect_country("a.example", "IT", NOBODY, false);
    beat("c", "a.example", NULL, NULL, "b");
    expect_source("a.example", "b", UNKNOWN, true);
    expect_room("b.example", "/b", NOBODY, false);
}

/* A visitor refused before a scope was created may be one of those in it. */
static void a_scope_that_comes_late_is_a_lower_bound(void **state)
{
    (void)state;
    open_with((struct segment_settings){.max_entries = 100, .max_scopes = 2});
    beat("a", "old.example", "/old", NULL, NULL);
    fixture_advance(&fixture, WINDOW - 10);
    beat("b", "new.example", "/new", NULL, NULL);
    expect_site("new.example", UNKNOWN, true);
    fixture_advance(&fixture, 11); /* the old one is idle, and is evicted */
    beat("c", "new.example", "/new", NULL, NULL);
    expect_site("new.example", 1, true);
    expect_room("new.example", "/new", 1, true);
    expect_country("new.example", "DE", UNKNOWN, true);
    assert_false(read_place(PRESENCE_SITE, "new.example", NULL, 11).partial);
    assert_true(read_place(PRESENCE_SITE, "new.example", NULL, 12).partial);
    fixture_advance(&fixture, WINDOW - 12);
    expect_site("new.example", 1, true);
    fixture_advance(&fixture, 1);
    expect_site("new.example", 1, false);
    expect_country("new.example", "DE", NOBODY, false);
}

/* A scope does not inherit the refusals of its entry's former scope. */
static void an_entry_forgets_its_refusals(void **state)
{
    (void)state;
    open_with((struct segment_settings){.max_entries = 100, .max_scopes = 2});
    beat("a", "a.example", "/a", NULL, NULL);
    beat("a", "a.example", "/b", NULL, NULL);
    expect_room("a.example", "/b", UNKNOWN, true);
    fixture.now += WINDOW + 1;
    beat("b", "b.example", "/b", NULL, NULL);
    /* As if the mark was made just now: the entry is another scope's. */
    expect_room("b.example", "/c", NOBODY, false);
    for (unsigned i = 0; i < 2; i++) {
        const struct scope_entry *entry = &fixture_segment(&fixture)->directory.entries[i];
        for (unsigned kind = 0; kind < SCOPE_KINDS; kind++)
            assert_int_equal(entry->scopes_refused[kind] | entry->entries_refused[kind], 0);
    }
}

/* The mark that a room got when it was created makes the room a lower bound, and nothing else. */
static void a_room_keeps_what_was_refused_before(void **state)
{
    (void)state;
    open_with((struct segment_settings){.max_entries = 100, .max_scopes = 8});
    beat("a", "a.example", "/a", NULL, NULL);
    beat("a", "a.example", "/b", NULL, NULL);
    struct scope_entry *entries = fixture_segment(&fixture)->directory.entries;
    for (uint32_t i = 0; i < 3; i++)
        if (entries[i].kind == SCOPE_ROOM && memcmp(entries[i].name, "/a", 2) == 0)
            entries[i].entries_refused[SCOPE_ROOM] = refusal_mark(fixture.now);
    expect_site("a.example", 1, false);
    expect_room("a.example", "/a", 1, true);
    expect_room("a.example", "/b", 1, false);
    expect_room("a.example", "/c", NOBODY, false);
    fixture_advance(&fixture, WINDOW - 1);
    expect_room("a.example", "/a", 1, true);
}

/* A site whose window has passed is as good as absent, though its entry is still there. */
static void a_site_that_is_gone_is_unknown_with_its_rooms(void **state)
{
    (void)state;
    open_with((struct segment_settings){.max_entries = 100, .max_scopes = 8});
    beat("a", "a.example", "/a", NULL, NULL);
    fixture_advance(&fixture, WINDOW);
    expect_site("a.example", NOBODY, false);
    expect_room("a.example", "/a", NOBODY, false);
    fixture_segment(&fixture)->header->site_refused = refusal_mark(fixture.now);
    expect_site("a.example", UNKNOWN, true);
    expect_room("a.example", "/a", UNKNOWN, true);
    expect_room("a.example", "/b", UNKNOWN, true);
}

static void a_full_table_makes_lower_bounds(void **state)
{
    struct presence_busiest busiest;
    char visitor[16];

    (void)state;
    open_with((struct segment_settings){.max_entries = 1, .max_scopes = 8});
    beat("a", "b.example", "/b", NULL, NULL);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(visitor, sizeof(visitor), "v%u", i);
        beat(visitor, "a.example", NULL, NULL, NULL);
    }
    expect_site("a.example", 30, true);
    expect_room("a.example", "/a", NOBODY, true);
    expect_site("b.example", 1, false);
    expect_room("b.example", "/b", 1, false);
    expect_site("c.example", UNKNOWN, true);
    beat("a", "b.example", NULL, "DE", NULL);
    expect_country("b.example", "DE", 0, true);
    expect_country("b.example", "FR", UNKNOWN, true);
    expect_site("b.example", 1, false);
    assert_int_equal(presence_busiest(fixture.presence, PRESENCE_SITE, 0, 0, &busiest), 0);
    assert_true(busiest.moment.partial && busiest.scopes[0].partial && !busiest.scopes[1].partial);
    presence_busiest_free(&busiest);
    assert_true(is_status_partial());
    fixture_advance(&fixture, WINDOW);
    expect_site("c.example", NOBODY, false);
    assert_false(is_status_partial());
}

static void senders_of_too_many_make_lower_bounds(void **state)
{
    (void)state;
    assert_int_equal(budget_open(2, &admission.visitors), 0);
    open_with((struct segment_settings){.max_entries = 100, .max_scopes = 8});
    ingest_close(fixture.ingest);
    fixture.collector->admission = &admission;
    assert_int_equal(ingest_open(fixture.collector, 0, &fixture.ingest), 0);
    beat("a", "a.example", "/a", NULL, NULL);
    beat("b", "a.example", "/a", NULL, NULL);
    expect_site("a.example", 2, false);
    expect_site("b.example", NOBODY, false);
    beat("c", "a.example", "/a", NULL, "s");
    expect_site("a.example", 2, true);
    expect_seen("a.example", "a", 1);
    expect_seen("a.example", "c", UNKNOWN);
    expect_room("a.example", "/a", 2, true);
    expect_room("a.example", "/b", UNKNOWN, true);
    expect_source("a.example", "s", 0, true);
    expect_source("a.example", "t", UNKNOWN, true);
    expect_country("a.example", "DE", NOBODY, true); /* some of the site's visitors are missing */
    expect_site("b.example", UNKNOWN, true);
    for (unsigned i = 0; i < WINDOW; i++) {
        fixture_advance(&fixture, 1);
        beat("a", "a.example", "/a", NULL, NULL);
    }
    expect_site("a.example", 1, false);
    expect_seen("a.example", "c", NOBODY);
    expect_room("a.example", "/b", NOBODY, false);
    expect_site("b.example", NOBODY, false);
}

static void refusals_outlive_a_restart(void **state)
{
    const struct segment_settings settings = {
        .max_entries = 100, .max_scopes = 1, .max_window = WINDOW};

    (void)state;
    open_with(settings);
    beat("a", "a.example", NULL, NULL, NULL);
    beat("b", "b.example", NULL, NULL, NULL);
    fixture_stop_collector(&fixture);
    fixture.now += 2;
    fixture_start_collector(&fixture, settings);
    expect_site("a.example", 1, false);
    expect_site("b.example", UNKNOWN, true);
    fixture_advance(&fixture, WINDOW - 2);
    expect_site("b.example", NOBODY, false);
}

/* The tick of a mark is 32 bits, and 0 means never. */
static enum presence_refusal refused(enum presence_kind kind, const char *site, const char *name)
{
    return presence_refused(fixture.presence, kind, site, name);
}

static void recent_refusals_are_returned(void **state)
{
    (void)state;
    assert_int_equal(budget_open(2, &admission.visitors), 0);
    open_with((struct segment_settings){.max_entries = 100, .max_scopes = 2});
    ingest_close(fixture.ingest);
    fixture.collector->admission = &admission;
    assert_int_equal(ingest_open(fixture.collector, 0, &fixture.ingest), 0);
    beat("a", "a.example", "/a", NULL, NULL);
    assert_int_equal(refused(PRESENCE_SITE, "a.example", NULL), PRESENCE_REFUSED_NONE);
    assert_int_equal(refused(PRESENCE_SITE, "b.example", NULL), PRESENCE_REFUSED_NONE);
    assert_int_equal(refused(PRESENCE_ROOM, "a.example", "/b"), PRESENCE_REFUSED_NONE);
    beat("a", "b.example", NULL, NULL, NULL);
    beat("a", "a.example", "/b", NULL, NULL);
    assert_int_equal(refused(PRESENCE_SITE, "B.example", NULL), PRESENCE_REFUSED_SCOPE);
    assert_int_equal(refused(PRESENCE_ROOM, "b.example", "/b"), PRESENCE_REFUSED_SCOPE);
    assert_int_equal(refused(PRESENCE_ROOM, "a.example", "//b/"), PRESENCE_REFUSED_SCOPE);
    assert_int_equal(refused(PRESENCE_ROOM, "a.example", "/a"), PRESENCE_REFUSED_NONE);
    assert_int_equal(refused(PRESENCE_SOURCE, "a.example", "s"), PRESENCE_REFUSED_NONE);
    for (const char *visitor = "bcde"; *visitor; visitor++)
        beat(visitor, "a.example", "/a", NULL, NULL);
    assert_int_equal(refused(PRESENCE_SITE, "a.example", NULL), PRESENCE_REFUSED_VISITOR);
    assert_int_equal(refused(PRESENCE_ROOM, "a.example", "/a"), PRESENCE_REFUSED_VISITOR);
    assert_int_equal(refused(PRESENCE_SITE, "", NULL), PRESENCE_REFUSED_NONE);
    fixture_advance(&fixture, 2);
    assert_int_equal(refused(PRESENCE_SITE, "a.example", NULL), PRESENCE_REFUSED_NONE);
    assert_int_equal(refused(PRESENCE_SITE, "b.example", NULL), PRESENCE_REFUSED_NONE);
}

static void marks_have_a_window(void **state)
{
    static const uint64_t ticks[] = {0, 1, WINDOW, UINT32_MAX - 1, UINT64_C(1) << 32};

    (void)state;
    for (size_t i = 0; i < LENGTH(ticks); i++) {
        uint32_t mark = refusal_mark(ticks[i]);
        assert_true(refusal_is_within(mark, ticks[i], 1));
        assert_true(refusal_is_within(mark, ticks[i] + 59, 60));
        assert_false(refusal_is_within(mark, ticks[i] + 60, 60));
        assert_false(refusal_is_within(mark, ticks[i] + 3600, 3600));
        assert_false(refusal_is_within(0, ticks[i], 3600));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_does_not_exist_is_unknown_while_warming, close_fixture),
        cmocka_unit_test_teardown(sites_that_find_no_room_are_unknown, close_fixture),
        cmocka_unit_test_teardown(labels_that_find_no_room_are_unknown_in_their_site,
                                  close_fixture),
        cmocka_unit_test_teardown(crowded_sites_differ_from_others, close_fixture),
        cmocka_unit_test_teardown(a_scope_that_comes_late_is_a_lower_bound, close_fixture),
        cmocka_unit_test_teardown(an_entry_forgets_its_refusals, close_fixture),
        cmocka_unit_test_teardown(a_room_keeps_what_was_refused_before, close_fixture),
        cmocka_unit_test_teardown(a_site_that_is_gone_is_unknown_with_its_rooms, close_fixture),
        cmocka_unit_test_teardown(a_full_table_makes_lower_bounds, close_fixture),
        cmocka_unit_test_teardown(senders_of_too_many_make_lower_bounds, close_fixture),
        cmocka_unit_test_teardown(refusals_outlive_a_restart, close_fixture),
        cmocka_unit_test_teardown(recent_refusals_are_returned, close_fixture),
        cmocka_unit_test(marks_have_a_window),
    };
    return cmocka_run_group_tests_name("reader_known", tests, NULL, NULL);
}

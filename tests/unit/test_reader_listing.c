/* test_reader_listing.c - listings of a site, of all sites, and the busiest scopes of all sites. */
#include "reader_fixture.h"

static const struct segment_settings settings = {
    .max_entries = 10000, .max_scopes = 256, .max_window = 600, .warm_up = 0};

static int open_fixture(void **state)
{
    *state = malloc(sizeof(struct fixture));
    fixture_open(*state, settings);
    return 0;
}

static int close_fixture(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

static void listings_are_sorted(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *visitor, *room;
    } beats[] = {{"a", "/b"}, {"b", "/b"}, {"c", "/c"}, {"d", "/c"}, {"e", "/a"}, {"f", "/é"}};
    static const char *const expected[] = {"/b", "/c", "/a", "/é"};
    struct presence_listing listing;

    for (size_t i = 0; i < LENGTH(beats); i++)
        fixture_deliver(fixture, WIRE_HEARTBEAT, beats[i].visitor, "example.com", beats[i].room,
                        "DE", NULL);
    fixture_beat(fixture, "a", "other.example", "/elsewhere");
    fixture_advance(fixture, 3);

    assert_int_equal(presence_top(fixture->presence, "Example.com", PRESENCE_ROOM, 0, 0, &listing),
                     0);
    assert_int_equal(listing.length, LENGTH(expected));
    for (size_t i = 0; i < listing.length; i++) {
        assert_string_equal(listing.entries[i].name, expected[i]);
        assert_int_equal(listing.entries[i].count, i < 2 ? 2 : 1);
        assert_int_equal(listing.entries[i].last_heartbeat_s, 3);
    }
    assert_int_equal(listing.site.count, 6);
    assert_int_equal(listing.site.window_s, 300);
    presence_listing_free(&listing);
    assert_null(listing.entries);

    assert_int_equal(presence_top(fixture->presence, "example.com", PRESENCE_ROOM, 0, 2, &listing),
                     0);
    assert_int_equal(listing.length, 2);
    presence_listing_free(&listing);
    assert_int_equal(
        presence_top(fixture->presence, "example.com", PRESENCE_SOURCE, 0, 0, &listing), 0);
    assert_int_equal(listing.length, 0);
    presence_listing_free(&listing);
    assert_int_equal(
        presence_top(fixture->presence, "nobody.example", PRESENCE_ROOM, 0, 0, &listing), 0);
    assert_false(listing.site.exists);
    assert_int_equal(listing.length, 0);
    presence_listing_free(&listing);

    assert_int_equal(presence_sites(fixture->presence, 60, &listing), 0);
    assert_int_equal(listing.length, 2);
    assert_string_equal(listing.entries[0].name, "example.com");
    assert_int_equal(listing.entries[0].count, 6);
    assert_string_equal(listing.entries[1].name, "other.example");
    assert_int_equal(listing.site.count, 0);
    presence_listing_free(&listing);
}

static void listings_leave_out_what_is_gone(void **state)
{
    struct fixture *fixture = *state;
    struct presence_listing listing;

    fixture_beat(fixture, "a", "example.com", "/old");
    fixture_advance(fixture, settings.max_window - 1);
    fixture_beat(fixture, "b", "example.com", "/new");
    fixture_advance(fixture, 1);
    assert_int_equal(presence_top(fixture->presence, "example.com", PRESENCE_ROOM, 0, 0, &listing),
                     0);
    assert_int_equal(listing.length, 1);
    assert_string_equal(listing.entries[0].name, "/new");
    presence_listing_free(&listing);
}

/* Put `count` visitors into a room of a site. */
static void populate(struct fixture *fixture, const char *site, const char *room, int count)
{
    char id[32];

    for (int i = 0; i < count; i++) {
        snprintf(id, sizeof(id), "%s%d", room ? room : "", i);
        fixture_deliver(fixture, WIRE_HEARTBEAT, id, site, room, "DE", NULL);
    }
}

static void expect(struct fixture *fixture, enum presence_kind kind, size_t limit, size_t total,
                   const char *const (*lines)[2], const uint32_t *counts, size_t length)
{
    struct presence_busiest busiest;

    assert_int_equal(presence_busiest(fixture->presence, kind, 0, limit, &busiest), 0);
    assert_int_equal(busiest.total, total);
    assert_int_equal(busiest.length, length);
    for (size_t i = 0; i < length; i++) {
        assert_string_equal(busiest.scopes[i].site, lines[i][0]);
        assert_string_equal(busiest.scopes[i].name, lines[i][1]);
        assert_int_equal(busiest.scopes[i].count, counts[i]);
    }
    presence_busiest_free(&busiest);
    assert_null(busiest.scopes);
}

static void scopes_of_all_sites_are_listed(void **state)
{
    struct fixture *fixture = *state;

    populate(fixture, "b.example", "/x", 3);
    populate(fixture, "a.example", "/x", 3);
    populate(fixture, "a.example", "/y", 5);
    populate(fixture, "c.example", "/z", 1);
    expect(fixture, PRESENCE_ROOM, 0, 4,
           (const char *const[][2]){
               {"a.example", "/y"}, {"a.example", "/x"}, {"b.example", "/x"}, {"c.example", "/z"}},
           (const uint32_t[]){5, 3, 3, 1}, 4);
    expect(fixture, PRESENCE_SITE, 0, 3,
           (const char *const[][2]){{"a.example", ""}, {"b.example", ""}, {"c.example", ""}},
           (const uint32_t[]){8, 3, 1}, 3);
    expect(fixture, PRESENCE_COUNTRY, 1, 3, (const char *const[][2]){{"a.example", "DE"}},
           (const uint32_t[]){8}, 1);
    expect(fixture, PRESENCE_SOURCE, 0, 0, NULL, NULL, 0);
}

/* In whatever order they come, the most visited stay; of equals, always the same. */
static void a_limit_keeps_the_busiest(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = random_seed("a_limit_keeps_the_busiest");
    uint32_t counts[100], sorted[100];
    char room[8];

    for (unsigned i = 0; i < LENGTH(counts); i++) {
        counts[i] = sorted[i] = (uint32_t)(1 + random_next(&random) % 12);
        snprintf(room, sizeof(room), "/%u", i);
        populate(fixture, i % 2 ? "odd.example" : "even.example", room, (int)counts[i]);
    }
    for (unsigned i = 0; i < LENGTH(sorted); i++) {
        for (unsigned j = i + 1; j < LENGTH(sorted); j++) {
            uint32_t other = sorted[j];
            if (other > sorted[i]) {
                sorted[j] = sorted[i];
                sorted[i] = other;
            }
        }
    }
    for (size_t limit = 1; limit <= LENGTH(counts); limit++) {
        struct presence_busiest busiest, again;
        assert_int_equal(presence_busiest(fixture->presence, PRESENCE_ROOM, 0, limit, &busiest), 0);
        assert_int_equal(presence_busiest(fixture->presence, PRESENCE_ROOM, 0, limit, &again), 0);
        assert_int_equal(busiest.length, limit);
        assert_int_equal(busiest.total, LENGTH(counts));
        for (size_t i = 0; i < limit; i++) {
            unsigned number = (unsigned)atoi(busiest.scopes[i].name + 1);
            assert_int_equal(busiest.scopes[i].count, sorted[i]);
            assert_int_equal(busiest.scopes[i].count, counts[number]);
            assert_string_equal(busiest.scopes[i].site,
                                number % 2 ? "odd.example" : "even.example");
        }
        assert_memory_equal(busiest.scopes, again.scopes, limit * sizeof(*busiest.scopes));
        presence_busiest_free(&busiest);
        presence_busiest_free(&again);
    }
}

static void windows_and_ages(void **state)
{
    struct fixture *fixture = *state;
    struct presence_busiest busiest;

    populate(fixture, "a.example", "/x", 3);
    fixture_advance(fixture, 20);
    populate(fixture, "a.example", "/y", 1);
    assert_int_equal(presence_busiest(fixture->presence, PRESENCE_ROOM, 10, 0, &busiest), 0);
    assert_int_equal(busiest.moment.window_s, 10);
    assert_false(busiest.moment.stale);
    assert_int_equal(busiest.length, 2);
    assert_string_equal(busiest.scopes[0].name, "/y");
    assert_int_equal(busiest.scopes[0].count, 1);
    assert_int_equal(busiest.scopes[1].count, 0);
    assert_int_equal(busiest.scopes[1].last_heartbeat_s, 20);
    presence_busiest_free(&busiest);
    fixture_advance(fixture, 590);
    expect(fixture, PRESENCE_ROOM, 0, 1, (const char *const[][2]){{"a.example", "/y"}},
           (const uint32_t[]){0}, 1);
    assert_int_equal(presence_busiest(fixture->presence, PRESENCE_ROOM, 601, 0, &busiest), -ERANGE);
    assert_int_equal(presence_busiest(fixture->presence, (enum presence_kind)4, 0, 0, &busiest),
                     -EINVAL);
}

/* Whatever the segment contains, nothing beyond it is read. */
static void a_hostile_directory_is_survived(void **state)
{
    struct fixture *fixture = *state;
    struct presence_busiest busiest;

    populate(fixture, "a.example", "/x", 3);
    struct scope_entry *entries = fixture_segment(fixture)->directory.entries;
    for (uint32_t i = 0; i < settings.max_scopes; i++) {
        if (entries[i].kind == SCOPE_ROOM && scope_state_of(entries[i].state) != SCOPE_FREE)
            entries[i].site = UINT32_MAX;
    }
    assert_int_equal(presence_busiest(fixture->presence, PRESENCE_ROOM, 0, 0, &busiest), 0);
    assert_int_equal(busiest.length, 0);
    presence_busiest_free(&busiest);
    for (uint32_t i = 0; i < settings.max_scopes; i++) {
        if (entries[i].kind == SCOPE_SITE && scope_state_of(entries[i].state) != SCOPE_FREE)
            memset(entries[i].name, 0x1b, sizeof(entries[i].name));
    }
    assert_int_equal(presence_busiest(fixture->presence, PRESENCE_SITE, 0, 0, &busiest), 0);
    assert_int_equal(busiest.length, 0);
    presence_busiest_free(&busiest);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(listings_are_sorted),
        TEST(listings_leave_out_what_is_gone),
        TEST(scopes_of_all_sites_are_listed),
        TEST(a_limit_keeps_the_busiest),
        TEST(windows_and_ages),
        TEST(a_hostile_directory_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_ingest_full.c - ingest.h when the directory or the table is full. */
#include "ingest_fixture.h"

#include "refusals.h"

static void full_directories_refuse_new_scopes(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings.max_scopes = 4;
    start_ingest(fixture);
    batch(fixture, {"a", .room = "/1", .country = "DE", .visitor = 1});
    /* There is room for one scope: the first in the order room, country, source. */
    batch(fixture, {"a", .room = "/2", .country = "FR", .source = "s", .visitor = 2, .count = 10});
    expect_site(fixture, "a", 11);
    expect_room(fixture, "a", "/2", 10);
    expect_country(fixture, "a", "FR", -1);
    expect_source(fixture, "a", "s", -1);
    expect_counter(fixture, label_scopes_full, 20);
    expect_counter(fixture, scopes_full, 0);
    expect_counter(fixture, heartbeats_new, 11);

    /* Another site: its visitors are counted nowhere. */
    batch(fixture, {"b", .room = "/1", .country = "DE", .visitor = 1, .count = 7},
          {"b", .kind = WIRE_PAGEVIEW, .visitor = 1, .count = 2});
    expect_site(fixture, "b", -1);
    expect_counter(fixture, scopes_full, 9);
    expect_counter(fixture, label_scopes_full, 20);

    /* Existing scopes still count, and leaves of unknown ones are not refusals. */
    batch(fixture, {"a", .room = "/1", .visitor = 5, .count = 2},
          {"b", .kind = WIRE_LEAVE, .visitor = 1}, {"a", .room = "/3", .kind = WIRE_LEAVE});
    expect_room(fixture, "a", "/1", 3);
    expect_counter(fixture, scopes_full, 9);
    expect_counter(fixture, label_scopes_full, 20);
    expect_counter(fixture, scopes_created, 4);
    expect_accounted(fixture, 1 + 10 + 9 + 2 + 2);
    stop_ingest(fixture);
}

/* A full directory retires idle scopes at once, within a batch, but tries only once per tick. */
static void full_directories_make_room(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings.max_scopes = 4;
    fixture->settings.max_window = 300;
    start_ingest(fixture);
    batch(fixture, {"a", .room = "/", .country = "DE", .source = "s", .visitor = 1});
    fixture->clock += 301;
    batch(fixture, {"b", .visitor = 1, .count = 70}, {"b", .room = "/b", .visitor = 1, .count = 5},
          {"b", .visitor = 71, .count = 2});
    expect_site(fixture, "a", -1);
    expect_site(fixture, "b", 72);
    expect_room(fixture, "b", "/b", 5);
    expect_counter(fixture, scopes_full, 0);
    expect_counter(fixture, label_scopes_full, 0);
    expect_counter(fixture, scopes_retired, 4);
    expect_accounted(fixture, 78);

    /* Full again, and none is idle. Scopes that become idle wait for the next tick. */
    batch(fixture, {"c", .visitor = 1}, {"d", .visitor = 1}, {"e", .visitor = 1});
    expect_counter(fixture, scopes_full, 1);
    uint32_t idle = find_scope(fixture, "c", SCOPE_SITE, NULL);
    segment_of(fixture)->directory.entries[idle].last_heartbeat -= 301;
    batch(fixture, {"e", .visitor = 1});
    expect_counter(fixture, scopes_full, 2);
    expect_site(fixture, "c", 1);
    fixture->clock++;
    batch(fixture, {"e", .visitor = 1});
    expect_counter(fixture, scopes_full, 2);
    expect_site(fixture, "c", -1);
    expect_site(fixture, "e", 1);
    expect_accounted(fixture, 78 + 5);
    stop_ingest(fixture);
}

static void full_tables_refuse_new_visitors(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings.max_entries = 1; /* 32 slots */
    start_ingest(fixture);
    batch(fixture, {"a", .visitor = 1, .count = 100});
    expect_counter(fixture, heartbeats_new, 32);
    expect_counter(fixture, table_full, 68);
    expect_counter(fixture, heartbeats_refreshed, 0);
    expect_site(fixture, "a", 32);
    assert_int_equal(heartbeats_in(fixture, "a", SCOPE_SITE, NULL), 32);

    /* Labels are counted separately; a room may refuse a visitor of the site. */
    batch(fixture, {"a", .room = "/", .visitor = 1, .count = 100});
    expect_counter(fixture, label_table_full, 100);
    expect_counter(fixture, heartbeats_refreshed, 32);
    expect_counter(fixture, table_full, 136);
    expect_room(fixture, "a", "/", 0);
    expect_site(fixture, "a", 32);
    assert_int_equal(heartbeats_in(fixture, "a", SCOPE_SITE, NULL), 64);
    assert_int_equal(heartbeats_in(fixture, "a", SCOPE_ROOM, "/"), 0);
    expect_accounted(fixture, 200);

    /* A leave frees a slot, in the same batch. */
    batch(fixture, {"a", .kind = WIRE_LEAVE, .visitor = 1, .count = 100},
          {"a", .room = "/", .visitor = 200});
    expect_site(fixture, "a", 1);
    expect_room(fixture, "a", "/", 1);
    expect_accounted(fixture, 301);

    /* So does a visitor that no window counts any more. */
    batch(fixture, {"a", .visitor = 300, .count = 30});
    fixture->clock += 3599;
    batch(fixture, {"b", .visitor = 300, .count = 5});
    expect_counter(fixture, table_full, 136 + 5);
    fixture->clock += 1;
    batch(fixture, {"b", .visitor = 300, .count = 5});
    expect_site(fixture, "b", 5);
    expect_accounted(fixture, 341);
    stop_ingest(fixture);
}

/* A random mixture, far beyond both limits: all datagrams and visitors are accounted for.
 */
static void everything_is_accounted_for(void **state)
{
    struct fixture *fixture = *state;
    static const char *const sites[] = {"a", "b", "c", "d", "e"};
    static const char *const rooms[] = {NULL, "/", "/1", "/2", "/3"};
    static const char *const sources[] = {NULL, NULL, "s", "t"};
    static const char *const countries[] = {NULL, "DE", "FR", "US", "JP"};
    uint64_t random = random_seed("accounts"), visitors = 0;

    fixture->settings = (struct segment_settings){
        .max_entries = 300, .max_scopes = 12, .max_window = 300, .warm_up = 1};
    start_ingest(fixture);
    for (unsigned run = 0; run < 3000; run++) {
        fixture->clock += random_next(&random) % 64 ? random_next(&random) % 8 : 250;
        ingest_begin(fixture->ingests[0]);
        for (uint64_t left = random_next(&random) % 8; left; left--) {
            uint64_t draw = random_next(&random);
            const struct beat beat = {
                .site = sites[draw % LENGTH(sites)],
                .room = rooms[(draw >> 8) % LENGTH(rooms)],
                .source = sources[(draw >> 16) % LENGTH(sources)],
                .country = countries[(draw >> 24) % LENGTH(countries)],
                .kind = (draw >> 32 & 7) == 0 ? WIRE_LEAVE : WIRE_HEARTBEAT,
                .visitor = (uint32_t)(draw >> 40 & 255),
                .count = 1 + (uint32_t)(draw >> 58),
            };
            take_beat(fixture->ingests[0], beat);
            visitors += beat.count;
            if ((draw >> 48 & 15) == 0)
                take_text(fixture->ingests[0], "what?");
        }
        ingest_end(fixture->ingests[0]);
        expect_accounted(fixture, visitors);
    }
    assert_true(
        counter(fixture, COUNTER_table_full) && counter(fixture, COUNTER_scopes_full) &&
        counter(fixture, COUNTER_label_table_full) && counter(fixture, COUNTER_label_scopes_full) &&
        counter(fixture, COUNTER_heartbeats_left) && counter(fixture, COUNTER_scopes_retired));
    assert_int_equal(counter(fixture, COUNTER_scopes_created) -
                         counter(fixture, COUNTER_scopes_retired),
                     12 - fixture->collector.directory.free_count);
    stop_ingest(fixture);
}

/* A worker that is some ticks behind another takes no refusal back. */
static void marks_never_move_backward(void **state)
{
    uint32_t mark = 0;

    (void)state;
    refusal_record(&mark, START);
    assert_int_equal(mark, refusal_mark(START));
    refusal_record(&mark, START + 2);
    refusal_record(&mark, START);
    assert_int_equal(mark, refusal_mark(START + 2));
    mark = refusal_mark(UINT32_MAX - 5); /* a mark has 32 bits */
    refusal_record(&mark, (UINT64_C(1) << 32) + 1);
    assert_int_equal(mark, refusal_mark((UINT64_C(1) << 32) + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(full_directories_refuse_new_scopes), TEST(full_directories_make_room),
        TEST(full_tables_refuse_new_visitors),    TEST(everything_is_accounted_for),
        TEST(marks_never_move_backward),
    };
    return cmocka_run_group_tests_name("ingest_full", tests, NULL, NULL);
}

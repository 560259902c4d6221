/* test_ingest_race.c - ingest.h when two workers insert one visitor at once: what it counts. */
#include "ingest_fixture.h"

#include "traffic.h"

/* The swaps of the first worker, amid which others act. */
static struct {
    struct fixture *fixture; /* NULL: nobody does */
    unsigned swaps;
    uint64_t *free[2]; /* the only free slots, which others take after the inserts; NULL: none */
} race;

/* Another visitor takes a slot, perhaps after a leave. */
static void take_slot(uint64_t *slot)
{
    *slot = table_word(UINT64_C(77) << 40, START);
}

/* The second worker inserts the same visitor, into another slot. */
static void insert_elsewhere(uint64_t *slot)
{
    struct fixture *fixture = race.fixture;

    race.fixture = NULL;
    take_slot(slot);
    ingest_begin(fixture->ingests[1]);
    take_beat(fixture->ingests[1], (struct beat){"a", .visitor = 1});
    ingest_end(fixture->ingests[1]);
    *slot = 0;
    race.fixture = fixture;
}

void before_swap(uint64_t *word)
{
    if (!race.fixture)
        return;
    if (++race.swaps == 1)
        insert_elsewhere(word);
    else if (race.free[0]) /* this copy is cleared: the one that stays goes first */
        take_slot(race.free[race.free[0] == word]);
}

void after_swap(uint64_t *word)
{
    if (race.fixture && race.swaps > 1 && race.free[0])
        take_slot(word);
}

static void begin_race(struct fixture *fixture)
{
    race.swaps = 0;
    race.free[0] = race.free[1] = NULL;
    fixture->workers = 2;
    start_ingest(fixture);
}

/* The first worker counts the visitor, whom the second one counts meanwhile. */
static void run_race(struct fixture *fixture)
{
    race.fixture = fixture;
    batch(fixture, {"a", .visitor = 1});
    race.fixture = NULL;
    assert_int_equal(race.swaps, 2);
}

/* Check the site's totals, in which histories show who came. */
static void expect_totals(struct fixture *fixture, uint64_t heartbeats, uint64_t entries)
{
    uint32_t site = find_scope(fixture, "a", SCOPE_SITE, NULL);
    const struct activity *activity = &segment_of(fixture)->directory.activities[site];

    for (unsigned i = 0; i < fixture->workers; i++)
        traffic_publish(&fixture->collector.traffics[i]);
    assert_int_equal(activity->heartbeats, heartbeats);
    assert_int_equal(activity->entries, entries);
}

static void two_inserts_are_one_enter(void **state)
{
    struct fixture *fixture = *state;

    begin_race(fixture);
    run_race(fixture);
    expect_site(fixture, "a", 1);
    expect_counter(fixture, heartbeats_new, 1);
    expect_counter(fixture, heartbeats_refreshed, 1);
    expect_totals(fixture, 2, 1);
    expect_accounted(fixture, 2);
    stop_ingest(fixture);
}

/* The first worker clears the other's copy, and finds no slot for the visitor any more. */
static void what_is_lost_is_refused(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings.max_entries = 12;
    begin_race(fixture);
    const struct table *table = &segment_of(fixture)->table;
    for (unsigned i = 0; i < 2 * TABLE_PAIR_WORDS; i++)
        take_slot(&table->words[i]);
    assert_int_equal(table->pairs, 2);
    race.free[0] = &table->words[3];
    race.free[1] = &table->words[20];
    *race.free[0] = *race.free[1] = 0;
    run_race(fixture);
    expect_counter(fixture, heartbeats_new, 1);
    expect_counter(fixture, heartbeats_refreshed, 0);
    expect_counter(fixture, table_full, 1);
    expect_totals(fixture, 1, 1);
    expect_accounted(fixture, 2);
    stop_ingest(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_inserts_are_one_enter),
        TEST(what_is_lost_is_refused),
    };
    return cmocka_run_group_tests_name("ingest_race", tests, NULL, NULL);
}

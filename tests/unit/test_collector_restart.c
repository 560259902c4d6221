/* test_collector_restart.c - collector.h: what restarts and long gaps leave to account for. */
#include "collector_fixture.h"

#define EXPIRY 3692 /* seconds, at the longest window */

/* Put a word that was written `age` seconds before START into the last slot of a pair, and count
 * it as a worker does. */
static void put_entry(struct fixture *fixture, uint64_t pair, uint64_t age)
{
    segment_of(fixture)->table.words[pair * TABLE_PAIR_WORDS + 15] =
        table_word(UINT64_C(0xabc) << 40, START - age);
    segment_of(fixture)->counters[0].values[COUNTER_entries_taken]++;
}

static void expect_entries(struct fixture *fixture, uint64_t expected)
{
    const struct table *table = &segment_of(fixture)->table;
    uint64_t words = 0, counted = 0;

    for (uint64_t i = 0; i < table->pairs * TABLE_PAIR_WORDS; i++)
        words += table->words[i] != 0;
    for (unsigned i = 0; i < SEGMENT_COUNTER_BLOCKS; i++) {
        const uint64_t *values = segment_of(fixture)->counters[i].values;
        counted += values[COUNTER_entries_taken] - values[COUNTER_entries_freed];
    }
    assert_int_equal(words, expected);
    assert_int_equal(counted, expected);
}

/* The entries that a gap has emptied count as freed: `status` shows a table that is not full. */
static void what_a_gap_empties_is_freed(void **state)
{
    struct fixture *fixture = *state;

    start_collector(fixture);
    put_entry(fixture, 0, 0);
    put_entry(fixture, 7, 5);
    expect_entries(fixture, 2);
    fixture->clock += EXPIRY;
    collector_maintain(&fixture->collector);
    expect_entries(fixture, 0);
    collector_close(&fixture->collector);
}

/* Nobody knows how long ago the last daemon swept which part of the table. */
static void the_first_maintenance_sweeps_all(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings.max_entries = 20000;
    start_collector(fixture);
    const uint64_t pairs = segment_of(fixture)->table.pairs;
    for (uint64_t pair = 0; pair < pairs; pair++)
        put_entry(fixture, pair, pair % 3 ? EXPIRY : 5);
    collector_close(&fixture->collector);
    fixture->clock += 2;
    start_collector(fixture);
    expect_entries(fixture, pairs);
    collector_maintain(&fixture->collector);
    expect_entries(fixture, (pairs + 2) / 3);
    collector_close(&fixture->collector);
}

static void expect_left(struct fixture *fixture, enum segment_state expected)
{
    struct segment left = map_left(fixture);

    assert_int_equal(left.header->state, expected);
    munmap(left.header, left.size);
}

/* A daemon that found its port taken leaves the segment as it was: whether the one before was
 * stopped or killed, and when. */
static void a_failed_start_changes_no_state(void **state)
{
    struct fixture *fixture = *state;

    start_collector(fixture);
    kill_collector(fixture);
    expect_left(fixture, SEGMENT_LISTENING);
    open_collector(fixture);
    collector_close(&fixture->collector);
    expect_left(fixture, SEGMENT_LISTENING);
    start_collector(fixture);
    collector_close(&fixture->collector);
    expect_left(fixture, SEGMENT_STOPPED);
    open_collector(fixture);
    collector_close(&fixture->collector);
    expect_left(fixture, SEGMENT_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_a_gap_empties_is_freed),
        TEST(the_first_maintenance_sweeps_all),
        TEST(a_failed_start_changes_no_state),
    };
    return cmocka_run_group_tests_name("collector_restart", tests, NULL, NULL);
}

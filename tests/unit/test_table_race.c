/* test_table_race.c - table.h beside another writer, whose stores come at the worst moments, and
 * many visitors against a model. */
#include <stddef.h>

#include <core/atomics.h>

/* A store by another writer between a load of a word and the swap that relies on it. */
static struct {
    uint64_t *slot; /* NULL: none */
    uint64_t word;
    unsigned swaps; /* that come before */
} before_swap;

static inline bool swap_after_store(uint64_t *word, uint64_t *expected, uint64_t desired)
{
    if (before_swap.slot && before_swap.swaps-- == 0) {
        *before_swap.slot = before_swap.word;
        before_swap.slot = NULL;
    }
    return atomic_swap_if(word, expected, desired);
}

#define atomic_swap_if swap_after_store

#include "table_fixture.h"

/* Fill the slots below `slot`, so that the next insert takes it. */
static void fill_below(struct fixture *fixture, unsigned slot, uint64_t now)
{
    empty(fixture);
    for (unsigned i = 0; i < slot; i++)
        fixture->table.words[i] = table_word(key_number(i).fingerprint, now);
}

/* Others have inserted the same key meanwhile: one copy stays, the first, at the newest tick. */
static void racing_inserts_end_as_one(void **state)
{
    struct fixture *fixture = *state;
    static const unsigned slots[] = {0, 4, 6, 11, 16, 31};
    static const int ticks[] = {-2, -1, 0, 1, 2};
    const uint64_t start = (UINT64_C(5) << 20);
    const unsigned racers = LENGTH(slots) * LENGTH(ticks), ours = 5;

    for (unsigned race = 0; race < racers * racers; race++) {
        struct store stores[2] = {{0}, {0}};
        unsigned count = race / racers == race % racers ? 1 : 2, first = ours;
        int net[5] = {0}, newest = 0;
        fill_below(fixture, ours, start);
        for (unsigned i = 0; i < count; i++) {
            unsigned racer = i ? race / racers : race % racers;
            int tick = ticks[racer % LENGTH(ticks)];
            stores[i].slot = slots[racer / LENGTH(ticks)];
            stores[i].word = table_word(key_a.fingerprint, start + (uint64_t)tick);
            net[tick + 2]++; /* the racer's own move */
            newest = tick > newest ? tick : newest;
            first = stores[i].slot < first ? stores[i].slot : first;
        }
        if (count == 2 && stores[0].slot == stores[1].slot)
            continue;
        memcpy(fixture->race, stores, sizeof(stores));
        fixture->race_count = count;
        expect_outcome(upsert(fixture, key_a, start), .inserted = 1, .duplicates = count);
        expect_word(fixture, key_a, start + (uint64_t)newest);
        if (!table_matches(fixture->table.words[first], key_a.fingerprint))
            fail_msg("race %u: the copy in slot %u is not the one that stayed", race, first);
        for (unsigned i = 0; i < fixture->move_count; i++)
            net[fixture->moves[i].tick - start + 2] += fixture->moves[i].delta;
        for (int tick = -2; tick <= 2; tick++)
            if (net[tick + 2] != (tick == newest))
                fail_msg("race %u: %d visitors at tick %+d", race, net[tick + 2], tick);
    }
}

static void many_copies_end_as_one(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t now = 1 << 20;

    for (unsigned i = 0; i < 31; i++)
        fixture->table.words[i < 12 ? i : i + 1] = table_word(key_a.fingerprint, now - 40 + i);
    struct table_copies copies;
    table_scan(&fixture->table, key_a, &copies);
    assert_int_equal(copies.count, 31);
    fixture->table.words[12] = table_word(key_a.fingerprint, now);
    table_scan(&fixture->table, key_a, &copies);
    assert_int_equal(copies.count, 32);
    struct table_outcome outcome = {0};
    struct fixture quiet = {.move_count = 0};
    while (copies.count > 1) {
        quiet.move_count = 0;
        copies.count = copies.count > 8 ? 8 : copies.count; /* as many as `moves` has room for */
        uint64_t newest = now;
        table_merge(&fixture->table, &copies, &newest, record, &quiet, &outcome);
        assert_int_equal(newest, now);
        table_scan(&fixture->table, key_a, &copies);
    }
    assert_int_equal(outcome.duplicates, 31);
    assert_ptr_equal(copies.slot[0], fixture->table.words);
    expect_word(fixture, key_a, now);
}

/* While two copies are merged, a leave clears both and a heartbeat comes back as the very word that
 * is about to be cleared: it must not be lost. */
static void merges_lose_no_heartbeat(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t now = UINT64_C(3) << 20, later = now + 2;

    for (unsigned moves = 2; moves <= 3; moves++) {
        fill_below(fixture, 5, now);
        fixture->race[fixture->race_count++] =
            (struct store){6, table_word(key_a.fingerprint, later), 0};
        fixture->race[fixture->race_count++] = (struct store){5, 0, moves};
        upsert(fixture, key_a, now);
        expect_moves(fixture, {now, 1}, {later, 1}, {now, -1}, {later, -1}, {later, 1});
        expect_word(fixture, key_a, later);
    }
}

/* The same, but other keys take the slots before it can come back: the loss is a refusal. */
static void merges_account_for_what_finds_no_room(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t now = UINT64_C(3) << 20, later = now + 2;
    const uint64_t other = table_word(key_number(40).fingerprint, now);
    const uint64_t another = table_word(key_number(41).fingerprint, now);

    fill_below(fixture, 32, now);
    fixture->table.words[5] = fixture->table.words[6] = 0;
    fixture->race[fixture->race_count++] =
        (struct store){6, table_word(key_a.fingerprint, later), 0};
    fixture->race[fixture->race_count++] = (struct store){5, other, 3};
    fixture->race[fixture->race_count++] = (struct store){6, another, 4};
    expect_outcome(upsert(fixture, key_a, now), .inserted = 1, .duplicates = 1, .taken = 1,
                   .full = true);
    expect_moves(fixture, {now, 1}, {later, 1}, {now, -1}, {later, -1});
}

/* Another writer's leave, or merge, between the swap and the scan. */
static void inserts_survive_what_happens_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t now = UINT64_C(3) << 20;

    /* A leave: the insert starts over, since its heartbeat was processed after. */
    fill_below(fixture, 5, now);
    fixture->race[fixture->race_count++] = (struct store){5, 0, 0};
    expect_outcome(upsert(fixture, key_a, now), .inserted = 2);
    expect_moves(fixture, {now, 1}, {now, 1});
    expect_word(fixture, key_a, now);

    /* A merge that moved the word to an earlier slot. */
    fill_below(fixture, 5, now);
    fixture->race[fixture->race_count++] = (struct store){5, 0, 0};
    fixture->race[fixture->race_count++] = (struct store){2, table_word(key_a.fingerprint, now), 0};
    expect_outcome(upsert(fixture, key_a, now), .inserted = 1);
    expect_moves(fixture, {now, 1});
    expect_word(fixture, key_a, now);

    /* A leave and another insert, by a worker whose tick is older: ours stays. */
    fill_below(fixture, 5, now);
    fixture->race[fixture->race_count++] = (struct store){5, 0, 0};
    fixture->race[fixture->race_count++] =
        (struct store){20, table_word(key_a.fingerprint, now - 3), 0};
    expect_outcome(upsert(fixture, key_a, now), .inserted = 1);
    expect_moves(fixture, {now, 1}, {now, 1}, {now - 3, -1});
    expect_word(fixture, key_a, now);

    /* Another key got the last slot: not counted, and nothing else touched. */
    fill_below(fixture, 31, now);
    fixture->race[fixture->race_count++] =
        (struct store){31, table_word(key_number(31).fingerprint, now), 0};
    expect_outcome(upsert(fixture, key_a, now), .inserted = 1);
    expect_word(fixture, key_number(31), now);
}

/* However far ahead the tick of another worker is, its word is the newer one. */
static void a_copy_from_any_tick_ahead_stays(void **state)
{
    struct fixture *fixture = *state;
    static const uint64_t leads[] = {1, 2, 3, 60, EXPIRY, TABLE_AGE_FUTURE - 1};
    const uint64_t now = UINT64_C(3) << 20;

    for (unsigned i = 0; i < LENGTH(leads); i++) {
        const uint64_t later = now + leads[i];
        const struct store theirs = {20, table_word(key_a.fingerprint, later), 0};

        /* A leave cleared ours, and the other worker inserted theirs. */
        fill_below(fixture, 5, now);
        fixture->race[fixture->race_count++] = (struct store){5, 0, 0};
        fixture->race[fixture->race_count++] = theirs;
        expect_outcome(upsert(fixture, key_a, now), .inserted = 1);
        expect_moves(fixture, {now, 1});
        expect_word(fixture, key_a, later);

        /* Both are there: the first is raised to theirs. */
        fill_below(fixture, 5, now);
        fixture->race[fixture->race_count++] = theirs;
        expect_outcome(upsert(fixture, key_a, now), .inserted = 1, .duplicates = 1);
        expect_moves(fixture, {now, 1}, {later, 1}, {now, -1}, {later, -1});
        expect_word(fixture, key_a, later);
    }
}

static void store_before_swap(struct fixture *fixture, unsigned slot, uint64_t word, unsigned swaps)
{
    before_swap.slot = &fixture->table.words[slot];
    before_swap.word = word;
    before_swap.swaps = swaps;
}

/* A leave clears the first of two copies just before it is raised to the newer one's tick: that one
 * stays, and no bucket misses the visitor for a moment. */
static void a_merge_ends_when_its_first_copy_goes(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t now = 10000;

    fill_below(fixture, 5, now);
    fixture->race[fixture->race_count++] =
        (struct store){20, table_word(key_a.fingerprint, now + 1), 0};
    store_before_swap(fixture, 5, 0, 1);
    expect_outcome(upsert(fixture, key_a, now), .inserted = 1);
    expect_moves(fixture, {now, 1});
    expect_word(fixture, key_a, now + 1);
}

/* A visitor comes back just before the sweep frees their expired word. */
static void a_sweep_frees_no_word_that_was_refreshed(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t now = 10000, fresh = table_word(key_a.fingerprint, now);
    struct table_swept swept = {0};

    fixture->table.words[3] = table_word(key_a.fingerprint, now - EXPIRY);
    store_before_swap(fixture, 3, fresh, 0);
    table_sweep(&fixture->table, 0, fixture->table.pairs, now, &swept);
    assert_int_equal(swept.freed, 0);
    assert_int_equal(swept.kept, 1);
    assert_int_equal(fixture->table.words[3], fresh);
}

/* No collector writes such a word: only a damaged segment has one. */
static void a_word_from_before_the_clock_moves_its_first_tick(void **state)
{
    struct fixture *fixture = *state;

    fixture->table.words[0] = table_word(key_a.fingerprint, UINT64_C(0) - 5);
    assert_true(leave(fixture, key_a, 10));
    expect_moves(fixture, {0, -1});
}

/* A lone writer stores without a look, but not over a word that the sweep may have freed meanwhile:
 * the slot would count as freed, and never as taken. */
static void a_lone_writer_sees_what_was_swept(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t now = UINT64_C(3) << 20, word = table_word(key_a.fingerprint, now);
    uint64_t *slot = fixture->table.words;

    fixture->table.lone_writer = true;
    for (unsigned age = LONGEST - 1; age <= EXPIRY; age++) {
        uint64_t old = table_word(key_b.fingerprint, now - age);
        *slot = 0;
        assert_true(table_swap(&fixture->table, slot, old, word, now) == (age < LONGEST));
        assert_true(*slot == (age < LONGEST ? word : 0));
        *slot = old;
        assert_true(table_swap(&fixture->table, slot, old, word, now));
        assert_true(*slot == word);
    }
}

#define MODEL_VISITORS 40

/* After an insert that found no free slot: forget the visitor that it evicted, if any. */
static bool forget_evicted(const struct fixture *fixture, uint64_t last[MODEL_VISITORS],
                           uint64_t now)
{
    uint64_t word;

    for (unsigned i = 0; i < MODEL_VISITORS; i++) {
        if (!last[i] || now - last[i] < LONGEST || copies_of(fixture, key_number(i), &word))
            continue;
        last[i] = 0;
        return true;
    }
    return false;
}

/* 40 visitors compete for 32 slots at random times, compared with a model that knows them all. */
static void follow_the_model(struct fixture *fixture)
{
    uint64_t random = random_seed("model"), now = 1 << 20;
    uint64_t last[MODEL_VISITORS] = {0}; /* tick; 0: none, or left */

    for (unsigned step = 0; step < 300000; step++) {
        uint64_t draw = random_next(&random);
        unsigned who = (unsigned)(draw % LENGTH(last)), present = 0;
        now += draw >> 20 & 3 ? 0 : draw >> 24 & 1023 ? draw >> 34 & 127 : EXPIRY - 200;
        if ((draw >> 56) == 0)
            table_sweep(&fixture->table, 0, 2, now, &(struct table_swept){0});
        for (unsigned i = 0; i < LENGTH(last); i++) {
            if (now - last[i] >= EXPIRY)
                last[i] = 0;
            present += last[i] != 0;
        }
        uint64_t before = last[who];
        if (draw >> 48 & 3) {
            struct table_outcome outcome = upsert(fixture, key_number(who), now);
            bool full = !before && present == 32 && !forget_evicted(fixture, last, now);
            bool enters = !full && (!before || now - before >= TABLE_ENTER_AGE);
            if (outcome.inserted + outcome.entered != enters || outcome.full != full)
                fail_msg("step %u: inserted %u, entered %d, full %d; %u were there", step,
                         outcome.inserted, outcome.entered, outcome.full, present);
            last[who] = full ? 0 : now;
            if (full || before == now)
                expect_no_moves(fixture);
            else if (before)
                expect_moves(fixture, {now, 1}, {before, -1});
            else
                expect_moves(fixture, {now, 1});
        } else {
            assert_true(leave(fixture, key_number(who), now) == (before != 0));
            if (before)
                expect_moves(fixture, {before, -1});
            last[who] = 0;
        }
    }
}

static void random_visitors_follow_the_model(void **state)
{
    follow_the_model(*state);
}

static void a_lone_writers_visitors_follow_the_model(void **state)
{
    struct fixture *fixture = *state;

    fixture->table.lone_writer = true;
    follow_the_model(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TABLE_TEST(racing_inserts_end_as_one),
        TABLE_TEST(many_copies_end_as_one),
        TABLE_TEST(merges_lose_no_heartbeat),
        TABLE_TEST(merges_account_for_what_finds_no_room),
        TABLE_TEST(inserts_survive_what_happens_meanwhile),
        TABLE_TEST(a_lone_writer_sees_what_was_swept),
        TABLE_TEST(a_copy_from_any_tick_ahead_stays),
        TABLE_TEST(a_merge_ends_when_its_first_copy_goes),
        TABLE_TEST(a_sweep_frees_no_word_that_was_refreshed),
        TABLE_TEST(a_word_from_before_the_clock_moves_its_first_tick),
        TABLE_TEST(random_visitors_follow_the_model),
        TABLE_TEST(a_lone_writers_visitors_follow_the_model),
    };
    return cmocka_run_group_tests_name("table_race", tests, NULL, NULL);
}

/* test_table.c - table.h, one writer at a time: states, moves, places. */
#include "table_fixture.h"

/* Ticks around which everything must hold: an early one, those where the word's 20 bits wrap, and
 * where 32 bits do. */
static const uint64_t starts[] = {
    1 << 19,
    (1 << 20) - 1,
    1 << 20,
    (1 << 20) + EXPIRY,
    (UINT64_C(7) << 20) - 150,
    (UINT64_C(1) << 32) - 7,
    UINT64_C(1) << 32,
};

static void first_heartbeat_inserts(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < LENGTH(starts); i++) {
        uint64_t now = starts[i];
        empty(fixture);
        expect_outcome(upsert(fixture, key_a, now), .inserted = 1);
        expect_moves(fixture, {now, 1});
        assert_int_equal(fixture->table.words[0], key_a.fingerprint | (now & TABLE_TICK_MASK));
        assert_int_equal(used_words(fixture), 1);
        expect_outcome(upsert(fixture, key_b, now), .inserted = 1);
        expect_moves(fixture, {now, 1});
        assert_int_equal(used_words(fixture), 2);
        /* Again in the same tick: nothing. */
        expect_outcome(upsert(fixture, key_a, now), 0);
        expect_no_moves(fixture);
    }
}

static void heartbeats_move_the_visitor(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        uint64_t after;
        bool entered, counted;
    } cases[] = {
        {1, false, true},          {60, false, true},
        {299, false, true},        {300, true, true},
        {301, true, true},         {3600, true, true},
        {EXPIRY - 1, true, true},  {EXPIRY, true, false},
        {EXPIRY + 1, true, false}, {TABLE_AGE_FUTURE - 1, true, false},
    };

    for (size_t i = 0; i < LENGTH(starts); i++) {
        for (size_t j = 0; j < LENGTH(cases); j++) {
            uint64_t before = starts[i], now = before + cases[j].after;
            empty(fixture);
            upsert(fixture, key_a, before);
            expect_outcome(upsert(fixture, key_a, now), .entered = cases[j].entered);
            if (cases[j].counted)
                expect_moves(fixture, {now, 1}, {before, -1});
            else
                expect_moves(fixture, {now, 1});
            expect_word(fixture, key_a, now);
        }
    }
}

/* A worker whose tick is behind finds words from its future. */
static void ticks_never_go_backward(void **state)
{
    struct fixture *fixture = *state;
    static const uint64_t aheads[] = {1, 2, 300, EXPIRY, TABLE_AGE_FUTURE};

    for (size_t i = 0; i < LENGTH(starts); i++) {
        for (size_t j = 0; j < LENGTH(aheads); j++) {
            uint64_t now = starts[i], ahead = now + aheads[j];
            empty(fixture);
            upsert(fixture, key_a, ahead);
            expect_outcome(upsert(fixture, key_a, now), 0);
            expect_no_moves(fixture);
            expect_word(fixture, key_a, ahead);
            /* They are not free, not swept, and count until a leave. */
            struct table_swept swept = {0};
            assert_int_equal(table_sweep(&fixture->table, 0, 8, now, &swept), 0);
            assert_int_equal(swept.freed, 0);
            assert_int_equal(swept.kept, 1);
            expect_word(fixture, key_a, ahead);
            assert_true(leave(fixture, key_a, now));
            expect_moves(fixture, {ahead, -1});
            assert_int_equal(used_words(fixture), 0);
        }
    }
}

static void leaves_clear_and_create_nothing(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        uint64_t after;
        bool counted;
    } cases[] = {{0, true},          {1, true},       {300, true},
                 {EXPIRY - 1, true}, {EXPIRY, false}, {TABLE_AGE_FUTURE - 1, false}};

    for (size_t i = 0; i < LENGTH(starts); i++) {
        for (size_t j = 0; j < LENGTH(cases); j++) {
            uint64_t before = starts[i], now = before + cases[j].after;
            empty(fixture);
            assert_false(leave(fixture, key_a, before));
            expect_no_moves(fixture);
            assert_int_equal(used_words(fixture), 0);
            upsert(fixture, key_a, before);
            upsert(fixture, key_b, before);
            assert_true(leave(fixture, key_a, now) == cases[j].counted);
            if (cases[j].counted)
                expect_moves(fixture, {before, -1});
            else
                expect_no_moves(fixture);
            expect_word(fixture, key_b, before);
            assert_int_equal(used_words(fixture), 1);
            assert_false(leave(fixture, key_a, now));
            expect_no_moves(fixture);
            expect_outcome(upsert(fixture, key_a, now), .inserted = 1);
            expect_moves(fixture, {now, 1});
        }
    }
}

static void leaves_clear_every_copy(void **state)
{
    struct fixture *fixture = *state;
    uint64_t now = 1 << 20;
    static const unsigned slots[] = {0, 7, 15, 16, 31};

    for (size_t i = 0; i < LENGTH(slots); i++)
        fixture->table.words[slots[i]] = table_word(key_a.fingerprint, now - i);
    fixture->table.words[5] = table_word(key_b.fingerprint, now);
    fixture->table.words[32] =
        table_word(key_a.fingerprint, now); /* another key's, in its other pair */
    assert_true(leave(fixture, key_a, now));
    expect_moves(fixture, {now, -1}, {now - 1, -1}, {now - 2, -1}, {now - 3, -1}, {now - 4, -1});
    assert_int_equal(used_words(fixture), 2);

    /* A copy that no window counts hides none that counts. */
    fixture->table.words[3] = table_word(key_a.fingerprint, now - 100);
    fixture->table.words[9] = table_word(key_a.fingerprint, now - EXPIRY);
    assert_true(leave(fixture, key_a, now));
    expect_moves(fixture, {now - 100, -1});
    assert_int_equal(used_words(fixture), 2);
}

/* From the first second on in which no window counts them any more. */
static void full_lines_take_a_visitor_when_one_is_gone(void **state)
{
    struct fixture *fixture = *state;
    const unsigned slots = 2 * TABLE_PAIR_WORDS;

    for (size_t i = 0; i < LENGTH(starts); i++) {
        uint64_t before = starts[i], now = before + LONGEST;
        empty(fixture);
        for (unsigned j = 0; j < slots; j++)
            expect_outcome(upsert(fixture, key_number(j), before + (j != 20)), .inserted = 1);
        uint64_t words[WORDS_MAX];
        memcpy(words, fixture->table.words, sizeof(words));
        expect_outcome(upsert(fixture, key_number(slots), now - 1), .full = true);
        expect_no_moves(fixture);
        assert_memory_equal(words, fixture->table.words, sizeof(words));
        /* Those who are there still count. */
        expect_outcome(upsert(fixture, key_number(3), before + 1), 0);
        /* One has gone: no window counts it, so no bucket moves. */
        struct table_outcome outcome = upsert(fixture, key_number(slots), now);
        expect_outcome(outcome, .inserted = 1);
        assert_int_equal(outcome.taken, 0);
        expect_moves(fixture, {now, 1});
        uint64_t word;
        assert_int_equal(copies_of(fixture, key_number(20), &word), 0);
        expect_word(fixture, key_number(slots), now);
        assert_int_equal(used_words(fixture), slots);
        expect_outcome(upsert(fixture, key_number(20), now), .full = true);
        /* A leave frees a slot at once. */
        assert_true(leave(fixture, key_number(7), now));
        assert_int_equal(fixture->cleared, 1);
        outcome = upsert(fixture, key_number(20), now);
        expect_outcome(outcome, .inserted = 1);
        assert_int_equal(outcome.taken, 1);
        /* The same where words are old enough for their slots to be free anyway, ... */
        outcome = upsert(fixture, key_number(slots + 1), before + 1 + EXPIRY);
        expect_outcome(outcome, .inserted = 1);
        assert_int_equal(outcome.taken, 0);
        /* ... and one from the future counts as age 0. */
        empty(fixture);
        for (unsigned j = 0; j < slots; j++)
            upsert(fixture, key_number(j), now + 5);
        expect_outcome(upsert(fixture, key_number(slots), now), .full = true);
    }
}

/* If the longest window is shorter than 300 s, a slot may be reused before these are over: whoever
 * comes back then has entered, as has a visitor whose slot was kept. */
static void short_windows_make_early_enters(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(table_enter_age(1), 1);
    assert_int_equal(table_enter_age(299), 299);
    assert_int_equal(table_enter_age(300), 300);
    assert_int_equal(table_enter_age(3600), 300);
    fixture->table.longest = 60;
    fixture->table.enter_age = table_enter_age(60);
    fixture->table.expiry = 300 + TABLE_EXPIRY_SLACK;
    for (size_t i = 0; i < LENGTH(starts); i++) {
        uint64_t now = starts[i];
        empty(fixture);
        upsert(fixture, key_a, now);
        expect_outcome(upsert(fixture, key_a, now + 59), 0);
        expect_outcome(upsert(fixture, key_a, now + 59 + 60), .entered = true);
        /* All others come at once; a minute later as many new ones do. */
        for (unsigned j = 0; j < 2 * TABLE_PAIR_WORDS - 1; j++)
            expect_outcome(upsert(fixture, key_number(j), now + 119), .inserted = 1);
        expect_outcome(upsert(fixture, key_number(99), now + 119 + 59), .full = true);
        for (unsigned j = 0; j < 2 * TABLE_PAIR_WORDS; j++)
            expect_outcome(upsert(fixture, key_number(100 + j), now + 119 + 60), .inserted = 1);
        assert_int_equal(used_words(fixture), 2 * TABLE_PAIR_WORDS);
    }
}

static unsigned words_in_pair(const struct fixture *fixture, unsigned pair)
{
    unsigned used = 0;

    for (unsigned i = 0; i < TABLE_PAIR_WORDS; i++)
        used += fixture->table.words[pair * TABLE_PAIR_WORDS + i] != 0;
    return used;
}

/* The first pair until 12 of its 16 words are in use, then the emptier one, the first of equals. */
static void words_go_where_there_is_room(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t now = 1 << 20;

    for (unsigned first = 0; first <= 16; first++) {
        for (unsigned second = 0; second <= 16; second++) {
            for (unsigned expired = 0; expired < 2; expired++) {
                empty(fixture);
                for (unsigned i = 0; i < 32; i++) {
                    bool taken = i < 16 ? i >= 16 - first : i - 16 < second;
                    if (taken || expired)
                        fixture->table.words[i] =
                            table_word(key_number(i).fingerprint, taken ? now : now - EXPIRY);
                }
                struct table_outcome outcome = upsert(fixture, key_a, now);
                assert_true(outcome.full == (first == 16 && second == 16));
                if (outcome.full)
                    continue;
                unsigned slot = 0;
                while (!table_matches(fixture->table.words[slot], key_a.fingerprint))
                    slot++;
                if (slot / 16 != (first >= 12 && second < first))
                    fail_msg("pair %u, with %u and %u words taken", slot / 16, first, second);
            }
        }
    }
    empty(fixture);
    for (unsigned i = 0; i < 12; i++)
        upsert(fixture, key_number(i), now);
    assert_int_equal(words_in_pair(fixture, 0), 12);
    for (unsigned i = 12; i < 32; i++)
        expect_outcome(upsert(fixture, key_number(i), now), .inserted = 1);
    assert_int_equal(used_words(fixture), 32);
}

/* The home line of the pair first, whichever slots of both lines are in use. */
static void words_go_home_while_there_is_room(void **state)
{
    struct fixture *fixture = *state;
    const struct table_key keys[] = {key_a, key_b};
    const uint64_t now = 1 << 20;

    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(table_home(keys[i].fingerprint), i * 8);
        for (unsigned taken = 0; taken < 1u << 16; taken += 37) {
            /* Either in the first pair, or in the second one because the first is full. */
            const unsigned pair = taken % 2 && taken != 0xffff;
            empty(fixture);
            for (unsigned slot = 0; slot < 32; slot++)
                if (slot / 16 < pair || (slot / 16 == pair && taken >> slot % 16 & 1))
                    fixture->table.words[slot] = table_word(key_number(slot).fingerprint, now);
            upsert(fixture, keys[i], now);
            unsigned slot = 0, expected = i * 8;
            while (!table_matches(fixture->table.words[slot], keys[i].fingerprint))
                slot++;
            if (slot / 16 != pair)
                continue; /* more than 12 were in use */
            while (taken >> expected & 1)
                expected = (expected + 1) % 16;
            if (slot % 16 != expected)
                fail_msg("key %u in slot %u, not %u, with %#x taken", i, slot, expected, taken);
        }
    }
}

static void hints_say_where_a_key_stands(void **state)
{
    struct fixture *fixture = *state;
    const struct table_key keys[] = {key_a, key_b};
    const uint64_t now = UINT64_C(9) << 20;

    for (unsigned i = 0; i < 2 * 32; i++) {
        unsigned slot = i % 32;
        struct table_key key = keys[i / 32];
        uint64_t *word = &fixture->table.words[slot], *hint;
        for (unsigned which = 0; which < 2; which++) {
            bool is_home = slot / 8 == 2 * which + i / 32;
            empty(fixture);
            assert_false(table_locate_home(&fixture->table, key, which, &hint));
            *word = table_word(key.fingerprint, now - 400);
            assert_int_equal(table_locate_home(&fixture->table, key, which, &hint), is_home);
            if (is_home)
                assert_ptr_equal(hint, word);
        }
        expect_outcome(upsert(fixture, key, now), .entered = true);
        expect_moves(fixture, {now, 1}, {now - 400, -1});
        expect_outcome(upsert(fixture, key, now - 1), 0);
        expect_no_moves(fixture);
        expect_word(fixture, key, now);
    }
}

/* Whatever has happened to the slot since the hint was made. */
static void hints_may_be_wrong(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t now = UINT64_C(9) << 20;
    const uint64_t others[] = {
        0, table_word(key_b.fingerprint, now - 400),
        table_word(key_a.fingerprint ^ 1 << TABLE_TICK_BITS,
                   now - 400), /* a candidate, but another key */
    };

    for (unsigned i = 0; i < 32 * 32 * LENGTH(others); i++) {
        unsigned hint = i / LENGTH(others) % 32, slot = i / LENGTH(others) / 32;
        uint64_t *hinted = &fixture->table.words[hint], other = others[i % LENGTH(others)];
        if (slot == hint)
            continue;
        empty(fixture);
        *hinted = other;
        uint64_t age = i % 2 ? 7 : 400;
        fixture->table.words[slot] = table_word(key_a.fingerprint, now - age);
        expect_outcome(update_at(&fixture->table, hinted, key_a, now, record, fixture),
                       .entered = age == 400);
        expect_moves(fixture, {now, 1}, {now - age, -1});
        expect_word(fixture, key_a, now);
        assert_int_equal(*hinted, other);
        /* It has left. */
        empty(fixture);
        *hinted = other;
        expect_outcome(update_at(&fixture->table, hinted, key_a, now, record, fixture),
                       .inserted = 1);
        expect_moves(fixture, {now, 1});
        expect_word(fixture, key_a, now);
    }
}

static void keys_stay_within_the_table(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {2, 3, 5, 64, 83334, (UINT64_C(1) << 32) - 1};
    static const uint32_t halves[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    uint64_t random = random_seed("keys");

    for (size_t i = 0; i < LENGTH(sizes); i++) {
        for (unsigned j = 0; j < 36 + 10000; j++) {
            uint64_t second =
                j < 36 ? (uint64_t)halves[j / 6] << 32 | halves[j % 6] : random_next(&random);
            struct table_key key =
                table_key((struct hash128){.first = 0, .second = second}, sizes[i]);
            assert_in_range(key.pair[0], 0, sizes[i] - 1);
            assert_in_range(key.pair[1], 0, sizes[i] - 1);
            assert_int_not_equal(key.pair[0], key.pair[1]);
        }
    }
}

/* A word of fingerprint 0 at tick 0 would be an empty slot. */
static void no_fingerprint_is_zero(void **state)
{
    struct fixture *fixture = *state;
    struct table_key key =
        table_key((struct hash128){.first = TABLE_TICK_MASK}, fixture->table.pairs);
    const uint64_t now = UINT64_C(1) << 20; /* 0 in the word */

    assert_int_equal(key.fingerprint, UINT64_C(1) << 20);
    assert_int_equal(table_key((struct hash128){.first = UINT64_C(0xfff) << 52}, 2).fingerprint,
                     UINT64_C(0xfff) << 52);
    expect_outcome(upsert(fixture, key, now), .inserted = 1);
    expect_outcome(upsert(fixture, key, now), 0);
    expect_word(fixture, key, now);
    assert_true(leave(fixture, key, now));
    assert_int_equal(used_words(fixture), 0);
}

/* Find in the simplest way what the vector search must find: every slot whose upper 32 bits are the
 * fingerprint's. */
static uint32_t scalar_candidates(const uint64_t *pair, uint64_t fingerprint)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < TABLE_PAIR_WORDS; i++)
        if (pair[i] >> 32 == fingerprint >> 32)
            mask |= 1u << i;
    return mask;
}

static void searches_agree(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = random_seed("search");
    uint64_t *pair = fixture->table.words;

    for (unsigned mask = 0; mask < 1u << 16; mask++) {
        uint64_t fingerprint = random_next(&random) & ~TABLE_TICK_MASK;
        for (unsigned i = 0; i < TABLE_PAIR_WORDS; i++) {
            uint64_t noise = random_next(&random);
            if (mask >> i & 1) /* the lower half is ignored */
                pair[i] = (fingerprint & ~UINT64_C(0xffffffff)) | (uint32_t)noise;
            else if (noise & 1) /* one bit off */
                pair[i] = fingerprint ^ UINT64_C(1) << (32 + (noise >> 1 & 31));
            else /* the wanted bits, but in the lower half */
                pair[i] = noise << 32 | fingerprint >> 32;
        }
        uint32_t found = table_candidates(pair, fingerprint);
        uint32_t expected = scalar_candidates(pair, fingerprint);
        if (found != expected || (expected & mask) != mask)
            fail_msg("slots %#x of %#x found", found, expected);
    }
}

static void sweeps_free_expired_words_only(void **state)
{
    struct fixture *fixture = *state;
    static const uint64_t ages[] = {0,
                                    1,
                                    300,
                                    EXPIRY - 1,
                                    EXPIRY,
                                    EXPIRY + 1,
                                    TABLE_AGE_FUTURE - 1,
                                    TABLE_AGE_FUTURE,
                                    TABLE_TICK_MASK};
    const unsigned pairs = WORDS_MAX / TABLE_PAIR_WORDS;
    static const struct {
        unsigned first, count, next;
    } cases[] = {{0, 0, 0}, {0, 1, 1}, {3, 2, 5}, {6, 2, 0}, {7, 3, 2}, {5, 8, 5}, {7, 1, 0}};

    for (size_t i = 0; i < LENGTH(starts) * LENGTH(cases); i++) {
        uint64_t now = starts[i % LENGTH(starts)], before[WORDS_MAX];
        size_t which = i / LENGTH(starts);
        for (unsigned j = 0; j < WORDS_MAX; j++)
            before[j] = j % 10 == 9 ? 0 : table_word(key_number(j).fingerprint, now - ages[j % 9]);
        memcpy(fixture->table.words, before, sizeof(before));
        struct table_swept swept = {0};
        assert_int_equal(
            table_sweep(&fixture->table, cases[which].first, cases[which].count, now, &swept),
            cases[which].next);
        for (unsigned j = 0; j < WORDS_MAX; j++) {
            unsigned from_first = (j / TABLE_PAIR_WORDS + pairs - cases[which].first) % pairs;
            bool expired = ages[j % 9] >= EXPIRY && ages[j % 9] < TABLE_AGE_FUTURE;
            bool looked_at = from_first < cases[which].count;
            uint64_t expected = looked_at && expired ? 0 : before[j];
            swept.kept -= looked_at && expected;
            swept.freed -= looked_at && expired && before[j];
            if (fixture->table.words[j] != expected)
                fail_msg("case %zu, word %u, age %llu: %s", which, j,
                         (unsigned long long)ages[j % 9], expected ? "gone" : "still there");
        }
        assert_int_equal(swept.kept, 0);
        assert_int_equal(swept.freed, 0);
    }
    table_clear(&fixture->table);
    assert_int_equal(used_words(fixture), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TABLE_TEST(first_heartbeat_inserts),
        TABLE_TEST(heartbeats_move_the_visitor),
        TABLE_TEST(ticks_never_go_backward),
        TABLE_TEST(leaves_clear_and_create_nothing),
        TABLE_TEST(leaves_clear_every_copy),
        TABLE_TEST(full_lines_take_a_visitor_when_one_is_gone),
        TABLE_TEST(short_windows_make_early_enters),
        TABLE_TEST(words_go_where_there_is_room),
        TABLE_TEST(words_go_home_while_there_is_room),
        TABLE_TEST(hints_say_where_a_key_stands),
        TABLE_TEST(hints_may_be_wrong),
        TABLE_TEST(keys_stay_within_the_table),
        TABLE_TEST(no_fingerprint_is_zero),
        TABLE_TEST(searches_agree),
        TABLE_TEST(sweeps_free_expired_words_only),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}

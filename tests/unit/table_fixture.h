/* table_fixture.h - a small table whose moves are recorded, and a racing writer on demand. */
#ifndef PRESENCE_TESTS_TABLE_FIXTURE_H
#define PRESENCE_TESTS_TABLE_FIXTURE_H

#include "../support/unit.h"
#include "../support/update.h"

#include <core/table_sweep.h>

#define LONGEST   3600 /* seconds: the longest window */
#define EXPIRY    (LONGEST + TABLE_EXPIRY_SLACK)
#define WORDS_MAX (8 * TABLE_PAIR_WORDS)

struct move {
    uint64_t tick;
    int delta;
};

/* A small table, the moves that it reported, and what another writer stores just after one of them:
 * after the first, which is between the insert's swap and its scan. */
struct fixture {
    struct table table;
    struct move moves[16];
    unsigned move_count;
    uint32_t cleared; /* slots, by the last leave */
    struct store {
        unsigned slot;
        uint64_t word;
        unsigned moves; /* after that many, if not the first */
    } race[4];
    unsigned race_count;
};

static const struct table_key key_a = {.fingerprint = UINT64_C(0xaaaaa) << 20, .pair = {0, 1}};
static const struct table_key key_b = {.fingerprint = UINT64_C(0xbbbbb) << 20, .pair = {0, 1}};

static inline int open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    fixture->table = (struct table){
        .words = aligned_alloc(128, WORDS_MAX * sizeof(uint64_t)),
        .pairs = WORDS_MAX / TABLE_PAIR_WORDS,
        .expiry = EXPIRY,
        .longest = LONGEST,
        .enter_age = TABLE_ENTER_AGE,
    };
    assert_non_null(fixture->table.words);
    memset(fixture->table.words, 0, WORDS_MAX * sizeof(uint64_t));
    *state = fixture;
    return 0;
}

static inline int close_fixture(void **state)
{
    struct fixture *fixture = *state;

    free(fixture->table.words);
    free(fixture);
    return 0;
}

static inline void empty(struct fixture *fixture)
{
    memset(fixture->table.words, 0, WORDS_MAX * sizeof(uint64_t));
    fixture->move_count = 0;
    fixture->race_count = 0;
}

static inline void record(void *context, uint64_t tick, int delta)
{
    struct fixture *fixture = context;

    assert_true(fixture->move_count < LENGTH(fixture->moves));
    fixture->moves[fixture->move_count++] = (struct move){tick, delta};
    for (unsigned i = 0; i < fixture->race_count; i++) {
        const struct store *store = &fixture->race[i];
        if ((store->moves ? store->moves : 1) == fixture->move_count)
            fixture->table.words[store->slot] = store->word;
    }
}

static inline struct table_outcome upsert(struct fixture *fixture, struct table_key key,
                                          uint64_t now)
{
    fixture->move_count = 0;
    return update_at(&fixture->table, locate(&fixture->table, key), key, now, record, fixture);
}

/* Leave. True if the visitor still counted. */
static inline bool leave(struct fixture *fixture, struct table_key key, uint64_t now)
{
    fixture->move_count = 0;
    fixture->cleared = table_leave(&fixture->table, key, now, record, fixture);
    return fixture->move_count != 0;
}

#define expect_moves(fixture, ...)                                     \
    check_moves(fixture, __LINE__, (const struct move[]){__VA_ARGS__}, \
                LENGTH(((const struct move[]){__VA_ARGS__})))
#define expect_no_moves(fixture) check_moves(fixture, __LINE__, NULL, 0)

static inline void check_moves(const struct fixture *fixture, int line, const struct move *expected,
                               size_t count)
{
    bool same = fixture->move_count == count;

    for (size_t i = 0; same && i < count; i++)
        same = fixture->moves[i].tick == expected[i].tick &&
               fixture->moves[i].delta == expected[i].delta;
    if (same)
        return;
    for (unsigned i = 0; i < fixture->move_count; i++)
        print_error("moved tick %llu by %d\n", (unsigned long long)fixture->moves[i].tick,
                    fixture->moves[i].delta);
    fail_msg("line %d: %zu moves expected, not these %u", line, count, fixture->move_count);
}

#define expect_outcome(got, ...) check_outcome(got, (struct table_outcome){__VA_ARGS__}, __LINE__)

static inline void check_outcome(struct table_outcome got, struct table_outcome expected, int line)
{
    if (got.taken > got.inserted)
        fail_msg("line %d: %u slots taken for %u words", line, got.taken, got.inserted);
    if (got.inserted != expected.inserted || got.duplicates != expected.duplicates ||
        got.entered != expected.entered || got.full != expected.full)
        fail_msg("line %d: inserted %u, duplicates %u, entered %d, full %d", line, got.inserted,
                 got.duplicates, got.entered, got.full);
}

static inline unsigned used_words(const struct fixture *fixture)
{
    unsigned used = 0;

    for (unsigned i = 0; i < WORDS_MAX; i++)
        used += fixture->table.words[i] != 0;
    return used;
}

/* Count the slots that hold the key; its word must be the same in all of them. */
static inline unsigned copies_of(const struct fixture *fixture, struct table_key key,
                                 uint64_t *ret_word)
{
    unsigned copies = 0;

    for (unsigned i = 0; i < WORDS_MAX; i++) {
        if (!table_matches(fixture->table.words[i], key.fingerprint))
            continue;
        *ret_word = fixture->table.words[i];
        copies++;
    }
    return copies;
}

static inline void expect_word(const struct fixture *fixture, struct table_key key, uint64_t tick)
{
    uint64_t word = 0;
    unsigned copies = copies_of(fixture, key, &word);

    if (copies != 1)
        fail_msg("%u copies of a key", copies);
    if (word != table_word(key.fingerprint, tick))
        fail_msg("tick %llu in the word, not %llu", (unsigned long long)(word & TABLE_TICK_MASK),
                 (unsigned long long)(tick & TABLE_TICK_MASK));
}

/* Return others that live in the same lines. */
static inline struct table_key key_number(uint64_t number)
{
    return (struct table_key){.fingerprint = (number + 1) << 20, .pair = {0, 1}};
}

#define TABLE_TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

#endif

/* test_table_load.c - table.h filled to its limit: no visitor is refused below it, none is lost
 * above. */
#include "../support/unit.h"

#include <sys/mman.h>

#include <core/table.h>

#define EXPIRY 3692 /* seconds */

struct loaded {
    struct table table;
    struct scope_key key;
    int64_t moved; /* the sum of all deltas */
};

static void add_up(void *context, uint64_t tick, int delta)
{
    (void)tick;
    ((struct loaded *)context)->moved += delta;
}

static struct loaded open_table(uint64_t words, uint64_t seed)
{
    struct loaded loaded = {
        .table = {.pairs = table_pairs_for(words),
                  .expiry = EXPIRY,
                  .longest = EXPIRY - TABLE_EXPIRY_SLACK,
                  .enter_age = TABLE_ENTER_AGE},
    };
    size_t size = loaded.table.pairs * TABLE_PAIR_WORDS * sizeof(uint64_t);

    loaded.table.words =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(loaded.table.words, MAP_FAILED);
    for (unsigned i = 0; i < HASH_KEY_WORDS; i++)
        loaded.key.words[i] = random_next(&seed);
    return loaded;
}

static void close_table(struct loaded *loaded)
{
    munmap(loaded->table.words, loaded->table.pairs * TABLE_PAIR_WORDS * sizeof(uint64_t));
}

/* Visitors have sequential ids. */
static struct table_key key_of(const struct loaded *loaded, uint64_t visitor)
{
    uint64_t id[2] = {0, visitor};

    return table_key(hash_visitor(&loaded->key, (const uint8_t *)id), loaded->table.pairs);
}

static struct table_outcome upsert(struct loaded *loaded, uint64_t visitor, uint64_t now)
{
    return table_upsert(&loaded->table, key_of(loaded, visitor), now, add_up, loaded);
}

static void tables_are_sized_for_their_words(void **state)
{
    (void)state;
    for (uint64_t words = 1; words < 100000; words += words < 1000 ? 1 : 97) {
        uint64_t slots = table_pairs_for(words) * TABLE_PAIR_WORDS;
        assert_true(slots * 3 >= words * 4 && slots >= 2 * TABLE_PAIR_WORDS);
        assert_true(slots <= words * 4 / 3 + 2 * TABLE_PAIR_WORDS);
    }
    assert_true(table_pairs_for(UINT64_C(1) << 35) < UINT64_C(1) << 32);
}

/* As many words as the table is sized for find a slot, whoever they are. */
static void nobody_is_refused_within_the_size(void **state)
{
    (void)state;
    static const struct {
        uint64_t words;
        unsigned seeds;
    } cases[] = {{1000, 100}, {3000, 60}, {10000, 40}, {30000, 20}, {100000, 8}, {1000000, 2}};
    const uint64_t now = UINT64_C(1) << 20;
    uint64_t seed = random_seed("load");

    for (size_t i = 0; i < LENGTH(cases); i++) {
        for (unsigned run = 0; run < cases[i].seeds; run++) {
            struct loaded loaded = open_table(cases[i].words, random_next(&seed));
            for (uint64_t visitor = 0; visitor < cases[i].words; visitor++) {
                struct table_outcome outcome = upsert(&loaded, visitor, now);
                if (outcome.full || outcome.inserted != 1)
                    fail_msg("visitor %llu of %llu: %s", (unsigned long long)visitor,
                             (unsigned long long)cases[i].words,
                             outcome.full ? "refused" : "taken for another");
            }
            assert_int_equal(loaded.moved, cases[i].words);
            close_table(&loaded);
        }
    }
}

/* The same when all have gone and as many others come, repeatedly, long before the former slots
 * expire. */
static void nobody_is_refused_for_those_who_went(void **state)
{
    (void)state;
    static const struct {
        uint64_t words;
        unsigned seeds;
    } cases[] = {{1000, 20}, {10000, 4}, {100000, 1}};
    const uint64_t begin = UINT64_C(1) << 20;
    uint64_t seed = random_seed("generations");

    for (size_t i = 0; i < LENGTH(cases) * 20; i++) {
        const uint64_t words = cases[i / 20].words;
        if (i % 20 >= cases[i / 20].seeds)
            continue;
        struct loaded loaded = open_table(words, random_next(&seed));
        loaded.table.longest = 60;
        loaded.table.expiry = 300 + TABLE_EXPIRY_SLACK;
        uint64_t refused = 0;
        for (uint64_t visitor = 0; visitor < 12 * words; visitor++)
            refused += upsert(&loaded, visitor, begin + visitor / words * 60).full;
        if (refused)
            fail_msg("%llu of %llu visitors were refused", (unsigned long long)refused,
                     (unsigned long long)words * 12);
        close_table(&loaded);
    }
}

/* Check how many of these visitors, who are all there, are at home in their first pair. */
static void expect_at_home(const struct loaded *loaded, uint64_t first, uint64_t end,
                           unsigned percent)
{
    uint64_t at_home = 0, word;

    for (uint64_t visitor = first; visitor < end; visitor++) {
        struct table_key key = key_of(loaded, visitor);
        uint64_t *slot = table_find(&loaded->table, key, &word);
        assert_non_null(slot);
        uint64_t *home = table_pair(&loaded->table, key.pair[0]) + table_home(key.fingerprint);
        at_home += slot >= home && slot < home + TABLE_LINE_WORDS;
    }
    if (at_home * 100 < (end - first) * percent)
        fail_msg("%llu of %llu visitors stand at home", (unsigned long long)at_home,
                 (unsigned long long)(end - first));
}

/* That is what makes refreshes fast. */
static void most_stand_at_home(void **state)
{
    (void)state;
    static const struct {
        uint64_t visitors;
        unsigned percent;
    } cases[] = {{30000, 99}, {60000, 96}, {100000, 87}};
    uint64_t seed = random_seed("home");

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct loaded loaded = open_table(100000, random_next(&seed));
        for (uint64_t visitor = 0; visitor < cases[i].visitors; visitor++)
            upsert(&loaded, visitor, UINT64_C(1) << 20);
        expect_at_home(&loaded, 0, cases[i].visitors, cases[i].percent);
        close_table(&loaded);
    }
}

/* No visitor is refused while visitors come and go either: each stays for the same time, 90 % of
 * the words are in use at any time, and expired ones are only reused, never swept. */
static void nobody_is_refused_as_visitors_change(void **state)
{
    (void)state;
    uint64_t seed = random_seed("change");
    const uint64_t words = 20000, start = UINT64_C(1) << 20;

    for (unsigned run = 0; run < 4; run++) {
        struct loaded loaded = open_table(words, random_next(&seed));
        for (uint64_t visitor = 0; visitor < words * 10; visitor++) {
            uint64_t now = start + visitor * EXPIRY / (words * 9 / 10);
            if (upsert(&loaded, visitor, now).full)
                fail_msg("visitor %llu refused", (unsigned long long)visitor);
        }
        uint64_t present = words * 9 / 10;
        expect_at_home(&loaded, words * 10 - present, words * 10, 60);
        close_table(&loaded);
    }
}

/* Four times as many visitors as there are slots: each is in the table or was refused, none is
 * lost. */
static void overflow_is_counted_and_loses_nobody(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 40, 1000, 20000};
    uint64_t seed = random_seed("overflow");

    for (size_t i = 0; i < LENGTH(sizes); i++) {
        struct loaded loaded = open_table(sizes[i], random_next(&seed));
        const uint64_t slots = loaded.table.pairs * TABLE_PAIR_WORDS, visitors = slots * 4;
        const uint64_t now = UINT64_C(9) << 20;
        bool *refused = calloc(visitors, sizeof(*refused));
        uint64_t full = 0, used = 0, word;
        assert_non_null(refused);
        for (uint64_t visitor = 0; visitor < visitors; visitor++)
            full += refused[visitor] = upsert(&loaded, visitor, now).full;
        assert_int_equal(loaded.moved, visitors - full);
        for (uint64_t slot = 0; slot < slots; slot++)
            used += loaded.table.words[slot] != 0;
        assert_int_equal(used, visitors - full);
        assert_true(used * 100 >= slots * 97);
        for (uint64_t visitor = 0; visitor < visitors; visitor++)
            if (refused[visitor] != !table_find(&loaded.table, key_of(&loaded, visitor), &word))
                fail_msg("visitor %llu was %s", (unsigned long long)visitor,
                         refused[visitor] ? "refused, but is there" : "taken, but is lost");
        /* A second heartbeat of each changes nothing except for those who still find no slot. */
        for (uint64_t visitor = 0; visitor < visitors; visitor++)
            assert_true(upsert(&loaded, visitor, now + 1).full == refused[visitor]);
        assert_int_equal(loaded.moved, visitors - full);
        free(refused);
        close_table(&loaded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_sized_for_their_words),
        cmocka_unit_test(nobody_is_refused_within_the_size),
        cmocka_unit_test(nobody_is_refused_for_those_who_went),
        cmocka_unit_test(most_stand_at_home),
        cmocka_unit_test(nobody_is_refused_as_visitors_change),
        cmocka_unit_test(overflow_is_counted_and_loses_nobody),
    };
    return cmocka_run_group_tests_name("table_load", tests, NULL, NULL);
}

/* test_pending.c - pending.h: groups advance step by step and are found. */
#include "../support/unit.h"

#include "core/table_sweep.h"
#include "pending.h"

#define PAIRS 4096

struct fixture {
    struct table table;
    struct pending pending;
    uint64_t seed;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    fixture->table = (struct table){
        .pairs = PAIRS, .expiry = 4000, .lone_writer = true, .longest = 3600, .enter_age = 300};
    fixture->table.words = aligned_alloc(128, sizeof(uint64_t) * PAIRS * TABLE_PAIR_WORDS);
    assert_non_null(fixture->table.words);
    table_clear(&fixture->table);
    fixture->seed = random_seed("pending");
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    free(fixture->table.words);
    free(fixture);
    return 0;
}

#define PENDING_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Queue a new key and store its word in a free slot, 0 to 31 in search order; 32: nowhere. Returns
 * the slot that the queue has to find. */
static uint64_t *queue_key(struct fixture *fixture, unsigned place)
{
    struct pending *pending = &fixture->pending;
    struct table_key key;
    uint64_t *slot;

    do {
        struct hash128 hash = {random_next(&fixture->seed), random_next(&fixture->seed)};
        key = table_key(hash, PAIRS);
        slot = &table_pair(&fixture->table, key.pair[place / 16 % 2])[place % 16];
    } while (*slot);
    pending->keys[pending->queued++ % PENDING_MAX] = key;
    if (place == 32)
        return NULL;
    *slot = table_word(key.fingerprint, 1 << 20);
    return place % 16 / 8 == table_home(key.fingerprint) / 8 ? slot : NULL;
}

static void expect_group(const struct fixture *fixture, unsigned group, uint64_t *const *expected)
{
    for (unsigned i = 0; i < pending_size(&fixture->pending, group); i++)
        if (fixture->pending.slots[pending_first(group) + i] != expected[i])
            fail_msg("update %u of group %u is said to stand at %p, not %p", i, group,
                     (void *)fixture->pending.slots[pending_first(group) + i], (void *)expected[i]);
}

/* Words at home in either pair are found; the rest is left to table_upsert. */
static void homes_are_found(void **state)
{
    struct fixture *fixture = *state;
    struct pending *pending = &fixture->pending;

    for (unsigned queued = 1; queued <= PENDING_MAX; queued++) {
        uint64_t *expected[PENDING_MAX];
        table_clear(&fixture->table);
        for (unsigned i = 0; i < queued; i++)
            expected[i] = queue_key(fixture, (unsigned)(random_next(&fixture->seed) % 33));
        unsigned groups = (queued + PENDING_GROUP - 1) / PENDING_GROUP;
        assert_int_equal(pending_advance(pending, &fixture->table, true), groups);
        for (unsigned group = 0; group < groups; group++)
            expect_group(fixture, group, &expected[group * PENDING_GROUP]);
        pending_clear(pending);
        assert_int_equal(pending->queued, 0);
        assert_int_equal(pending_advance(pending, &fixture->table, true), 0);
    }
}

/* A group is ready when it and three more are full. Updates queued meanwhile don't disturb it,
 * although places are reused. */
static void groups_follow_each_other(void **state)
{
    struct fixture *fixture = *state;
    struct pending *pending = &fixture->pending;
    uint64_t *expected[PENDING_MAX];

    for (unsigned group = 0; group < 50; group++) {
        for (unsigned i = 0; i < PENDING_GROUP; i++)
            expected[pending_first(group) + i] =
                queue_key(fixture, (unsigned)(random_next(&fixture->seed) % 33));
        unsigned ready = pending_advance(pending, &fixture->table, false);
        assert_int_equal(ready, group < 3 ? 0 : group - 2);
        for (; pending->applied < ready; pending->applied++)
            expect_group(fixture, pending->applied, &expected[pending_first(pending->applied)]);
    }
    /* The rest at once, with a partial group. */
    queue_key(fixture, 32);
    assert_int_equal(pending_size(pending, 50), 1);
    assert_int_equal(pending_advance(pending, &fixture->table, true), 51);
    assert_null(pending->slots[pending_first(50)]);
}

/* A found slot is a hint: changes between two steps do no harm. */
static void words_may_move_between_steps(void **state)
{
    struct fixture *fixture = *state;
    struct pending *pending = &fixture->pending;
    uint64_t *slot = NULL;

    while (!slot) {
        pending_clear(pending);
        for (unsigned i = 0; i < PENDING_GROUP; i++)
            slot = queue_key(fixture, 0);
    }
    struct table_key key = pending->keys[PENDING_GROUP - 1];
    assert_int_equal(pending_advance(pending, &fixture->table, false), 0);
    assert_int_equal(pending->fetched, 1);
    assert_int_equal(pending->located, 0);
    *slot = 0;
    uint64_t *second = table_home_line(&fixture->table, key, 1);
    *second = table_word(key.fingerprint, 1 << 20);
    assert_int_equal(pending_advance(pending, &fixture->table, true), 1);
    assert_ptr_equal(pending->slots[PENDING_GROUP - 1], second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PENDING_TEST(homes_are_found),
        PENDING_TEST(groups_follow_each_other),
        PENDING_TEST(words_may_move_between_steps),
    };
    return cmocka_run_group_tests_name("pending", tests, NULL, NULL);
}

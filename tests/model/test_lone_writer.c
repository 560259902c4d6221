/* test_lone_writer.c - the real table.h with a lone writer, and sweeps in between.
 *
 * Before any access to a shared word the other one may run, the sweep at the writer's tick or at a
 * later one: in one thread and repeatable by TEST_SEED. A model knows what must be in the table.
 */
#include "core/atomics.h"

static void interrupt(void);

#undef atomic_load_relaxed
#undef atomic_store_relaxed
#define atomic_swap_if(word, expected, desired) \
    (interrupt(), (atomic_swap_if)(word, expected, desired))
#define atomic_load_relaxed(pointer) (interrupt(), __atomic_load_n(pointer, __ATOMIC_RELAXED))
#define atomic_store_relaxed(pointer, value) \
    (interrupt(), __atomic_store_n(pointer, value, __ATOMIC_RELAXED))

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../support/update.h"
#include "core/table_sweep.h"
#include "fixture.h"
#include "random_source.h"

#define PAIRS      2
#define WORDS      (PAIRS * TABLE_PAIR_WORDS)
#define EXPIRY     16
#define AHEAD      3
#define TICKS      4096 /* a game's; ticks count from 0 */
#define KEYS       12   /* few enough that no pair is ever full */
#define OPERATIONS 200

enum running {
    NOTHING, /* that anything may interrupt */
    OPERATION,
    SWEEP,
};

struct game {
    _Alignas(128) uint64_t words[WORDS];
    struct table table;
    struct random_source random;
    enum running running;
    bool is_inside; /* inside the other one */
    uint64_t now;
    uint64_t last[KEYS];   /* the tick of the last heartbeat; 0: none, or left */
    int64_t moves[TICKS];  /* sums, by tick */
    uint64_t *hints[KEYS]; /* where the keys once were */
    uint64_t seed;
    uint64_t sweeps, swept;
};

static struct game game;

static struct table_key key_of(unsigned number)
{
    struct hash128 hash = {(uint64_t)(number + 1) << 32, number % 2 ? UINT64_C(1) << 31 : 0};
    return table_key(hash, PAIRS);
}

static unsigned used_words(void)
{
    unsigned used = 0;

    for (unsigned i = 0; i < WORDS; i++)
        used += game.words[i] != 0;
    return used;
}

static void record_move(void *context, uint64_t tick, int delta)
{
    (void)context;
    game.moves[tick] += delta;
}

/* Do a heartbeat or a leave, in the table and in the model. */
static void operate(unsigned key)
{
    bool is_leave = random_one_in(&game.random, 4);
    struct table_outcome outcome = {0};

    if (is_leave)
        table_leave(&game.table, key_of(key), game.now, record_move, NULL);
    else
        outcome = update_at(&game.table, game.hints[key], key_of(key), game.now, record_move, NULL);
    game.last[key] = is_leave ? 0 : game.now;
    game.hints[key] = locate(&game.table, key_of(key));
    if (outcome.full || outcome.duplicates || outcome.inserted > 1)
        fail_msg("TEST_SEED=%llu: full %d, duplicates %u, inserted %u",
                 (unsigned long long)game.seed, outcome.full, outcome.duplicates, outcome.inserted);
}

static void sweep(void)
{
    unsigned before = used_words();

    table_sweep(&game.table, 0, PAIRS, game.now + random_below(&game.random, AHEAD),
                &(struct table_swept){0});
    game.sweeps++;
    game.swept += before > used_words() ? before - used_words() : 0;
}

static void run(enum running what)
{
    game.running = what;
    if (what == SWEEP)
        sweep();
    else
        operate(random_below(&game.random, KEYS));
}

static void interrupt(void)
{
    enum running outer = game.running;

    if (outer == NOTHING || game.is_inside || !random_one_in(&game.random, 8))
        return;
    game.is_inside = true;
    run(outer == SWEEP ? OPERATION : SWEEP);
    game.is_inside = false;
    game.running = outer;
}

/* A sweep may have been AHEAD - 1 ticks ahead. */
static void judge(unsigned key)
{
    uint64_t word = 0;
    unsigned copies = 0;

    for (unsigned i = 0; i < WORDS; i++) {
        if (table_matches(game.words[i], key_of(key).fingerprint)) {
            copies++;
            word = game.words[i];
        }
    }
    unsigned least = game.last[key] && game.now - game.last[key] < EXPIRY - AHEAD;
    if (copies > 1 || copies < least || (copies && !game.last[key]))
        fail_msg("TEST_SEED=%llu: %u copies of key %u", (unsigned long long)game.seed, copies, key);
    if (copies && (word & TABLE_TICK_MASK) != game.last[key])
        fail_msg("TEST_SEED=%llu: key %u at tick %llu, not %llu", (unsigned long long)game.seed,
                 key, (unsigned long long)(word & TABLE_TICK_MASK),
                 (unsigned long long)game.last[key]);
}

/* Judge the moves of ticks whose words no sweep has freed. */
static void judge_moves(void)
{
    for (uint64_t tick = game.now - (EXPIRY - AHEAD - 1); tick <= game.now; tick++) {
        int64_t found = 0;
        for (unsigned key = 0; key < KEYS; key++)
            found += game.last[key] == tick;
        if (game.moves[tick] != found)
            fail_msg("TEST_SEED=%llu: %lld moved to tick %llu of %llu, where %lld are",
                     (unsigned long long)game.seed, (long long)game.moves[tick],
                     (unsigned long long)tick, (unsigned long long)game.now, (long long)found);
    }
}

static void play_game(uint64_t seed)
{
    memset(game.words, 0, sizeof(game.words));
    memset(game.last, 0, sizeof(game.last));
    memset(game.moves, 0, sizeof(game.moves));
    memset(game.hints, 0, sizeof(game.hints));
    game.seed = game.random.state = seed;
    game.now = 1000;
    for (unsigned i = 0; i < OPERATIONS; i++) {
        game.now += random_one_in(&game.random, 3) ? random_below(&game.random, 4) : 0;
        run(random_one_in(&game.random, 2) ? SWEEP : OPERATION);
        game.running = NOTHING;
        for (unsigned key = 0; key < KEYS; key++)
            judge(key);
        judge_moves();
    }
}

static void sweeps_in_between_change_nothing(void **state)
{
    double end = fixture_seconds() + fixture_budget(1);
    uint64_t seed = random_seed(), games = 0;

    (void)state;
    game.table = (struct table){.words = game.words,
                                .pairs = PAIRS,
                                .expiry = EXPIRY,
                                .longest = EXPIRY,
                                .enter_age = 300,
                                .lone_writer = true};
    while (games % 64 || fixture_seconds() < end)
        play_game(seed + games++);
    print_message("%llu games, %llu sweeps freed %llu words, from TEST_SEED=%llu\n",
                  (unsigned long long)games, (unsigned long long)game.sweeps,
                  (unsigned long long)game.swept, (unsigned long long)seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sweeps_in_between_change_nothing),
    };

    return cmocka_run_group_tests_name("lone_writer", tests, NULL, NULL);
}

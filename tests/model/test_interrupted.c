/* test_interrupted.c - the real table.h, with other writers' whole operations in between.
 *
 * Before any access to a shared word the running operation may be interrupted by another one, which
 * may be interrupted in turn: thousands of interleavings that threads reach once in years, in one
 * thread and repeatable by TEST_SEED.
 */
#include "core/atomics.h"

static void interrupt(void);

#undef atomic_load_relaxed
#undef atomic_load_ordered
#define atomic_load_relaxed(pointer) (interrupt(), __atomic_load_n(pointer, __ATOMIC_RELAXED))
#define atomic_load_ordered(pointer) (interrupt(), __atomic_load_n(pointer, __ATOMIC_SEQ_CST))
#define atomic_swap_if(word, expected, desired) \
    (interrupt(), (atomic_swap_if)(word, expected, desired))

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../support/update.h"
#include "fixture.h"
#include "random_source.h"

#define PAIRS          2
#define WORDS          (PAIRS * TABLE_PAIR_WORDS)
#define TICK           1000
#define TICKS          4   /* that operations may have */
#define EXPIRY         400 /* never reached here */
#define OPERATIONS_MAX 10
#define DEPTH_MAX      4
#define KEYS           4 /* the first is judged; the others change which slots are free */

struct operation {
    unsigned key;
    bool is_leave;
    uint64_t now;
    unsigned began, ended; /* in the order of all starts and ends */
    struct table_outcome outcome;
    int cleared; /* words that a leave cleared */
};

struct game {
    _Alignas(128) uint64_t words[WORDS];
    struct table table;
    struct random_source random;
    struct operation operations[OPERATIONS_MAX];
    unsigned count, depth, moment, one_in;
    int moves[TICKS]; /* of the first key */
    uint64_t *hint;   /* where it once was */
    uint64_t seed;
    uint64_t interruptions, duplicates;
};

static struct game game;

/* Record a move of an operation, which is `context`. */
static void record_move(void *context, uint64_t tick, int delta)
{
    struct operation *operation = context;

    if (operation->key == 0 && tick - TICK < TICKS)
        game.moves[tick - TICK] += delta;
    operation->cleared += operation->is_leave && delta < 0;
}

static struct table_key key_of(unsigned number)
{
    struct hash128 hash = {(uint64_t)(number + 1) << 32, number % 2 ? UINT64_C(1) << 31 : 0};
    return table_key(hash, PAIRS);
}

static void operate(unsigned key, bool is_leave)
{
    struct operation *operation = &game.operations[game.count++];

    *operation = (struct operation){
        .key = key,
        .is_leave = is_leave,
        .now = TICK + random_below(&game.random, TICKS),
        .began = game.moment++,
    };
    if (is_leave)
        table_leave(&game.table, key_of(key), operation->now, record_move, operation);
    else
        operation->outcome = update_at(&game.table, key ? NULL : game.hint, key_of(key),
                                       operation->now, record_move, operation);
    if (random_one_in(&game.random, 2))
        game.hint = locate(&game.table, key_of(0));
    operation->ended = game.moment++;
}

static void interrupt(void)
{
    if (game.depth == 0 || game.depth >= DEPTH_MAX || !random_one_in(&game.random, game.one_in))
        return;
    game.depth++;
    for (unsigned more = random_between(&game.random, 1, 3); more; more--) {
        if (game.count == OPERATIONS_MAX)
            break;
        game.interruptions++;
        unsigned key = random_one_in(&game.random, 2) ? 0 : random_below(&game.random, KEYS);
        operate(key, random_one_in(&game.random, 3));
    }
    game.depth--;
}

/* Play with a few free slots; the others are filled for good by other keys. */
static void play_game(uint64_t seed)
{
    game.seed = game.random.state = seed;
    game.count = game.moment = 0;
    game.one_in = random_between(&game.random, 4, 80);
    memset(game.moves, 0, sizeof(game.moves));
    game.hint = NULL;
    for (unsigned i = 0; i < WORDS; i++)
        game.words[i] = table_word((uint64_t)(100 + i) << 32, TICK);
    for (unsigned free = random_between(&game.random, KEYS + 2, 12); free; free--)
        game.words[random_below(&game.random, WORDS)] = 0;
    game.depth = 1;
    while (game.count < 3)
        operate(0, random_one_in(&game.random, 4));
    game.depth = 0;
}

/* ---- what must be true in the end ---------------------------------------------------------- */

static void fail_game(const char *what, uint64_t got, uint64_t want)
{
    for (unsigned i = 0; i < game.count; i++) {
        const struct operation *operation = &game.operations[i];
        print_message("  from %u to %u: %s of key %u at tick %u%s\n", operation->began,
                      operation->ended, operation->is_leave ? "leave" : "heartbeat", operation->key,
                      (unsigned)(operation->now - TICK), operation->outcome.full ? ", full" : "");
    }
    fail_msg("TEST_SEED=%llu: %s %llu, not %llu", (unsigned long long)game.seed, what,
             (unsigned long long)got, (unsigned long long)want);
}

static void judge_key(unsigned key)
{
    uint64_t tick = 0, newest = 0;
    unsigned copies = 0, leaves = 0, last_leave = 0, last_heartbeat = 0;
    int balance = 0;
    bool is_sure = false, has_late_leave = false;
    bool is_refused_for_another = false; /* whose copy it has cleared */

    for (unsigned i = 0; i < WORDS; i++) {
        if (table_matches(game.words[i], key_of(key).fingerprint)) {
            copies++;
            tick = game.words[i] & TABLE_TICK_MASK;
        }
    }
    for (unsigned i = 0; i < game.count; i++) {
        const struct operation *operation = &game.operations[i];
        if (operation->key != key)
            continue;
        unsigned *last = operation->is_leave ? &last_leave : &last_heartbeat;
        *last = operation->ended > *last ? operation->ended : *last;
        leaves += operation->is_leave;
        balance += (int)operation->outcome.inserted - (int)operation->outcome.duplicates -
                   operation->cleared;
        game.duplicates += operation->outcome.duplicates;
    }
    /* Those that started after all leaves had ended decide; without leaves, all. */
    for (unsigned i = 0; i < game.count; i++) {
        const struct operation *operation = &game.operations[i];
        if (operation->key != key)
            continue;
        is_refused_for_another |= operation->outcome.full && operation->outcome.duplicates;
        if (operation->outcome.full)
            continue;
        has_late_leave |= operation->is_leave && operation->began > last_heartbeat;
        if (operation->is_leave || (leaves && operation->began < last_leave))
            continue;
        is_sure = true;
        newest = operation->now > newest ? operation->now : newest;
    }
    if (copies > 1)
        fail_game("copies:", copies, 1);
    if (is_sure && copies == 0 && !is_refused_for_another)
        fail_game("lost; copies:", copies, 1);
    if (is_sure && !is_refused_for_another && (leaves ? tick < newest : tick != newest))
        fail_game("its tick:", tick - TICK, newest - TICK);
    if (has_late_leave && copies)
        fail_game("copies after a leave:", copies, 0);
    if (balance != (int)copies)
        fail_game("inserted - duplicates - cleared:", (uint64_t)balance, copies);
}

static void judge_moves(void)
{
    for (unsigned tick = 0; tick < TICKS; tick++) {
        int words = 0;
        for (unsigned i = 0; i < WORDS; i++)
            words += table_matches(game.words[i], key_of(0).fingerprint) &&
                     (game.words[i] & TABLE_TICK_MASK) == TICK + tick;
        if (words != game.moves[tick])
            fail_game("moves of a tick:", (uint64_t)game.moves[tick], (uint64_t)words);
    }
}

static void interrupted_operations_end_as_one(void **state)
{
    double end = fixture_seconds() + fixture_budget(2);
    uint64_t seed = random_seed(), games = 0;

    (void)state;
    game.table = (struct table){
        .words = game.words, .pairs = PAIRS, .expiry = EXPIRY, .longest = EXPIRY, .enter_age = 300};
    while (games % 256 || fixture_seconds() < end) {
        play_game(seed + games++);
        for (unsigned key = 0; key < KEYS; key++)
            judge_key(key);
        judge_moves();
    }
    print_message("%llu games, %llu interruptions, %llu duplicates, from TEST_SEED=%llu\n",
                  (unsigned long long)games, (unsigned long long)game.interruptions,
                  (unsigned long long)game.duplicates, (unsigned long long)seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interrupted_operations_end_as_one),
    };

    return cmocka_run_group_tests_name("interrupted", tests, NULL, NULL);
}

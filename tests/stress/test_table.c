/* test_table.c - racing inserts, refreshes and leaves of few keys in the smallest table.
 *
 * TEST_SEED=N repeats the operations, though not the order they are interleaved in. */
#include "pauses.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../support/update.h"
#include "core/table_sweep.h"
#include "crew.h"
#include "fixture.h"
#include "random_source.h"

#define PAIRS      2
#define WORDS      (PAIRS * TABLE_PAIR_WORDS)
#define TICK       100000 /* of the first round */
#define EXPIRY     400
#define OLD        5   /* ages of words at the beginning of a round */
#define VERY_OLD   310 /* its next heartbeat is an enter */
#define MOVES_MAX  256
#define THREAD_MAX 4

struct move_log {
    unsigned count;
    uint64_t tick[MOVES_MAX];
    int delta[MOVES_MAX];
};

static void log_move(void *context, uint64_t tick, int delta)
{
    struct move_log *log = context;

    if (log->count < MOVES_MAX) {
        log->tick[log->count] = tick;
        log->delta[log->count++] = delta;
    }
}

static struct table_key key_of(unsigned number)
{
    struct hash128 hash = {(uint64_t)(number + 1) << 32, number * UINT64_C(0x9e3779b97f4a7c15)};
    return table_key(hash, PAIRS);
}

static unsigned copies_of(const uint64_t *words, unsigned key, uint64_t *ret_word)
{
    unsigned copies = 0;

    for (unsigned i = 0; i < WORDS; i++) {
        if (table_matches(words[i], key_of(key).fingerprint)) {
            copies++;
            *ret_word = words[i];
        }
    }
    return copies;
}

/* ---- one shared key, in rounds ------------------------------------------------------------ */

#define SHARED_KEY     0
#define PRIVATE_KEY(n) (1 + (n)) /* of one thread only, to move the free slots about */
#define OTHER_KEY(n)   (10 + (n))

enum operation { NOTHING, HEARTBEAT, LEAVE };

struct part {
    enum operation before, shared, after; /* the first and the last on the private key */
    uint64_t now;
    uint64_t *hint;   /* where the shared key was before */
    bool has_private; /* in the end */
    struct table_outcome outcome;
    struct move_log log;
    unsigned pauses_one_in;
    unsigned cleared; /* words that this thread's leaves of the shared key cleared */
};

struct round_test {
    _Alignas(128) uint64_t words[WORDS];
    uint64_t before[WORDS];
    struct table table;
    struct random_source random;
    struct part parts[THREAD_MAX];
    unsigned threads;
    bool with_leaves;
    uint64_t now, seed, round;
    double end;
    bool is_over;
    uint64_t duplicates;
};

static struct round_test round_test;

static void fail_round(const struct round_test *test, const char *what, uint64_t got, uint64_t want)
{
    crew_fail("%u threads, TEST_SEED=%llu, round %llu: %s %llu, not %llu", test->threads,
              (unsigned long long)test->seed, (unsigned long long)test->round, what,
              (unsigned long long)got, (unsigned long long)want);
}

/* Fill in other keys' words, some fresh, some expired, and leave some slots free. */
static void fill_table(struct round_test *test)
{
    unsigned fresh_one_in = random_between(&test->random, 1, 3);

    for (unsigned i = 0; i < WORDS; i++) {
        unsigned age = random_below(&test->random, 100);
        bool is_fresh = random_below(&test->random, 4) >= fresh_one_in;
        if (is_fresh || i < 12 || random_one_in(&test->random, 3))
            test->words[i] = table_word(key_of(OTHER_KEY(i)).fingerprint,
                                        test->now - (is_fresh ? age : EXPIRY + age));
        else
            test->words[i] = 0;
    }
    for (unsigned i = random_between(&test->random, THREAD_MAX, 10); i; i--)
        test->words[random_below(&test->random, WORDS)] = 0;
    if (random_one_in(&test->random, 2)) {
        const unsigned ages[] = {0, OLD, VERY_OLD, EXPIRY + 3};
        unsigned age = ages[random_below(&test->random, test->with_leaves ? 3 : 4)];
        test->words[random_below(&test->random, WORDS)] =
            table_word(key_of(SHARED_KEY).fingerprint, test->now - age);
    }
}

static void begin_round(struct round_test *test)
{
    const unsigned pauses[] = {0, 4, 12};

    test->round++;
    test->now += random_one_in(&test->random, 50) ? UINT64_C(1) << 18 : 1;
    fill_table(test);
    memcpy(test->before, test->words, sizeof(test->words));
    for (unsigned i = 0; i < test->threads; i++) {
        struct part *part = &test->parts[i];
        part->before = random_one_in(&test->random, 4) ? HEARTBEAT : NOTHING;
        part->after = (enum operation)random_below(&test->random, 3);
        part->shared = test->with_leaves && random_one_in(&test->random, 3) ? LEAVE : HEARTBEAT;
        part->now = test->now + random_below(&test->random, 2);
        part->hint = locate(&test->table, key_of(SHARED_KEY));
        part->log.count = 0;
        part->pauses_one_in = pauses[random_below(&test->random, 3)];
        part->cleared = 0;
        part->outcome = (struct table_outcome){0};
    }
}

static struct table_outcome operate(struct round_test *test, struct part *part,
                                    enum operation operation, unsigned key)
{
    struct table_outcome outcome = {0};

    if (operation == HEARTBEAT)
        outcome = update_at(&test->table, key == SHARED_KEY ? part->hint : NULL, key_of(key),
                            part->now, log_move, &part->log);
    if (operation == LEAVE)
        table_leave(&test->table, key_of(key), part->now, log_move, &part->log);
    return outcome;
}

static void play_part(struct round_test *test, unsigned number)
{
    struct part *part = &test->parts[number];
    unsigned mine = PRIVATE_KEY(number);
    bool is_full = false;

    if (part->before)
        is_full = operate(test, part, part->before, mine).full;
    part->has_private = part->before == HEARTBEAT && !is_full;
    unsigned moves = part->log.count;
    part->outcome = operate(test, part, part->shared, SHARED_KEY);
    if (part->shared == LEAVE)
        part->cleared = part->log.count - moves;
    if (part->after)
        is_full = operate(test, part, part->after, mine).full;
    if (part->after)
        part->has_private = part->after == HEARTBEAT && !is_full;
}

/* Check that a tick's words are the earlier ones plus those that moved there less those that moved
 * away. Expired words are in no bucket. */
static void check_tick(struct round_test *test, uint64_t tick)
{
    int expected = 0, found = 0;

    for (unsigned i = 0; i < WORDS; i++) {
        expected += test->before[i] && ((test->before[i] ^ tick) & TABLE_TICK_MASK) == 0;
        found += test->words[i] && ((test->words[i] ^ tick) & TABLE_TICK_MASK) == 0;
    }
    for (unsigned i = 0; i < test->threads; i++) {
        const struct move_log *log = &test->parts[i].log;
        for (unsigned j = 0; j < log->count; j++)
            expected += log->tick[j] == tick ? log->delta[j] : 0;
    }
    if (found != expected)
        fail_round(test, "the moves add up to a count of", (uint64_t)expected, (uint64_t)found);
}

static void check_moves(struct round_test *test)
{
    const unsigned ages[] = {OLD, VERY_OLD};

    check_tick(test, test->now + 1);
    check_tick(test, test->now);
    for (unsigned i = 0; i < sizeof(ages) / sizeof(ages[0]); i++)
        check_tick(test, test->now - ages[i]);
    for (unsigned i = 0; i < test->threads; i++)
        for (unsigned j = 0; j < test->parts[i].log.count; j++)
            if (test->parts[i].log.tick[j] + EXPIRY > test->now + 1)
                check_tick(test, test->parts[i].log.tick[j]);
}

/* Check that no slot of a present visitor was reused. */
static void check_others(struct round_test *test)
{
    uint64_t word = 0;

    for (unsigned i = 0; i < WORDS; i++) {
        bool is_other = test->before[i] >> 32 >= OTHER_KEY(0) + 1;
        bool is_fresh = table_age(test->before[i], test->now + 1) < EXPIRY;
        if (is_other && is_fresh && test->words[i] != test->before[i])
            fail_round(test, "a present word was taken: slot", i, WORDS);
    }
    for (unsigned i = 0; i < test->threads; i++) {
        unsigned copies = copies_of(test->words, PRIVATE_KEY(i), &word);
        if (copies != test->parts[i].has_private)
            fail_round(test, "copies of a private key:", copies, test->parts[i].has_private);
    }
}

static void check_shared(struct round_test *test)
{
    uint64_t initial = 0, final = 0, newest = 0;
    unsigned initially = copies_of(test->before, SHARED_KEY, &initial);
    unsigned copies = copies_of(test->words, SHARED_KEY, &final);
    unsigned leaves = 0, inserted = 0, entered = 0, heartbeats = 0;

    for (unsigned i = 0; i < test->threads; i++) {
        const struct part *part = &test->parts[i];
        bool counts = part->shared == HEARTBEAT && !part->outcome.full;
        leaves += part->shared == LEAVE;
        heartbeats += counts;
        inserted += part->outcome.inserted - part->outcome.duplicates - part->cleared;
        entered += part->outcome.inserted - part->outcome.duplicates + part->outcome.entered;
        if (counts && part->now > newest)
            newest = part->now;
        test->duplicates += part->outcome.duplicates;
    }
    if (copies > 1)
        fail_round(test, "copies of the key:", copies, 1);
    /* An expired word is refreshed, or its slot reused: both are right. */
    bool is_expired = initially && table_age(initial, test->now) >= EXPIRY;
    if (copies != initially + inserted && !(is_expired && copies == inserted))
        fail_round(test, "inserted less cleared, and those before, are", initially + inserted,
                   copies);
    if (leaves || (is_expired && heartbeats == 0))
        return;
    if (copies != (initially || heartbeats))
        fail_round(test, "copies of the key, without a leave:", copies, initially || heartbeats);
    if (heartbeats && (final & TABLE_TICK_MASK) != (newest & TABLE_TICK_MASK))
        fail_round(test, "its tick is", final & TABLE_TICK_MASK, newest & TABLE_TICK_MASK);
    bool is_new = !initially || table_age(initial, test->now) >= TABLE_ENTER_AGE - 1;
    if (heartbeats && entered != is_new)
        fail_round(test, "enters:", entered, is_new);
}

static void play_rounds(void *context, unsigned number)
{
    struct round_test *test = context;

    for (;;) {
        if (number == 0) {
            test->is_over = fixture_seconds() > test->end || crew_has_failed();
            begin_round(test);
        }
        crew_meet(test->threads);
        if (crew_has_failed() || test->is_over)
            return;
        pauses_begin(test->seed + test->round * THREAD_MAX + number,
                     test->parts[number].pauses_one_in);
        play_part(test, number);
        pauses_begin(0, 0);
        crew_meet(test->threads);
        if (number == 0) {
            check_shared(test);
            check_others(test);
            check_moves(test);
        }
    }
}

static void run_rounds(unsigned threads, bool with_leaves)
{
    const struct crew_job jobs[] = {{play_rounds, threads}, {0}};

    memset(&round_test, 0, sizeof(round_test));
    round_test.table = (struct table){.words = round_test.words,
                                      .pairs = PAIRS,
                                      .expiry = EXPIRY,
                                      .longest = EXPIRY,
                                      .enter_age = TABLE_ENTER_AGE};
    round_test.threads = threads;
    round_test.with_leaves = with_leaves;
    round_test.now = TICK;
    round_test.seed = round_test.random.state = random_seed();
    round_test.end = fixture_seconds() + fixture_budget(1);
    crew_run(jobs, &round_test);
    print_message("%u threads%s: %llu rounds, %llu duplicates, TEST_SEED=%llu\n", threads,
                  with_leaves ? ", leaves" : "", (unsigned long long)round_test.round,
                  (unsigned long long)round_test.duplicates, (unsigned long long)round_test.seed);
}

static void heartbeats_of_one_visitor_race(void **state)
{
    (void)state;
    for (unsigned threads = 2; threads <= THREAD_MAX; threads++)
        run_rounds(threads, false);
}

static void heartbeats_and_leaves_of_one_visitor_race(void **state)
{
    (void)state;
    for (unsigned threads = 2; threads <= THREAD_MAX; threads++)
        run_rounds(threads, true);
}

/* ---- a few keys, without rounds ------------------------------------------------------------ */

#define FREE_KEYS   6  /* key 0 never leaves */
#define FREE_EXPIRY 16 /* in ticks, which pass as fast as the threads make them */
#define TICKS_KEPT  4096

struct free_test {
    _Alignas(128) uint64_t words[WORDS];
    struct table table;
    uint64_t now;
    uint64_t seed;
    unsigned threads;
    bool expires;
    double end;
    struct free_part {
        struct {
            uint64_t tick;
            int64_t sum;
        } moves[TICKS_KEPT]; /* at a tick's number modulo theirs */
        int64_t inserted, cleared;
        uint64_t operations;
        struct random_source random;
        bool is_leaving;
        uint64_t *hints[FREE_KEYS]; /* where the keys were last time */
    } parts[THREAD_MAX];
};

static struct free_test free_test;

static void count_move(void *context, uint64_t tick, int delta)
{
    struct free_part *part = context;

    if (part->moves[tick % TICKS_KEPT].tick < tick) {
        part->moves[tick % TICKS_KEPT].tick = tick;
        part->moves[tick % TICKS_KEPT].sum = 0;
    }
    if (part->moves[tick % TICKS_KEPT].tick == tick)
        part->moves[tick % TICKS_KEPT].sum += delta;
    part->cleared += delta < 0 && part->is_leaving;
}

/* Run only the sweep beside a lone writer. */
static void sweep_freely(struct free_test *test)
{
    while (fixture_seconds() < test->end)
        table_sweep(&test->table, 0, PAIRS, atomic_load_relaxed(&test->now),
                    &(struct table_swept){0});
}

static void operate_freely(void *context, unsigned number)
{
    struct free_test *test = context;
    struct free_part *part = &test->parts[number];

    if (test->table.lone_writer && number > 0) {
        sweep_freely(test);
        return;
    }
    pauses_begin(test->seed + 100 + number, 8);
    do { /* at least 64: the time may be over when a thread begins */
        unsigned key = random_below(&part->random, FREE_KEYS);
        if (random_one_in(&part->random, test->expires ? 8 : 1 << 20))
            atomic_add_relaxed(&test->now,
                               1); /* pairs with itself: nothing else is published with it */
        uint64_t now = atomic_load_relaxed(&test->now);
        part->is_leaving = key && random_one_in(&part->random, 3);
        if (part->is_leaving) {
            table_leave(&test->table, key_of(key), now, count_move, part);
            continue;
        }
        struct table_outcome outcome =
            update_at(&test->table, part->hints[key], key_of(key), now, count_move, part);
        part->hints[key] = locate(&test->table, key_of(key));
        part->inserted += (int64_t)outcome.inserted - outcome.duplicates;
        if (number == 0 && test->expires)
            table_sweep(&test->table, 0, PAIRS, now, &(struct table_swept){0});
    } while (++part->operations % 64 || fixture_seconds() < test->end);
}

static void check_free_test(const struct free_test *test)
{
    uint64_t word = 0, last = test->now;
    int64_t alive = 0, inserted = 0;

    for (unsigned key = 0; key < FREE_KEYS; key++) {
        unsigned copies = copies_of(test->words, key, &word);
        if (copies > 1 || (key == 0 && copies == 0 && !test->expires))
            fail_msg("TEST_SEED=%llu: %u copies of key %u", (unsigned long long)test->seed, copies,
                     key);
        alive += copies;
    }
    for (unsigned i = 0; i < test->threads; i++)
        inserted += test->parts[i].inserted - test->parts[i].cleared;
    if (!test->expires && inserted != alive)
        fail_msg("TEST_SEED=%llu: inserted - duplicates - left is %lld, %lld words are there",
                 (unsigned long long)test->seed, (long long)inserted, (long long)alive);
    for (uint64_t tick = last - test->table.expiry + 1; tick <= last; tick++) {
        int64_t moved = 0, found = 0;
        for (unsigned i = 0; i < test->threads; i++)
            if (test->parts[i].moves[tick % TICKS_KEPT].tick == tick)
                moved += test->parts[i].moves[tick % TICKS_KEPT].sum;
        for (unsigned i = 0; i < WORDS; i++)
            found += test->words[i] && ((test->words[i] ^ tick) & TABLE_TICK_MASK) == 0;
        if (moved != found)
            fail_msg("TEST_SEED=%llu: %lld moved to tick %llu of %llu, %lld words are there",
                     (unsigned long long)test->seed, (long long)moved, (unsigned long long)tick,
                     (unsigned long long)last, (long long)found);
    }
}

static void run_freely(unsigned threads, bool expires, bool lone_writer)
{
    const struct crew_job jobs[] = {{operate_freely, threads}, {0}};
    uint64_t operations = 0;

    memset(&free_test, 0, sizeof(free_test));
    free_test.table = (struct table){.words = free_test.words,
                                     .pairs = PAIRS,
                                     .expiry = expires ? FREE_EXPIRY : TICKS_KEPT,
                                     .longest = expires ? FREE_EXPIRY : TICKS_KEPT,
                                     .enter_age = TABLE_ENTER_AGE,
                                     .lone_writer = lone_writer};
    free_test.threads = threads;
    free_test.expires = expires;
    free_test.now = TICK;
    free_test.seed = random_seed();
    for (unsigned i = 0; i < threads; i++)
        free_test.parts[i].random.state = free_test.seed + i;
    free_test.end = fixture_seconds() + fixture_budget(0.5);
    crew_run(jobs, &free_test);
    check_free_test(&free_test);
    for (unsigned i = 0; i < threads; i++)
        operations += free_test.parts[i].operations;
    print_message("%u threads%s%s: %llu operations\n", threads, expires ? ", expiry" : "",
                  lone_writer ? ", one writes" : "", (unsigned long long)operations);
}

static void few_keys_race_freely(void **state)
{
    (void)state;
    for (unsigned threads = 2; threads <= THREAD_MAX; threads++) {
        run_freely(threads, false, false);
        run_freely(threads, true, false);
    }
}

static void a_lone_writer_races_the_sweep(void **state)
{
    (void)state;
    run_freely(2, true, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heartbeats_of_one_visitor_race),
        cmocka_unit_test(heartbeats_and_leaves_of_one_visitor_race),
        cmocka_unit_test(few_keys_race_freely),
        cmocka_unit_test(a_lone_writer_races_the_sweep),
    };

    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}

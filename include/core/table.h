/* table.h - the visitor table: lock-free, written by many, exact. Free of libc.
 *
 * A visitor in a scope is one 64-bit word: fingerprint (44 bits) and tick of their last heartbeat
 * (20 bits). Zero is an empty slot. A key lives in one of two pairs of cache lines, 16 words each,
 * that are always both searched, so there are no tombstones; one compare-and-swap is the whole
 * change of state. Search order: the first pair's 16 slots, then the second's. One line of each
 * pair is a key's home, which is filled first. Of a table just filled, nine of ten keys are in
 * their first pair's home; after long use two of three are. Refreshing these touches no other line.
 *
 * A word that no window counts any more is kept for its visitor's return. An insert that finds no
 * free slot reuses such a word's, and no bucket changes: none with its tick is counted.
 *
 * Ticks are 64-bit seconds in arguments and 20-bit in words. A word's age is a difference modulo
 * 2^20, right as long as no word grows older than 2^19 s: table_sweep ensures that while the
 * collector runs, table_clear after a gap. An age of 2^19 or more therefore means a word written by
 * a worker whose tick is ahead of ours, and counts as age 0.
 *
 * Inserting once. Two racing inserts of one key must end as one word. A thread may consider its
 * insert finished only when a scan of all 32 slots, made after its compare-and-swap, finds exactly
 * one copy, at least as new as its own. If it finds several copies, it raises the first in search
 * order to the newest tick, clears the others (by compare-and-swap on the exact word), and scans
 * again. Swap and scan are sequentially consistent, so of two inserters at least the later one sees
 * both copies. A writer that clears a copy is not finished before a scan finds one at least as new:
 * if a leave removed the first one and a heartbeat came back as the very word that is cleared, the
 * writer inserts it again. If other keys have taken all slots meanwhile, its own heartbeat is
 * refused in the place of the one that is lost.
 *
 * A lone writer races only with the sweep, which turns an expired word into 0. So it swaps words
 * that no window counts, or both would count the slot as theirs, and stores over all others: a
 * locked swap would take a fifth of an update's time.
 */
#ifndef PRESENCE_TABLE_H
#define PRESENCE_TABLE_H

#include "core/atomics.h"
#include "core/hash.h"

#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
#define TABLE_VECTOR_SEARCH 1
#include <emmintrin.h>
#else
#define TABLE_VECTOR_SEARCH 0
#endif

#define TABLE_TICK_BITS        20
#define TABLE_TICK_MASK        ((UINT64_C(1) << TABLE_TICK_BITS) - 1)
#define TABLE_AGE_FUTURE       (UINT64_C(1) << (TABLE_TICK_BITS - 1))
#define TABLE_LINE_WORDS       8                      /* a cache line */
#define TABLE_PAIR_WORDS       (2 * TABLE_LINE_WORDS) /* two neighbouring lines */
#define TABLE_FIRST_PAIR_LIMIT 12  /* words in the first pair before the emptier one is chosen */
#define TABLE_ENTER_AGE        300 /* the most that table_enter_age returns */
#define TABLE_EXPIRY_SLACK     (60 + 32) /* a minute bucket's width, and late publishers */

/* One process's view of the table. `words` is aligned to 128 bytes. */
struct table {
    uint64_t *words;
    uint64_t pairs;     /* 2 to 2^32 - 1 */
    uint64_t expiry;    /* age in seconds at which no bucket counts a word any more */
    bool lone_writer;   /* one thread updates and leaves; only table_sweep may run beside it */
    uint64_t longest;   /* age in seconds at which no window counts a word any more */
    uint64_t enter_age; /* seconds without a heartbeat that make the next one an enter */
};

struct table_key {
    uint64_t fingerprint; /* shifted left by TABLE_TICK_BITS, as in a word; never 0 */
    uint32_t pair[2];     /* its two pairs, which differ */
};

/* The result of an update. `inserted` and `duplicates` are nearly always 0 or 1; summed over all
 * writers, inserted - duplicates is the number of words that were added. */
struct table_outcome {
    uint32_t inserted;   /* words put into free slots */
    uint32_t duplicates; /* copies cleared that racing inserts had left */
    uint32_t taken;      /* of those inserted, how many filled an empty slot */
    bool entered;        /* refreshed a word that was at least the table's enter_age old */
    bool full;           /* refused: no slot was free, and none holds it */
};

/* Change a bucket's count: called after each change of a word, with the tick and +1 or -1. */
typedef void (*table_move)(void *context, uint64_t tick, int delta);

static inline struct table_key table_key(struct hash128 hash, uint64_t pairs)
{
    uint64_t fingerprint = hash.first & ~TABLE_TICK_MASK;
    uint64_t first = ((hash.second & UINT32_MAX) * pairs) >> 32;
    uint64_t second = first + 1 + (((hash.second >> 32) * (pairs - 1)) >> 32);

    return (struct table_key){
        .fingerprint = fingerprint ? fingerprint : UINT64_C(1) << TABLE_TICK_BITS,
        /* no branch, which would be mispredicted half of the time */
        .pair = {(uint32_t)first, (uint32_t)(second - (pairs & -(uint64_t)(second >= pairs)))},
    };
}

static inline uint64_t *table_pair(const struct table *table, uint32_t pair)
{
    return table->words + (uint64_t)pair * TABLE_PAIR_WORDS;
}

/* Return where a key's home begins in each of its pairs: slot 0 or 8, by a bit of the fingerprint.
 * That bit still distinguishes keys, since both lines are always searched. */
static inline unsigned table_home(uint64_t fingerprint)
{
    return (unsigned)(fingerprint >> TABLE_TICK_BITS & 1) * TABLE_LINE_WORDS;
}

/* Return the line that is a key's home in one of its pairs. */
static inline uint64_t *table_home_line(const struct table *table, struct table_key key,
                                        unsigned which)
{
    return table_pair(table, key.pair[which]) + table_home(key.fingerprint);
}

/* Prefetch a key's home in one of its pairs. Always inline: the compiler sees no effect in a
 * function that only prefetches, and drops calls of it. */
static inline __attribute__((always_inline)) void
table_fetch_home(const struct table *table, struct table_key key, unsigned which)
{
    __builtin_prefetch(table_home_line(table, key, which), 1);
}

/* Prefetch the lines of a key's pairs outside its homes. */
static inline __attribute__((always_inline)) void table_fetch_others(const struct table *table,
                                                                     struct table_key key)
{
    const unsigned other = table_home(key.fingerprint) ^ TABLE_LINE_WORDS;

    __builtin_prefetch(table_pair(table, key.pair[0]) + other, 1);
    __builtin_prefetch(table_pair(table, key.pair[1]) + other, 1);
}

static inline uint64_t table_word(uint64_t fingerprint, uint64_t tick)
{
    return fingerprint | (tick & TABLE_TICK_MASK);
}

static inline bool table_matches(uint64_t word, uint64_t fingerprint)
{
    return (word & ~TABLE_TICK_MASK) == fingerprint;
}

/* Return a word's age in seconds; TABLE_AGE_FUTURE or more: it is ahead of `now`. */
static inline uint64_t table_age(uint64_t word, uint64_t now)
{
    return (now - word) & TABLE_TICK_MASK;
}

/* True if the word is at least `least` seconds old, and not from the future. */
static inline bool table_is_old(uint64_t word, uint64_t now, uint64_t least)
{
    uint64_t age = table_age(word, now);
    return age >= least && age < TABLE_AGE_FUTURE;
}

/* Return the slots of a line whose upper 32 bits are the fingerprint's, as a bit each. A hint: the
 * caller loads a candidate again, atomically, before it trusts or changes it. */
static inline uint32_t table_line_candidates(const uint64_t *line, uint64_t fingerprint)
{
    uint32_t mask = 0;
#if TABLE_VECTOR_SEARCH
    const __m128i wanted = _mm_set1_epi32((int)(fingerprint >> 32));
    const __m128 *words = (const __m128 *)(const void *)line;
    __m128i equal[2];

    /* Eight-byte lanes of an aligned load are never torn on x86 (Intel SDM 3A 9.1.1, AMD64 APM 2
     * 7.3.2), and the barrier keeps the compiler from reusing an earlier search's loads. */
    __asm__ volatile("" ::: "memory");
    for (int i = 0; i < 2; i++) {
        __m128 high = _mm_shuffle_ps(words[2 * i], words[2 * i + 1], _MM_SHUFFLE(3, 1, 3, 1));
        equal[i] = _mm_cmpeq_epi32(_mm_castps_si128(high), wanted);
    }
    __m128i narrow = _mm_packs_epi16(_mm_packs_epi32(equal[0], equal[1]), _mm_setzero_si128());
    mask = (uint32_t)_mm_movemask_epi8(narrow);
#else
    for (int i = 0; i < TABLE_LINE_WORDS; i++)
        mask |= (uint32_t)(atomic_load_relaxed(&line[i]) >> 32 == fingerprint >> 32) << i;
#endif
    return mask;
}

/* Return the candidates of a pair, likewise. */
static inline uint32_t table_candidates(const uint64_t *pair, uint64_t fingerprint)
{
    return table_line_candidates(pair, fingerprint) |
           table_line_candidates(pair + TABLE_LINE_WORDS, fingerprint) << TABLE_LINE_WORDS;
}

/* True if a key seems to be at home in one of its pairs. `*ret_hint` is the slot, for
 * table_refresh_at; meaningless if false. */
static inline bool table_locate_home(const struct table *table, struct table_key key,
                                     unsigned which, uint64_t **ret_hint)
{
    uint64_t *line = table_home_line(table, key, which);
    uint32_t mask = table_line_candidates(line, key.fingerprint);

    *ret_hint = &line[__builtin_ctz(mask | 1u << TABLE_LINE_WORDS)];
    return mask != 0;
}

/* Find the first slot of a pair that holds the key, and its word; NULL if none does. */
static inline uint64_t *table_find_in(uint64_t *pair, uint64_t fingerprint, uint64_t *ret_word)
{
    for (uint32_t mask = table_candidates(pair, fingerprint); mask; mask &= mask - 1) {
        uint64_t *slot = &pair[__builtin_ctz(mask)];
        uint64_t word = atomic_load_relaxed(slot); /* relaxed: the swap fails on any later change */
        if (table_matches(word, fingerprint)) {
            *ret_word = word;
            return slot;
        }
    }
    return 0;
}

/* Find the first slot in search order that holds the key, and its word; NULL if none does. Readers
 * may call it on a table that they have mapped read-only. */
static inline uint64_t *table_find(const struct table *table, struct table_key key,
                                   uint64_t *ret_word)
{
    uint64_t *slot = table_find_in(table_pair(table, key.pair[0]), key.fingerprint, ret_word);
    return slot ? slot : table_find_in(table_pair(table, key.pair[1]), key.fingerprint, ret_word);
}

/* Find a key's first free slot in one of its pairs, preferably at home, and its word, and count the
 * free ones: empty, or with a word at least `age` seconds old. */
static inline uint64_t *table_free_slot(const struct table *table, struct table_key key,
                                        unsigned which, uint64_t now, uint64_t age,
                                        uint64_t *ret_word, int *ret_free)
{
    uint64_t *pair = table_pair(table, key.pair[which]), *first = 0;
    const unsigned home = table_home(key.fingerprint);

    *ret_free = 0;
    for (unsigned i = 0; i < TABLE_PAIR_WORDS; i++) {
        uint64_t *slot = &pair[i ^ home];
        uint64_t word = atomic_load_relaxed(slot); /* relaxed: the swap checks the exact word */
        if (word && !table_is_old(word, now, age))
            continue;
        if (!first) {
            first = slot;
            *ret_word = word;
        }
        ++*ret_free;
    }
    return first;
}

/* Choose a slot for a new word, empty or with a word at least `age` seconds old: in the first pair
 * until it is three quarters full, then in the emptier one. NULL if both are full. */
static inline uint64_t *table_choose_slot(const struct table *table, struct table_key key,
                                          uint64_t now, uint64_t age, uint64_t *ret_word)
{
    uint64_t words[2] = {0, 0};
    int free[2];
    uint64_t *slot = table_free_slot(table, key, 0, now, age, &words[0], &free[0]);

    *ret_word = words[0];
    if (free[0] > TABLE_PAIR_WORDS - TABLE_FIRST_PAIR_LIMIT)
        return slot;
    uint64_t *other = table_free_slot(table, key, 1, now, age, &words[1], &free[1]);
    if (free[1] <= free[0])
        return slot;
    *ret_word = words[1];
    return other;
}

/* Every copy of a key that one scan found. */
struct table_copies {
    uint32_t count;
    uint64_t *slot[2 * TABLE_PAIR_WORDS];
    uint64_t word[2 * TABLE_PAIR_WORDS];
};

static inline void table_scan(const struct table *table, struct table_key key,
                              struct table_copies *ret)
{
    ret->count = 0;
    for (int p = 0; p < 2; p++) {
        uint64_t *pair = table_pair(table, key.pair[p]);
        for (int i = 0; i < TABLE_PAIR_WORDS; i++) {
            /* Sequentially consistent: pairs with table_swap of all other inserters. */
            uint64_t word = atomic_load_ordered(&pair[i]);
            if (!table_matches(word, key.fingerprint))
                continue;
            ret->slot[ret->count] = &pair[i];
            ret->word[ret->count++] = word;
        }
    }
}

/* Return a word's tick, given the caller's. */
static inline uint64_t table_tick(uint64_t word, uint64_t now)
{
    uint64_t age = table_age(word, now);
    if (age >= TABLE_AGE_FUTURE)
        return now + TABLE_TICK_MASK + 1 - age;
    return age <= now ? now - age : 0; /* no word is older than the clock */
}

/* Replace `word` by `desired` if it is unchanged. A lone writer checks only what may be swept. */
static inline bool table_swap(const struct table *table, uint64_t *slot, uint64_t word,
                              uint64_t desired, uint64_t now)
{
    if (!table->lone_writer || table_is_old(word, now, table->longest))
        /* Others see the old word or the new one; pairs with table_scan and their table_swap. */
        return atomic_swap_if(slot, &word, desired);
    atomic_store_relaxed(slot, desired); /* readers and the sweep see the old word or the new one */
    return true;
}

/* Swap a word for `desired` (0 clears it) and report the buckets. False if it has changed. */
static inline __attribute__((always_inline)) bool table_replace(const struct table *table,
                                                                uint64_t *slot, uint64_t word,
                                                                uint64_t desired, uint64_t now,
                                                                table_move move, void *context)
{
    if (!table_swap(table, slot, word, desired, now))
        return false;
    if (desired)
        move(context, table_tick(desired, now), 1);
    if (!table_is_old(word, now, table->expiry))
        move(context, table_tick(word, now), -1);
    return true;
}

/* Keep the first of several copies, at the newest tick, and clear the others. `now` advances to the
 * newest tick that was cleared. */
static inline void table_merge(const struct table *table, const struct table_copies *copies,
                               uint64_t *now, table_move move, void *context,
                               struct table_outcome *outcome)
{
    uint64_t newest = copies->word[0];

    for (uint32_t i = 1; i < copies->count; i++)
        if (table_age(copies->word[i], newest) >= TABLE_AGE_FUTURE)
            newest = copies->word[i];
    if (newest != copies->word[0] &&
        !table_replace(table, copies->slot[0], copies->word[0], newest, *now, move, context))
        return;
    for (uint32_t i = 1; i < copies->count; i++) {
        if (!table_replace(table, copies->slot[i], copies->word[i], 0, *now, move, context))
            continue;
        uint64_t tick = table_tick(copies->word[i], *now);
        *now = tick > *now ? tick : *now;
        outcome->duplicates++;
    }
}

/* After an insert: scan and merge until one copy is left. False if none is, because of a leave, or
 * a merge that moved it during the scan; the caller starts over. */
static inline bool table_settle(const struct table *table, struct table_key key, uint64_t *now,
                                table_move move, void *context, struct table_outcome *outcome)
{
    struct table_copies copies;

    for (;;) {
        table_scan(table, key, &copies);
        if (copies.count == 0)
            return false;
        if (copies.count > 1) {
            table_merge(table, &copies, now, move, context, outcome);
            continue;
        }
        uint64_t age = table_age(copies.word[0], *now);
        if (age == 0 || age >= TABLE_AGE_FUTURE)
            return true;
        table_replace(table, copies.slot[0], copies.word[0], table_word(key.fingerprint, *now),
                      *now, move, context);
    }
}

/* Refresh a word that was found, `age` seconds old. False if it changed meanwhile: search again. */
static inline bool table_refresh(const struct table *table, uint64_t *slot, uint64_t word,
                                 uint64_t age, uint64_t now, table_move move, void *context)
{
    if (age == 0 || age >= TABLE_AGE_FUTURE)
        return true; /* never backward */
    return table_replace(table, slot, word, table_word(word & ~TABLE_TICK_MASK, now), now, move,
                         context);
}

/* True if the heartbeat after one of that age is an enter (R4). */
static inline bool table_enters(const struct table *table, uint64_t age)
{
    return age >= table->enter_age && age < TABLE_AGE_FUTURE;
}

/* Return the age that makes the next heartbeat an enter (R4), given the longest window. */
static inline uint64_t table_enter_age(uint32_t max_window)
{
    return max_window < TABLE_ENTER_AGE ? max_window : TABLE_ENTER_AGE;
}

/* Handle a heartbeat: refresh the key's word, or insert it, with tick `now`. Out of line: the hot
 * path is table_refresh_at. Lock-free; any number of threads, or the lone writer. `move` is called
 * for every bucket that changed. */
static __attribute__((noinline, unused)) struct table_outcome
table_upsert(const struct table *table, struct table_key key, uint64_t now, table_move move,
             void *context)
{
    struct table_outcome outcome = {0};
    uint64_t word;

    for (;;) {
        uint64_t *slot = table_find(table, key, &word);
        if (slot) {
            uint64_t age = table_age(word, now);
            if (!table_refresh(table, slot, word, age, now, move, context))
                continue;
            outcome.entered = table_enters(table, age);
            return outcome;
        }
        slot = table_choose_slot(table, key, now, table->expiry, &word);
        if (!slot) /* reuse the slot of a word that no window counts */
            slot = table_choose_slot(table, key, now, table->longest, &word);
        if (!slot) {
            /* A leave took what was inserted. A copy that was cleared may be a later one's. */
            outcome.full = outcome.inserted == 0 || outcome.duplicates > 0;
            return outcome;
        }
        if (!table_swap(table, slot, word, table_word(key.fingerprint, now), now))
            continue;
        move(context, now, 1);
        outcome.inserted++;
        outcome.taken += word == 0;
        if (table->lone_writer || table_settle(table, key, &now, move, context, &outcome))
            return outcome;
    }
}

/* Refresh a key that is still where the hint says, and set `ret_entered`. False: nothing is done,
 * and the caller needs table_upsert. For a refresh any copy of a key is as good as the first. */
static inline bool table_refresh_at(const struct table *table, uint64_t *hint, struct table_key key,
                                    uint64_t now, table_move move, void *context, bool *ret_entered)
{
    if (!hint)
        return false;
    uint64_t word = atomic_load_relaxed(hint); /* relaxed: the swap fails on any later change */
    uint64_t age = table_age(word, now);
    if (!table_matches(word, key.fingerprint) ||
        !table_refresh(table, hint, word, age, now, move, context))
        return false;
    *ret_entered = table_enters(table, age);
    return true;
}

/* Handle a leave: clear every copy of the key. Creates nothing. Returns how many slots it cleared,
 * counted or not. Lock-free; any number of threads, or the lone writer.
 *
 * A cleared slot is not searched again: the copy that comes back is of a heartbeat that has not
 * ended, and so may count as later. Two who undid each other's work would never end. */
static inline uint32_t table_leave(const struct table *table, struct table_key key, uint64_t now,
                                   table_move move, void *context)
{
    uint32_t cleared = 0;

    for (int p = 0; p < 2; p++) {
        uint64_t *pair = table_pair(table, key.pair[p]);
        uint32_t mask = table_candidates(pair, key.fingerprint);
        while (mask) {
            uint64_t *slot = &pair[__builtin_ctz(mask)];
            uint64_t word = atomic_load_relaxed(slot); /* relaxed: the swap checks the exact word */
            bool is_there = table_matches(word, key.fingerprint);
            if (is_there && !table_replace(table, slot, word, 0, now, move, context))
                continue; /* it was refreshed, merged or swept */
            cleared += is_there;
            mask &= mask - 1;
        }
    }
    return cleared;
}

/* Return how many pairs hold `words` words without a refusal: three quarters of the slots are used.
 * Simulated and tested: this placement refuses nothing below a load of 0.75. */
static inline uint64_t table_pairs_for(uint64_t words)
{
    uint64_t pairs = (words * 4 / 3 + TABLE_PAIR_WORDS) / TABLE_PAIR_WORDS;
    return pairs < 2 ? 2 : pairs;
}

#endif

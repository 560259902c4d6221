/* table.h - the visitor table: lock-free, written by many, exact. Free of libc.
 *
 * A visitor in a scope is one 64-bit word, fingerprint (44 bits) and tick of their last heartbeat
 * (20 bits). Zero is an empty slot. A key lives in one of two pairs of cache lines, 16 words each,
 * that are always both searched, so there are no tombstones; one compare-and-swap is the whole
 * change of state. Names and search order: the first pair's 16 slots, then the second's. One line
 * of each pair is a key's home there, and takes it while it has room: in a table that was filled to
 * its limit nine of ten keys stand at home in their first pair, two of three where visitors have
 * come and gone ever since, and refreshing these touches that line and no other. Most of the rest
 * stand at home in their second pair.
 *
 * Ticks are 64-bit seconds in arguments and 20-bit in words. A word's age is a difference modulo
 * 2^20, right as long as no word grows older than 2^19 s: the sweep (table_sweep) sees to that
 * while the collector runs, table_clear after a gap. An age of 2^19 and more is therefore a word
 * written by a worker whose tick is ahead of ours; it is as fresh as can be.
 *
 * Inserting once. Two racing inserts of one key must end as one word. An insert is done only when
 * a scan of all 32 slots, made after its compare-and-swap, shows exactly one copy with at least
 * its tick. Whoever sees two copies raises the first in search order to the newest tick, clears
 * the others by compare-and-swap on the exact word, and scans again. Swap and scan are
 * sequentially consistent, so of two inserters at least the later one sees both copies. Whoever
 * clears a copy is not done before a scan shows one at least as new: if a leave took the first one
 * away and a heartbeat came back as the very word that is cleared, it is put in again.
 *
 * A lone writer has nobody to race with but the sweep, which only ever turns an expired word into
 * 0. It makes no difference to anyone whether that happens just before or just after the writer
 * changes the word, so the writer stores it: a locked swap would take a fifth of an update's time.
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
#define TABLE_PAIR_WORDS       (2 * TABLE_LINE_WORDS) /* two neighbouring ones */
#define TABLE_FIRST_PAIR_LIMIT 12  /* words in the first pair before the emptier one is taken */
#define TABLE_ENTER_AGE        300 /* seconds without a heartbeat that make the next one an enter */
#define TABLE_EXPIRY_SLACK     (60 + 32) /* a minute bucket's width, and late publishers */

/* One process's view of the table. `words` is aligned to 128 bytes. */
struct table {
    uint64_t *words;
    uint64_t pairs;   /* 2 to 2^32 - 1 */
    uint64_t expiry;  /* age in seconds at which no bucket counts a word any more */
    bool lone_writer; /* one thread of all updates and leaves; only table_sweep may run beside it */
};

struct table_key {
    uint64_t fingerprint; /* in place: shifted left by TABLE_TICK_BITS, never 0 */
    uint32_t pair[2];     /* different ones */
};

/* What an update did. `inserted` and `duplicates` are nearly always 0 or 1; summed over all
 * writers, inserted - duplicates is the number of words that came into being. */
struct table_outcome {
    uint32_t inserted;   /* words put into free slots */
    uint32_t duplicates; /* copies cleared that a racing insert had left */
    bool entered;        /* refreshed a word that was at least TABLE_ENTER_AGE old */
    bool full;           /* no slot was free: nothing was stored */
};

/* Called after each change of a word with the tick whose bucket moves, +1 or -1. */
typedef void (*table_move)(void *context, uint64_t tick, int delta);

static inline uint64_t table_reduce(uint32_t hash, uint64_t range)
{
    return ((uint64_t)hash * range) >> 32;
}

static inline struct table_key table_key(struct hash128 hash, uint64_t pairs)
{
    uint64_t fingerprint = hash.first & ~TABLE_TICK_MASK;
    uint64_t first = table_reduce((uint32_t)hash.second, pairs);
    uint64_t second = first + 1 + table_reduce((uint32_t)(hash.second >> 32), pairs - 1);

    return (struct table_key){
        .fingerprint = fingerprint ? fingerprint : UINT64_C(1) << TABLE_TICK_BITS,
        /* not a branch, which would be mispredicted half of the time */
        .pair = {(uint32_t)first, (uint32_t)(second - (pairs & -(uint64_t)(second >= pairs)))},
    };
}

static inline uint64_t *table_pair(const struct table *table, uint32_t pair)
{
    return table->words + (uint64_t)pair * TABLE_PAIR_WORDS;
}

/* Where a key's home begins in each of its pairs: at slot 0 or 8. Both lines of a pair are searched
 * whatever the home, so that no two keys are taken for one another because a bit of the fingerprint
 * chooses it. */
static inline unsigned table_home(uint64_t fingerprint)
{
    return (unsigned)(fingerprint >> TABLE_TICK_BITS & 1) * TABLE_LINE_WORDS;
}

/* The line that is a key's home in one of its pairs. */
static inline uint64_t *table_home_line(const struct table *table, struct table_key key,
                                        unsigned which)
{
    return table_pair(table, key.pair[which]) + table_home(key.fingerprint);
}

/* Have a key's home in one of its pairs on its way from memory. (Always inline: the compiler knows
 * of no effect that a function has which only prefetches, and leaves out calls of it.) */
static inline __attribute__((always_inline)) void
table_fetch_home(const struct table *table, struct table_key key, unsigned which)
{
    __builtin_prefetch(table_home_line(table, key, which), 1);
}

/* The same of the lines in which it may stand away from home. */
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

/* Seconds since the word's last heartbeat; TABLE_AGE_FUTURE and more: it is ahead of `now`. */
static inline uint64_t table_age(uint64_t word, uint64_t now)
{
    return (now - word) & TABLE_TICK_MASK;
}

static inline bool table_is_expired(const struct table *table, uint64_t word, uint64_t now)
{
    uint64_t age = table_age(word, now);
    return age >= table->expiry && age < TABLE_AGE_FUTURE;
}

/* The slots of a line whose upper 32 bits are the fingerprint's, as a bit each. A hint: the caller
 * loads a candidate anew, atomically, before it believes or changes it. */
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

/* The same of a pair. */
static inline uint32_t table_candidates(const uint64_t *pair, uint64_t fingerprint)
{
    return table_line_candidates(pair, fingerprint) |
           table_line_candidates(pair + TABLE_LINE_WORDS, fingerprint) << TABLE_LINE_WORDS;
}

/* Does a key seem to stand at home in one of its pairs? Where, is a hint for table_refresh_at;
 * meaningless if it does not. */
static inline bool table_locate_home(const struct table *table, struct table_key key,
                                     unsigned which, uint64_t **ret_hint)
{
    uint64_t *line = table_home_line(table, key, which);
    uint32_t mask = table_line_candidates(line, key.fingerprint);

    *ret_hint = &line[__builtin_ctz(mask | 1u << TABLE_LINE_WORDS)];
    return mask != 0;
}

/* The first slot of a pair that holds the key, with its word; NULL if none does. */
static inline uint64_t *table_find_in(uint64_t *pair, uint64_t fingerprint, uint64_t *ret_word)
{
    for (uint32_t mask = table_candidates(pair, fingerprint); mask; mask &= mask - 1) {
        uint64_t *slot = &pair[__builtin_ctz(mask)];
        uint64_t word = atomic_load_relaxed(slot); /* any later change fails the swap on it */
        if (table_matches(word, fingerprint)) {
            *ret_word = word;
            return slot;
        }
    }
    return 0;
}

/* The first slot in search order that holds the key, with its word; NULL if none does.
 * Readers may call it on a table that they have mapped read-only. */
static inline uint64_t *table_find(const struct table *table, struct table_key key,
                                   uint64_t *ret_word)
{
    uint64_t *slot = table_find_in(table_pair(table, key.pair[0]), key.fingerprint, ret_word);
    if (slot)
        return slot;
    return table_find_in(table_pair(table, key.pair[1]), key.fingerprint, ret_word);
}

/* A key's first free slot in one of its pairs, at home if there is one, with its word (0 or
 * expired), and how many are free. */
static inline uint64_t *table_free_slot(const struct table *table, struct table_key key,
                                        unsigned which, uint64_t now, uint64_t *ret_word,
                                        int *ret_free)
{
    uint64_t *pair = table_pair(table, key.pair[which]), *first = 0;
    const unsigned home = table_home(key.fingerprint);

    *ret_free = 0;
    for (unsigned i = 0; i < TABLE_PAIR_WORDS; i++) {
        uint64_t *slot = &pair[i ^ home];
        uint64_t word = atomic_load_relaxed(slot); /* exact word checked by the swap */
        if (word && !table_is_expired(table, word, now))
            continue;
        if (!first) {
            first = slot;
            *ret_word = word;
        }
        ++*ret_free;
    }
    return first;
}

/* Choose a slot for a new word: the first pair until it is three quarters full, then the emptier
 * one. NULL when both are full. */
static inline uint64_t *table_place(const struct table *table, struct table_key key, uint64_t now,
                                    uint64_t *ret_word)
{
    uint64_t words[2] = {0, 0};
    int free[2];
    uint64_t *slot = table_free_slot(table, key, 0, now, &words[0], &free[0]);

    *ret_word = words[0];
    if (free[0] > TABLE_PAIR_WORDS - TABLE_FIRST_PAIR_LIMIT)
        return slot;
    uint64_t *other = table_free_slot(table, key, 1, now, &words[1], &free[1]);
    if (free[1] <= free[0])
        return slot;
    *ret_word = words[1];
    return other;
}

/* Every copy of a key, as one scan saw them. */
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
            /* Sequentially consistent: pairs with the swaps of all other inserters. */
            uint64_t word = atomic_load_ordered(&pair[i]);
            if (!table_matches(word, key.fingerprint))
                continue;
            ret->slot[ret->count] = &pair[i];
            ret->word[ret->count++] = word;
        }
    }
}

/* The tick of a word, given that of the caller. */
static inline uint64_t table_tick(uint64_t word, uint64_t now)
{
    uint64_t age = table_age(word, now);
    if (age >= TABLE_AGE_FUTURE)
        return now + TABLE_TICK_MASK + 1 - age;
    return age <= now ? now - age : 0; /* no word of ours is older than the clock */
}

/* Put `desired` where `word` was found, if it is still there; a lone writer's is, or was swept. */
static inline bool table_swap(const struct table *table, uint64_t *slot, uint64_t word,
                              uint64_t desired)
{
    if (!table->lone_writer)
        /* Others see the old word or the new one; pairs with their swaps and ordered scans. */
        return atomic_swap_if(slot, &word, desired);
    atomic_store_relaxed(slot, desired); /* readers and the sweep see the old word or the new one */
    return true;
}

/* Swap a matching word for `desired` (0 clears it) and move its bucket. */
static inline __attribute__((always_inline)) bool table_replace(const struct table *table,
                                                                uint64_t *slot, uint64_t word,
                                                                uint64_t desired, uint64_t now,
                                                                table_move move, void *context)
{
    if (!table_swap(table, slot, word, desired))
        return false;
    if (desired)
        move(context, table_tick(desired, now), 1);
    if (!table_is_expired(table, word, now))
        move(context, table_tick(word, now), -1);
    return true;
}

/* Keep the first of several copies, at the newest tick; clear the others. `now` moves on to the
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

/* After an insert: scan and merge until one copy is left. False when none is: a leave, or a merge
 * that moved it while we scanned; the caller starts over. */
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

/* Refresh a word that was found, `age` seconds old. False when it changed in between: search again.
 */
static inline bool table_refresh(const struct table *table, uint64_t *slot, uint64_t word,
                                 uint64_t age, uint64_t now, table_move move, void *context)
{
    if (age == 0 || age >= TABLE_AGE_FUTURE)
        return true; /* never backward */
    return table_replace(table, slot, word, table_word(word & ~TABLE_TICK_MASK, now), now, move,
                         context);
}

/* Is the heartbeat after one of that age an enter? */
static inline bool table_enters(uint64_t age)
{
    return age >= TABLE_ENTER_AGE && age < TABLE_AGE_FUTURE;
}

/* A heartbeat: refresh the key's word, or insert it, with tick `now`. Out of line: what is hot is
 * table_refresh_at.
 * Lock-free; any number of threads, or the lone writer. `move` is called for every bucket that
 * changed. */
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
            outcome.entered = table_enters(age);
            return outcome;
        }
        slot = table_place(table, key, now, &word);
        if (!slot) {
            outcome.full = outcome.inserted == 0;
            return outcome;
        }
        if (!table_swap(table, slot, word, table_word(key.fingerprint, now)))
            continue;
        move(context, now, 1);
        outcome.inserted++;
        if (table->lone_writer || table_settle(table, key, &now, move, context, &outcome))
            return outcome;
    }
}

/* table_upsert of a key that still stands where the hint said: `ret_entered` says whether this is
 * an enter. False: nothing is done, table_upsert has to search. For a refresh any copy of a key is
 * as good as the first. */
static inline bool table_refresh_at(const struct table *table, uint64_t *hint, struct table_key key,
                                    uint64_t now, table_move move, void *context, bool *ret_entered)
{
    if (!hint)
        return false;
    uint64_t word = atomic_load_relaxed(hint); /* any later change fails the swap on it */
    uint64_t age = table_age(word, now);
    if (!table_matches(word, key.fingerprint) ||
        !table_refresh(table, hint, word, age, now, move, context))
        return false;
    *ret_entered = table_enters(age);
    return true;
}

/* A leave: clear every copy of the key. Creates nothing. True if there was one that still counted.
 * Lock-free; any number of threads, or the lone writer. */
static inline bool table_leave(const struct table *table, struct table_key key, uint64_t now,
                               table_move move, void *context)
{
    bool left = false;
    uint64_t word, *slot;

    while ((slot = table_find(table, key, &word)))
        left |= table_replace(table, slot, word, 0, now, move, context) &&
                !table_is_expired(table, word, now);
    return left;
}

/* Free the expired words of `count` pairs from `first` on (wrapping), so that no age reaches 2^19.
 * Returns the pair to go on from. May run beside writers: a swap on the exact word decides. */
static inline uint64_t table_sweep(const struct table *table, uint64_t first, uint64_t count,
                                   uint64_t now)
{
    for (; count; count--) {
        uint64_t *pair = table_pair(table, (uint32_t)first);
        for (int i = 0; i < TABLE_PAIR_WORDS; i++) {
            uint64_t word = atomic_load_relaxed(&pair[i]);
            if (word && table_is_expired(table, word, now))
                atomic_swap_if(&pair[i], &word, 0); /* lost: somebody refreshed or reused it */
        }
        first = first + 1 < table->pairs ? first + 1 : 0;
    }
    return first;
}

/* Empty the table. Only while no writer is inside (after a gap that expired every word). */
static inline void table_clear(const struct table *table)
{
    for (uint64_t i = 0; i < table->pairs * TABLE_PAIR_WORDS; i++)
        atomic_store_relaxed(&table->words[i], 0); /* readers see a word or nothing */
}

/* How many pairs hold `words` words without a refusal: three quarters of the slots are used.
 * Simulated and tested: this placement refuses nothing below a load of 0.75. */
static inline uint64_t table_pairs_for(uint64_t words)
{
    uint64_t pairs = (words * 4 / 3 + TABLE_PAIR_WORDS) / TABLE_PAIR_WORDS;
    return pairs < 2 ? 2 : pairs;
}

#endif

/* table_sweep.h - free the words of the visitor table that no bucket counts. Free of libc. */
#ifndef PRESENCE_TABLE_SWEEP_H
#define PRESENCE_TABLE_SWEEP_H

#include "core/table.h"

/* The words that a sweep found. */
struct table_swept {
    uint64_t freed; /* cleared */
    uint64_t kept;  /* left alone */
};

/* Free the expired words of `count` pairs from `first` on (wrapping), so that no age reaches 2^19,
 * and add up what was found in *swept. Returns the pair to continue with. May run beside writers:
 * it swaps on the exact word. */
static inline uint64_t table_sweep(const struct table *table, uint64_t first, uint64_t count,
                                   uint64_t now, struct table_swept *swept)
{
    for (; count; count--) {
        uint64_t *pair = table_pair(table, (uint32_t)first);
        for (int i = 0; i < TABLE_PAIR_WORDS; i++) {
            uint64_t word = atomic_load_relaxed(&pair[i]);
            /* The swap fails if a writer refreshed or reused the slot. */
            if (word && table_is_old(word, now, table->expiry) &&
                atomic_swap_if(&pair[i], &word, 0))
                swept->freed++;
            else
                swept->kept += word != 0;
        }
        first = first + 1 < table->pairs ? first + 1 : 0;
    }
    return first;
}

/* Empty the table. Only while no writer is active (after a gap that expired every word). */
static inline void table_clear(const struct table *table)
{
    for (uint64_t i = 0; i < table->pairs * TABLE_PAIR_WORDS; i++)
        atomic_store_relaxed(&table->words[i], 0); /* relaxed: readers see a word or nothing */
}

#endif

/* ingest_race.h - let test_ingest_race.c act right before and after each swap of a visitor's word.
 * The compiler includes it before updates.c. */
#ifndef PRESENCE_TESTS_INGEST_RACE_H
#define PRESENCE_TESTS_INGEST_RACE_H

#include "core/atomics.h"

void before_swap(uint64_t *word);
void after_swap(uint64_t *word);

static inline bool swap_amid_others(uint64_t *word, uint64_t *expected, uint64_t desired)
{
    before_swap(word);
    bool is_swapped = atomic_swap_if(word, expected, desired);
    after_swap(word);
    return is_swapped;
}

#define atomic_swap_if swap_amid_others

#endif

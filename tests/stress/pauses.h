/* pauses.h - a random pause before each atomic access of the headers included after this one, so
 * that races of a few nanoseconds are met many times a second. */
#ifndef PRESENCE_TESTS_PAUSES_H
#define PRESENCE_TESTS_PAUSES_H

#include "core/atomics.h"

/* Let this thread pause at one in so many accesses, at random; 0, the default: never. */
void pauses_begin(uint64_t seed, unsigned one_in);

void pauses_take(void);

#undef atomic_load_relaxed
#undef atomic_load_acquire
#undef atomic_load_ordered
#define atomic_load_relaxed(pointer) (pauses_take(), __atomic_load_n(pointer, __ATOMIC_RELAXED))
#define atomic_load_acquire(pointer) (pauses_take(), __atomic_load_n(pointer, __ATOMIC_ACQUIRE))
#define atomic_load_ordered(pointer) (pauses_take(), __atomic_load_n(pointer, __ATOMIC_SEQ_CST))
#define atomic_swap_if(word, expected, desired) \
    (pauses_take(), (atomic_swap_if)(word, expected, desired))

#endif

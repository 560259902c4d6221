/* pauses.h - a random pause before each atomic access of the headers included after this one, so
 * that races of a few nanoseconds are met many times a second. Or a call of the test, which lets
 * another thread take its steps at exactly that access. */
#ifndef PRESENCE_TESTS_PAUSES_H
#define PRESENCE_TESTS_PAUSES_H

#include "core/atomics.h"

enum pause_at { PAUSE_LOAD, PAUSE_STORE };

/* Let this thread pause at one in so many accesses, at random; 0, the default: never. */
void pauses_begin(uint64_t seed, unsigned one_in);

/* Let this thread call a function before each access instead; NULL, the default: none. */
typedef void (*pauses_function)(void *context, enum pause_at at);
void pauses_call(pauses_function function, void *context);

void pauses_take(enum pause_at at);

#undef atomic_load_relaxed
#undef atomic_load_acquire
#undef atomic_load_ordered
#undef atomic_store_relaxed
#undef atomic_store_release
#define atomic_load_relaxed(pointer) \
    (pauses_take(PAUSE_LOAD), __atomic_load_n(pointer, __ATOMIC_RELAXED))
#define atomic_load_acquire(pointer) \
    (pauses_take(PAUSE_LOAD), __atomic_load_n(pointer, __ATOMIC_ACQUIRE))
#define atomic_load_ordered(pointer) \
    (pauses_take(PAUSE_LOAD), __atomic_load_n(pointer, __ATOMIC_SEQ_CST))
#define atomic_store_relaxed(pointer, value) \
    (pauses_take(PAUSE_STORE), __atomic_store_n(pointer, value, __ATOMIC_RELAXED))
#define atomic_store_release(pointer, value) \
    (pauses_take(PAUSE_STORE), __atomic_store_n(pointer, value, __ATOMIC_RELEASE))
#define atomic_swap_if(word, expected, desired) \
    (pauses_take(PAUSE_STORE), (atomic_swap_if)(word, expected, desired))

#endif

/* atomics.h - access shared memory: short names for the GNU atomic builtins, and checks of layouts.
 *
 * Shared words are plain uint32_t or uint64_t, so that the same layout serves the daemon, readers
 * in other processes and BPF programs. Each use says in a comment which function it pairs with.
 */
#ifndef PRESENCE_ATOMICS_H
#define PRESENCE_ATOMICS_H

#include <stdbool.h>
#include <stdint.h>

#define atomic_load_relaxed(pointer)         __atomic_load_n(pointer, __ATOMIC_RELAXED)
#define atomic_load_acquire(pointer)         __atomic_load_n(pointer, __ATOMIC_ACQUIRE)
#define atomic_load_ordered(pointer)         __atomic_load_n(pointer, __ATOMIC_SEQ_CST)
#define atomic_store_relaxed(pointer, value) __atomic_store_n(pointer, value, __ATOMIC_RELAXED)
#define atomic_store_release(pointer, value) __atomic_store_n(pointer, value, __ATOMIC_RELEASE)
#define atomic_add_relaxed(pointer, value)   __atomic_fetch_add(pointer, value, __ATOMIC_RELAXED)
#define atomic_exchange_ordered(pointer, value) \
    __atomic_exchange_n(pointer, value, __ATOMIC_SEQ_CST)

/* A function that reads bytes while others may change them: its caller finds that out by a word
 * that changes, too, and forgets the result. ThreadSanitizer would report it. */
#ifdef __SANITIZE_THREAD__
#define ATOMIC_UNCHECKED __attribute__((no_sanitize("thread")))
#else
#define ATOMIC_UNCHECKED
#endif

/* Check that a field of a shared structure is `offset` bytes from its start. */
#define SHARED_AT(type, field, offset) \
    _Static_assert(__builtin_offsetof(type, field) == (offset), #type "." #field)

/* Replace *word by `desired` if it is still *expected; otherwise load it into *expected.
 * Sequentially consistent either way: insertion into the table depends on it. */
static inline bool atomic_swap_if(uint64_t *word, uint64_t *expected, uint64_t desired)
{
    return __atomic_compare_exchange_n(word, expected, desired, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

#endif

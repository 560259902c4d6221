/* failing_memory.h - run a part of a test again and again, and let each of its allocations fail
 * once, those of the libraries under it, too. For one file of a program, without sanitizers, and
 * one thread.
 */
#ifndef PRESENCE_TESTS_FAILING_MEMORY_H
#define PRESENCE_TESTS_FAILING_MEMORY_H

#include <errno.h>

#include "descriptors.h"
#include "unit.h"

/* glibc's own functions, below those of these names that everybody calls. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

/* For the libraries, too. */
#define EXPORTED __attribute__((visibility("default")))

static struct {
    bool is_on;
    unsigned which; /* of the allocations fails, from 1; 0: none */
    unsigned made;
    long blocks; /* more than there were when it was switched on */
} failing_memory;

static inline void *failing_memory_count(void *block)
{
    failing_memory.blocks += block && failing_memory.is_on;
    return block;
}

static inline bool failing_memory_refuses(void)
{
    if (!failing_memory.is_on || ++failing_memory.made != failing_memory.which)
        return false;
    errno = ENOMEM;
    return true;
}

EXPORTED void *malloc(size_t size)
{
    return failing_memory_refuses() ? NULL : failing_memory_count(__libc_malloc(size));
}

EXPORTED void *calloc(size_t count, size_t size)
{
    return failing_memory_refuses() ? NULL : failing_memory_count(__libc_calloc(count, size));
}

EXPORTED void *realloc(void *block, size_t size)
{
    if (failing_memory_refuses())
        return NULL;
    return block ? __libc_realloc(block, size) : failing_memory_count(__libc_realloc(NULL, size));
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size)
{
    return failing_memory_refuses() ? NULL : failing_memory_count(__libc_memalign(alignment, size));
}

EXPORTED int posix_memalign(void **ret, size_t alignment, size_t size)
{
    *ret = aligned_alloc(alignment, size);
    return *ret ? 0 : ENOMEM;
}

EXPORTED void free(void *block)
{
    failing_memory.blocks -= block && failing_memory.is_on;
    __libc_free(block);
}

/* A part opens something, closes what it has opened, and returns the error of opening it. */
typedef int (*failing_memory_part)(void *context);

/* Check that the part fails with -ENOMEM whichever allocation fails, and that nothing is left of
 * it. */
static inline void fail_each_allocation(const char *name, failing_memory_part part, void *context)
{
    unsigned descriptors;
    int r = part(context); /* what is made once for all stays */

    assert_int_equal(r, 0);
    descriptors = count_descriptors();
    for (unsigned which = 1;; which++) {
        failing_memory.which = which;
        failing_memory.made = 0;
        failing_memory.blocks = 0;
        failing_memory.is_on = true;
        r = part(context);
        failing_memory.is_on = false;
        bool was_refused = failing_memory.made >= which;
        if ((r != 0 && !(was_refused && r == -ENOMEM)) || failing_memory.blocks != 0 ||
            count_descriptors() != descriptors)
            fail_msg(
                "%s, allocation %u of %u fails: returns %d, %ld blocks and %d descriptors are left",
                name, which, failing_memory.made, r, failing_memory.blocks,
                (int)(count_descriptors() - descriptors));
        if (!was_refused)
            return;
    }
}

#endif

/* fail_allocations - for LD_PRELOAD: one allocation of memory fails, which the test chooses.
 *
 * $FAIL_ALLOCATIONS names a file with a 64-bit number, which the test may change at any time: how
 * many allocations succeed before one fails (-1: none fails). */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

static _Atomic int64_t *plan; /* NULL: none yet */

/* glibc's own, under the names by which it calls them. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("FAIL_ALLOCATIONS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *mapped = file < 0
                       ? MAP_FAILED
                       : mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

    if (mapped == MAP_FAILED)
        abort();
    close(file);
    plan = mapped;
}

static bool fails(void)
{
    int64_t left = plan ? atomic_load(plan) : -1;

    while (left >= 0 && !atomic_compare_exchange_weak(plan, &left, left - 1))
        ;
    if (left != 0)
        return false;
    errno = ENOMEM;
    return true;
}

PUBLIC void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

PUBLIC void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

PUBLIC void *realloc(void *memory, size_t size)
{
    return fails() ? NULL : __libc_realloc(memory, size);
}

PUBLIC void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __libc_memalign(alignment, size);
}

PUBLIC int posix_memalign(void **ret, size_t alignment, size_t size)
{
    void *memory = fails() ? NULL : __libc_memalign(alignment, size);

    if (!memory)
        return ENOMEM;
    *ret = memory;
    return 0;
}

#include "one_view.h"

#include <stddef.h>
#include <sys/mman.h>

/* The linker's names. */
void *__real_mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *address, size_t length);
int __wrap_munmap(void *address, size_t length);

static void *view;

void one_view_begin(void *base)
{
#ifdef __SANITIZE_THREAD__
    view = base;
#else
    (void)base;
#endif
}

void one_view_end(void)
{
    view = NULL;
}

void *__wrap_mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    if (view && protection == PROT_READ && fd >= 0)
        return view;
    return __real_mmap64(address, length, protection, flags, fd, offset);
}

int __wrap_munmap(void *address, size_t length)
{
    return view && address == view ? 0 : __real_munmap(address, length);
}

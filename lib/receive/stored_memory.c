#include "stored_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

bool stored_memory_adopt(int descriptor, size_t size, struct stored_memory *ret)
{
    struct stat status;
    int seals = fcntl(descriptor, F_GET_SEALS);

    if (seals < 0 || (seals & SEALS) != SEALS || fstat(descriptor, &status) < 0 ||
        status.st_size != (off_t)size)
        return false;
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (bytes == MAP_FAILED)
        return false;
    *ret = (struct stored_memory){.bytes = bytes, .size = size, .descriptor = descriptor};
    return true;
}

int stored_memory_create(const char *name, size_t size, bool can_store, struct stored_memory *ret)
{
    int descriptor = can_store ? memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING) : -1;

    if (descriptor >= 0 &&
        (ftruncate(descriptor, (off_t)size) < 0 || fcntl(descriptor, F_ADD_SEALS, SEALS) < 0)) {
        close(descriptor);
        descriptor = -1;
    }
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       descriptor < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, descriptor, 0);
    if (bytes == MAP_FAILED) {
        if (descriptor >= 0)
            close(descriptor);
        return -ENOMEM;
    }
    *ret = (struct stored_memory){.bytes = bytes, .size = size, .descriptor = descriptor};
    return 0;
}

void stored_memory_close(struct stored_memory *memory)
{
    if (!memory->bytes)
        return;
    munmap(memory->bytes, memory->size);
    if (memory->descriptor >= 0)
        close(memory->descriptor);
    memory->bytes = NULL;
}

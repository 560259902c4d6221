#include "segment_copy.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "segment_map.h"

#define TOUCH_BYTES (UINT64_C(64) << 20)

int segment_copy_open(const struct segment_file *file, const char *path, struct segment_copy *ret)
{
    struct segment_copy copy = {.size = file->segment.size};

    copy.descriptor = segment_file_reserve(path, copy.size);
    if (copy.descriptor < 0)
        return copy.descriptor;
    copy.base = segment_map(copy.descriptor, copy.size);
    if (copy.base == MAP_FAILED) {
        int r = -errno;
        close(copy.descriptor);
        return r;
    }
    *ret = copy;
    return 0;
}

bool segment_copy_touch(struct segment_copy *copy)
{
    uint64_t rest = copy->size - copy->touched;
    uint64_t bytes = rest < TOUCH_BYTES ? rest : TOUCH_BYTES;

    memset((char *)copy->base + copy->touched, 0, bytes);
    copy->touched += bytes;
    return bytes < rest;
}

/* Make readers of the old file open the new one. If this fails, they notice the old tick's age. */
static void mark_replaced(int descriptor)
{
    struct segment_header *header =
        mmap(NULL, sizeof(*header), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);

    if (header == MAP_FAILED)
        return;
    atomic_store_release(&header->state, SEGMENT_REPLACED); /* pairs with reader_current_moment */
    munmap(header, sizeof(*header));
}

int segment_copy_activate(struct segment_copy *copy, struct segment_file *file, const char *path)
{
    struct segment_header *header = file->segment.header;

    memcpy(copy->base, header, copy->size);
    /* Pointers into the segment stay valid. mremap moves only a single mapping before Linux 6.17,
     * and madvise would split this one: so it is advised afterwards. */
    if (mremap(copy->base, copy->size, copy->size, MREMAP_MAYMOVE | MREMAP_FIXED, header) ==
        MAP_FAILED)
        return -errno;
    segment_map_advise(header);
    file->huge_end = 0;
    int r = segment_file_link(copy->descriptor, path);
    mark_replaced(file->descriptor);
    close(file->descriptor); /* and its lock */
    file->descriptor = copy->descriptor;
    copy->descriptor = -1;
    return r;
}

void segment_copy_close(struct segment_copy *copy)
{
    if (copy->descriptor < 0)
        return;
    munmap(copy->base, copy->size);
    close(copy->descriptor);
}

/* memory_segment.h - a segment in memory, for tests that need no file. */
#ifndef PRESENCE_TESTS_MEMORY_SEGMENT_H
#define PRESENCE_TESTS_MEMORY_SEGMENT_H

#include <sys/mman.h>

#include <core/segment.h>

#include "unit.h"

/* Map a segment, all zero but for the header, and shared with children; to be released with
 * memory_segment_close. */
static inline struct segment memory_segment_of(const struct segment_settings *settings)
{
    struct segment_header header = {
        .magic = SEGMENT_MAGIC,
        .abi_major = SEGMENT_ABI_MAJOR,
        .abi_minor = SEGMENT_ABI_MINOR,
        .header_size = sizeof(header),
        .secret = {11, 22, 33, 44, 55, 66},
    };

    header.file_size = segment_layout(settings, &header.geometry);
    void *base = mmap(NULL, header.file_size, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        fail_msg("cannot map %llu bytes", (unsigned long long)header.file_size);
    memcpy(base, &header, sizeof(header));
    return segment_view(base, &header);
}

static inline struct segment memory_segment_open(uint64_t max_entries, uint32_t max_scopes,
                                                 uint32_t max_window)
{
    const struct segment_settings settings = {
        .max_entries = max_entries, .max_scopes = max_scopes, .max_window = max_window};

    return memory_segment_of(&settings);
}

static inline void memory_segment_close(struct segment *segment)
{
    munmap(segment->header, segment->size);
}

#endif

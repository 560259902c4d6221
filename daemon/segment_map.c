#include "segment_map.h"

#include <sys/mman.h>

#include "common/monotonic.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Debian 12's headers are older than Linux 6.1 */
#endif

void *segment_map(int descriptor, uint64_t size)
{
    uint64_t reserved = size + SEGMENT_HUGE_PAGE;
    char *area =
        mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (area == MAP_FAILED)
        return MAP_FAILED;
    uint64_t skipped = -(uintptr_t)area % SEGMENT_HUGE_PAGE;
    void *base =
        mmap(area + skipped, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0);
    if (base == MAP_FAILED) {
        munmap(area, reserved);
        return MAP_FAILED;
    }
    uint64_t end = segment_align(skipped + size, SEGMENT_ALIGNMENT);
    if (skipped)
        munmap(area, skipped);
    munmap(area + end, reserved - end);
    return base;
}

/* True if a section is hit at random, or at a few lines all over it once a second. */
static bool is_scattered(unsigned section)
{
    return section == SECTION_TABLE || section == SECTION_RINGS || section == SECTION_MINUTES;
}

void segment_map_advise(struct segment_header *header)
{
    for (unsigned i = 0; i < SECTIONS; i++) {
        const struct segment_section *section = &header->geometry.sections[i];
        if (is_scattered(i) && section->size >= SEGMENT_HUGE_PAGE)
            madvise((char *)header + section->offset, section->size, MADV_HUGEPAGE);
    }
}

void segment_map_collapse(struct segment_header *header, unsigned milliseconds, uint64_t *position)
{
    int64_t end = monotonic_ns() + milliseconds * NS_PER_MS;

    for (unsigned i = 0; i < SECTIONS; i++) {
        const struct segment_section *section = &header->geometry.sections[i];
        uint64_t from = *position > section->offset ? *position : section->offset;
        uint64_t limit = is_scattered(i) ? section->offset + section->size : 0;
        for (; from + SEGMENT_HUGE_PAGE <= limit; from += SEGMENT_HUGE_PAGE) {
            if (monotonic_ns() >= end)
                return;
            madvise((char *)header + from, SEGMENT_HUGE_PAGE, MADV_COLLAPSE);
            *position = from + SEGMENT_HUGE_PAGE;
        }
    }
}

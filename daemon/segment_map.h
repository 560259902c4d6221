/* segment_map.h - map a segment, and back its large sections with huge pages.
 *
 * Sections that are hit at random miss the address translation's caches less with huge pages.
 */
#ifndef PRESENCED_SEGMENT_MAP_H
#define PRESENCED_SEGMENT_MAP_H

#include "core/segment.h"

/* Map `size` bytes of a file at a multiple of the huge page's size, as its large sections lie in
 * the file. Returns MAP_FAILED, and sets errno, on failure. */
void *segment_map(int descriptor, uint64_t size);

/* Ask for huge pages, which a mount may not grant. `header` is at the start of the mapping. */
void segment_map_advise(struct segment_header *header);

/* Turn small pages into huge ones, on any tmpfs (madvise(2), Linux 6.1), which takes up to 20 ms
 * for 2 MB. Starts at offset `*position`, moves it, and stops after about so many milliseconds.
 * Where the kernel can't, nothing changes but speed. */
void segment_map_collapse(struct segment_header *header, unsigned milliseconds, uint64_t *position);

#endif

/* one_view.h - let readers of the same process use the collector's mapping of the segment.
 *
 * ThreadSanitizer knows memory by its address. A program linked with --wrap=mmap64 and
 * --wrap=munmap gets the collector's address where a reader maps a file. Without ThreadSanitizer
 * nothing changes.
 */
#ifndef PRESENCE_TESTS_ONE_VIEW_H
#define PRESENCE_TESTS_ONE_VIEW_H

/* From now on, what is mapped for reading only is the memory at `base`. Not while others map. */
void one_view_begin(void *base);
void one_view_end(void);

#endif

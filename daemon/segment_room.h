/* segment_room.h - find the limit that leaves no room for the segment.
 *
 * The kernel enforces two limits by killing the process: the size of files (SIGXFSZ) and the memory
 * of a control group. So they are checked beforehand.
 */
#ifndef PRESENCED_SEGMENT_ROOM_H
#define PRESENCED_SEGMENT_ROOM_H

#include <stddef.h>
#include <stdint.h>

/* Files of the kernel; tests have others. */
struct segment_room_paths {
    const char *groups;  /* /proc/self/cgroup */
    const char *meminfo; /* /proc/meminfo */
    const char *mounts;  /* /sys/fs/cgroup */
};

extern struct segment_room_paths segment_room_paths;

/* Check that a file in memory can have so many bytes. A limit that the kernel does not report
 * counts as none. Any thread. Errors: -EFBIG files may not be so large; -EDQUOT a control group has
 * not enough memory left; -ENOMEM the machine has not. */
int segment_room_check(uint64_t bytes);

/* Describe the limit behind an error of segment_file_open: which one it is, how large, and what
 * sets it. Empty for errors of another kind. */
void segment_room_explain(int error, uint64_t bytes, char *ret, size_t size);

#endif

/* segment_copy.h - replace a running collector's segment by a copy, in the file system and, at the
 * same addresses, in the process. */
#ifndef PRESENCED_SEGMENT_COPY_H
#define PRESENCED_SEGMENT_COPY_H

#include "segment_file.h"

struct segment_copy {
    int descriptor; /* -1: it is in use */
    void *base;     /* where the copy is mapped until it is in use */
    uint64_t size;
    uint64_t touched; /* bytes from the start that were touched */
};

/* Create an empty file without a name for a copy, with all memory reserved and mapped. Writers may
 * run. Errors: those of segment_file_reserve; -ENOMEM. */
int segment_copy_open(const struct segment_file *file, const char *path, struct segment_copy *ret);

/* Touch more of the copy's pages while workers still run. Returns true while some are left. */
bool segment_copy_touch(struct segment_copy *copy);

/* Copy the segment, map the copy at its addresses, name it and mark the old file as replaced.
 * Nobody may write the segment meanwhile. On failure the file is as before, with one exception: if
 * only the name can't be given (an error of segment_file_link), the copy is in use without a name.
 * It never had one, so it can be linked later; a deleted file can't. */
int segment_copy_activate(struct segment_copy *copy, struct segment_file *file, const char *path);

/* Free the copy unless it is in use now. */
void segment_copy_close(struct segment_copy *copy);

#endif

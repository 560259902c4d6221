/* segment_source.h - open a segment that may be missing: once it exists, and again after it was
 * replaced by one that could not be opened. Each change is logged once. One thread at a time. */
#ifndef PRESENCE_SEGMENT_SOURCE_H
#define PRESENCE_SEGMENT_SOURCE_H

#include "presence/presence.h"

struct segment_source {
    const char *path;
    struct presence *presence; /* NULL: not open */
    int error;                 /* of the last open; 0: open, or not tried yet */
};

/* Describe why presence_open has failed on `path` with `error`, a negative errno, and what to do,
 * for a line "cannot read the segment PATH: TEXT". Returns a constant, or `ret`. Any thread. */
#define SEGMENT_ERROR_SIZE (PRESENCE_DISTRUST_SIZE + 16)
const char *segment_error_text(int error, const char *path, char ret[SEGMENT_ERROR_SIZE]);

/* Prepare to open `path`, which is not copied, at the first segment_source_get. */
void segment_source_init(struct segment_source *source, const char *path);

/* Get the handle, valid until the next call; open it if need be. Errors: as presence_open. */
int segment_source_get(struct segment_source *source, struct presence **ret);

/* Report that a function of presence.h has failed with `error` on the handle. If that means that
 * the segment is damaged, close it, so that the next segment_source_get opens it again. */
void segment_source_failed(struct segment_source *source, int error);

void segment_source_close(struct segment_source *source);

#endif

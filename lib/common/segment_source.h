/* segment_source.h - a segment that may be missing: opened when it is there, and again when it has
 * been replaced by one that could not be read. Says so on stderr, once for each change. One thread
 * at a time. */
#ifndef PRESENCE_SEGMENT_SOURCE_H
#define PRESENCE_SEGMENT_SOURCE_H

#include "presence/presence.h"

struct segment_source {
    const char *path;
    struct presence *presence; /* NULL: not open */
    int error;                 /* why; 0: open, or not tried yet */
};

/* The segment that programs read: `path`, or $PRESENCE_SEGMENT, or the default one. */
const char *segment_source_path(const char *path);

/* Open `path` (not NULL, and not copied) when it is asked for. */
void segment_source_init(struct segment_source *source, const char *path);

/* A handle, valid until the next call; opens it when need be. Errors: as presence_open. */
int segment_source_get(struct segment_source *source, struct presence **ret);

/* A function of presence.h has failed with `error` on the handle: where that means that the segment
 * is damaged, let go of it, so that the next get opens it anew. */
void segment_source_failed(struct segment_source *source, int error);

void segment_source_close(struct segment_source *source);

#endif

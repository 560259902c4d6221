/* segment_file.h - create, attach to, lock and replace the segment's file. */
#ifndef PRESENCED_SEGMENT_FILE_H
#define PRESENCED_SEGMENT_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/segment.h"

struct segment_settings {
    uint64_t max_visitors; /* words */
    uint32_t max_scopes;
    uint32_t max_window;    /* seconds, 1 to WINDOW_MAX */
    uint32_t warm_up;       /* seconds */
    uint32_t max_histories; /* 0: none are kept */
    uint32_t max_events;    /* see struct segment_limits; 0: none are kept */
};

static inline struct segment_limits segment_settings_limits(const struct segment_settings *settings)
{
    return (struct segment_limits){
        .max_visitors = settings->max_visitors,
        .max_scopes = settings->max_scopes,
        .max_window = settings->max_window,
        .max_histories = settings->max_histories,
        .max_events = settings->max_events,
    };
}

/* How the file at the path came to be what it is now. */
enum segment_origin {
    SEGMENT_CREATED,  /* there was none */
    SEGMENT_ATTACHED, /* goes on counting what an earlier daemon left */
    SEGMENT_RENEWED,  /* replaced one of another geometry, version or boot */
};

struct segment_file {
    int descriptor; /* holds the lock */
    enum segment_origin origin;
    struct segment segment;
};

/* Open the segment at `path`, create it if there is none, replace it if it was made with other
 * settings, by another version or before this boot. `now` is the current tick. The file is locked
 * until segment_file_close, so that there is one writer; its memory is reserved in full.
 * Errors: -EBUSY another daemon holds it (its pid in *ret_holder); -EBADMSG the path is something
 * else than a segment, and is left alone; -EPERM it belongs to another user; -ENOSPC; others. */
int segment_file_open(const char *path, const struct segment_settings *settings, uint64_t now,
                      struct segment_file *ret, pid_t *ret_holder);

/* Unmap and unlock. The file stays for readers and the next daemon. */
void segment_file_close(struct segment_file *file);

#endif

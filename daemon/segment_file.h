/* segment_file.h - create, attach to, lock and replace the segment's file. */
#ifndef PRESENCED_SEGMENT_FILE_H
#define PRESENCED_SEGMENT_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/segment.h"

/* The origin of the file. */
enum segment_origin {
    SEGMENT_CREATED,  /* there was none */
    SEGMENT_ATTACHED, /* an earlier daemon left it */
    SEGMENT_RENEWED,  /* it replaced one of another geometry, version or boot, or a damaged one */
};

struct segment_file {
    int descriptor; /* holds the lock */
    enum segment_origin origin;
    enum segment_state former_state; /* of an attached one, as the last daemon left it */
    uint64_t entries;                /* of an attached one: words in its table when it was judged */
    struct segment segment;
    uint64_t huge_end; /* offset up to which segment_map_collapse got */
    char account[320]; /* of a renewed one: why, and what moved into it */
};

/* Open the segment at `path`, create it if there is none, replace it if it was made with other
 * settings, by another version or before this boot, or if it is damaged. What a sound one of this
 * boot holds moves into the new one (segment_move.h). `now` is the current tick. The file is locked
 * until segment_file_close, so that there is one writer; its memory is reserved in full. While it
 * is being replaced there is memory for both; on failure the old one stays as it was. Errors:
 * -EBUSY another daemon holds it (its pid in *ret_holder); -EBADMSG the path is something else than
 * a segment, and is left alone; -EPERM it belongs to a stranger (segment_path.h); -ENOSPC; those of
 * segment_room_check; others. */
int segment_file_open(const char *path, const struct segment_settings *settings, uint64_t now,
                      struct segment_file *ret, pid_t *ret_holder);

/* Check that no other daemon holds the segment at `path`, without touching it. Errors: -EBUSY one
 * does (its pid in *ret_holder); all others are left to segment_file_open. */
int segment_file_probe(const char *path, pid_t *ret_holder);

/* True if a file of a newer version was kept beside the path when it was replaced. */
bool segment_file_has_kept(const char *path);

/* Remove the name of a file that segment_file_open has created, since nobody will count there. A
 * file that was there before stays. Before segment_file_close. */
void segment_file_discard(const struct segment_file *file, const char *path);

/* ---- shared with segment_copy.h and segment_name.h ---------------------------------------- */

/* Create a file without a name in the path's directory, with all memory reserved, and lock it. If
 * the daemon ends before it has a name, the kernel frees it. Returns a descriptor. Errors: those of
 * segment_room_check; -ENOSPC the file system is full; those of open(2). */
int segment_file_reserve(const char *path, uint64_t size);

/* Give a file a name that no other has. Errors: -EEXIST; -ENOENT the file was deleted, or there is
 * no directory; -EXDEV; others. */
int segment_file_link(int descriptor, const char *path);

/* True if the path, without following a link, names the file behind the descriptor. */
bool segment_file_is_at(int descriptor, const char *path);

/* Unmap and unlock. The file stays for readers and the next daemon. */
void segment_file_close(struct segment_file *file);

#endif

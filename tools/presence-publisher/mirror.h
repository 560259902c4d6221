/* mirror.h - compare two passes over a segment: what the engine has, and what it should have. One
 * thread at a time.
 *
 * Both are told by the index of an entry and its generation. A scope's name is copied when it has a
 * count for the first time, and kept until the engine no longer has it: also what is gone from the
 * segment can be removed by name.
 */
#ifndef PRESENCE_PUBLISHER_MIRROR_H
#define PRESENCE_PUBLISHER_MIRROR_H

#include "presence/scan.h"

/* One of the two. */
struct mirror_side {
    struct scan scan;
    char **names;  /* by index; NULL: not needed yet */
    uint8_t *keys; /* of sites: bit WINDOW: it has a key of its own in that window */
};

struct mirror {
    struct mirror_side written, next;
    /* For whoever goes through the differences: by index, each as long as the directory. */
    uint32_t *list, *chain, *heads, *lengths;
};

/* The marks of a site in one window. */
struct mirror_marks {
    uint8_t unknown; /* bit KIND */
    uint8_t partial; /* bit KIND */
    int64_t quiet;   /* Unix seconds, 0: not quiet */
};

/* Allocate for a segment; nothing is written yet. Release it with mirror_free. Errors: -ENOMEM. */
int mirror_init(uint32_t capacity, const struct scan_windows *windows, struct mirror *ret);
void mirror_free(struct mirror *mirror); /* zeroed is fine */

/* Count all scopes, and find out what the engine should have. Follow it by mirror_commit or
 * mirror_discard. Errors: -ENOMEM, and then it is discarded already. */
int mirror_load(struct mirror *mirror, struct presence *presence);

/* The engine has all of that now; or it has not got it. */
void mirror_commit(struct mirror *mirror);
void mirror_discard(struct mirror *mirror);

/* True if the scope of an index is the same on both sides. */
static inline bool mirror_is_same(const struct mirror *mirror, uint32_t index)
{
    return mirror->written.scan.scopes[index].generation ==
           mirror->next.scan.scopes[index].generation;
}

/* True if a site has a key of its own in a window. */
static inline bool mirror_has_key(const struct mirror_side *side, uint32_t index, unsigned window)
{
    return side->keys[index] >> window & 1;
}

/* Return the marks of a site in a window. */
struct mirror_marks mirror_marks_of(const struct mirror_side *side, uint32_t index,
                                    unsigned window);

/* Return the number of indices that may have scopes, on either side. */
static inline uint32_t mirror_used(const struct mirror *mirror)
{
    const uint32_t written = mirror->written.scan.used, next = mirror->next.scan.used;

    return written > next ? written : next;
}

#endif

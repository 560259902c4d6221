/* segment_judge.h - check whether a daemon can have left an existing segment as it is.
 *
 * A daemon killed between any two stores leaves entries without a link, links to freed entries,
 * half a name in a free entry, half-written records, and buckets that are off by its batches. All
 * that is sound: the next daemon repairs it, or it ages out. Anything else is the work of a fault
 * or an attacker, and no daemon may go on counting from it.
 */
#ifndef PRESENCED_SEGMENT_JUDGE_H
#define PRESENCED_SEGMENT_JUDGE_H

#include "core/segment.h"

/* A fault, in words for the log. */
struct segment_fault {
    const char *part; /* "header", "scope", "history", ... */
    uint64_t index;   /* of the part */
    const char *what;
};

/* Judge everything that a daemon would use of a segment at tick `now`. Its header was judged
 * against the file (segment_judge), and its tick is not after `now`. Returns true with the number of
 * words in its table, or false with the first fault in `*ret`; the other is untouched. Reads each
 * section once. No other thread or process may write. */
bool segment_is_sound(const struct segment *segment, uint64_t now, uint64_t *ret_entries,
                      struct segment_fault *ret);

#endif

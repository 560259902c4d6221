/* segment_move.h - move an old segment's contents into a new one of another geometry or layout. */
#ifndef PRESENCED_SEGMENT_MOVE_H
#define PRESENCED_SEGMENT_MOVE_H

#include "core/segment.h"

/* The outcome. */
struct segment_moved {
    bool counts;        /* entries and rings moved: every count is as before */
    uint32_t scopes;    /* that had no room in the new one */
    uint32_t histories; /* likewise; their scopes keep the peaks */
    uint64_t events;    /* likewise, the oldest */
    uint32_t streams;   /* likewise, silent longest */
};

/* Convert the header of a segment to this version's layout, or return false if its layout can't be
 * moved. Versions 2 to 4 have the same sections and counters, but no streams, and a header that is
 * as long or shorter: the rest becomes 0. */
bool segment_move_upgrade_header(const struct segment_header *header, struct segment_header *ret);

/* Fill a new segment with the contents of an old one. Counters, streams, events, histories and
 * peaks move in any case. Entries and rings move if the table has the same size and every scope
 * with visitors finds room; otherwise all counts start anew, without departures.
 *
 * The old one has a header that segment_move_upgrade_header made, is sound (segment_is_sound) and
 * only read. The new one is all zero but for its header and the number of its first event. Nobody
 * else may use either. -ENOMEM. */
int segment_move(const struct segment *old, const struct segment *new, struct segment_moved *ret);

#endif

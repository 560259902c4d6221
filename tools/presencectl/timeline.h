/* timeline.h - a scope's history out of the segment and the database, as one. */
#ifndef PRESENCECTL_TIMELINE_H
#define PRESENCECTL_TIMELINE_H

#include "archive.h"
#include "presence/presence.h"

/* Steps of time, oldest first; those in which nobody observed are absent. */
struct timeline {
    struct presence_minute *steps; /* a minute each, or what is made of those of a longer step */
    size_t length;
    size_t capacity;
    int64_t since;                /* Unix seconds */
    uint32_t step_s;              /* a multiple of 60 */
    struct presence_history held; /* the segment's half, until timeline_end */
};

/* Put both halves together: each minute once, even if it is in both, as whoever observed it for
 * longer saw it. Minutes of the boot that the segment is of begin when the segment says, whatever
 * the wall clock was when they were kept. Either half may be empty; what began before `since` is
 * left out.
 *
 * Begin with the segment's half, which is given away; add what was kept, minute by minute; end.
 * Minutes are gathered into steps of `step_s` seconds, which begin at multiples of it, as they
 * come: it takes memory for the steps, not for the minutes. 60: they stay as they are. Release with
 * timeline_free, at any time. */
void timeline_begin(struct presence_history *held, int64_t since, uint32_t step_s,
                    struct timeline *ret);

/* Minutes of a boot come one after the other, the oldest first. -ENOMEM. */
int timeline_add(struct timeline *timeline, const struct archive_minute *kept);

/* -ENOMEM. */
int timeline_end(struct timeline *timeline);

/* All steps as one: what was lowest, highest and so on. `ret_highest` is when the highest began. */
struct presence_minute timeline_sum(const struct timeline *timeline, int64_t *ret_highest);

void timeline_free(struct timeline *timeline);

#endif

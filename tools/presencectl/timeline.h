/* timeline.h - a scope's history out of the segment and the database, as one. */
#ifndef PRESENCECTL_TIMELINE_H
#define PRESENCECTL_TIMELINE_H

#include "archive.h"
#include "presence/presence.h"

/* Steps of time, oldest first; those in which nobody observed are absent. */
struct timeline {
    struct presence_minute *steps; /* a minute each, or what timeline_gather made of them */
    size_t length;
};

/* Put both halves together: each minute once, even if it is in both or in one of them twice, as
 * whoever observed it for longer saw it. Minutes of the boot that the segment is of begin when the
 * segment says, whatever the wall clock was when they were kept. Either half may be empty; what
 * began before `since` (Unix seconds) is left out.
 * `ret` is to be released with timeline_free. -ENOMEM. */
int timeline_merge(const struct archive_history *kept, const struct presence_history *held,
                   int64_t since, struct timeline *ret);

/* Gather minutes into steps of `step_s` seconds, a multiple of 60, which begin at multiples of it.
 * 60: as they are. */
void timeline_gather(struct timeline *timeline, uint32_t step_s);

/* All steps as one: what was lowest, highest and so on. `ret_highest` is when the highest began. */
struct presence_minute timeline_sum(const struct timeline *timeline, int64_t *ret_highest);

void timeline_free(struct timeline *timeline);

#endif

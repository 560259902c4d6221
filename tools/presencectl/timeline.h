/* timeline.h - a scope's history: the segment's minutes and the database's, merged. */
#ifndef PRESENCECTL_TIMELINE_H
#define PRESENCECTL_TIMELINE_H

#include "archive/archive.h"
#include "presence/presence.h"

/* A minute, or the sum of a longer step's minutes; like struct presence_minute. */
struct timeline_step {
    int64_t start;             /* Unix seconds */
    uint64_t minute;           /* its number in its boot; of a minute alone */
    uint64_t minimum, maximum; /* of the count */
    double mean;               /* likewise */
    uint32_t seconds;          /* in which it was observed */
    bool has_traffic;          /* false: the next five are 0 because they are unknown */
    uint64_t heartbeats, pageviews, entries, leaves, departures;
    bool warming, running, partial;
};

/* Steps of time, oldest first. Steps in which no collector ran are absent. */
struct timeline {
    struct timeline_step *steps;
    size_t length;
    size_t capacity;
    int64_t since;              /* Unix seconds */
    int64_t until;              /* Unix seconds; 0: no bound */
    uint32_t step_s;            /* a multiple of 60 */
    int64_t first, last;        /* when the first and the last minute began; 0: there is none */
    uint64_t future;            /* recorded minutes left out: they are still to come */
    struct timeline_step *held; /* the segment's minutes, until timeline_end */
    size_t held_length;
    uint8_t held_boot_id[16];
};

/* Merging takes three calls: timeline_begin with the segment's minutes, which it copies,
 * timeline_add for each minute of the database, timeline_end. Call timeline_free at any time.
 *
 * A minute that both have is used once, from the one that observed it for longer. Minutes of the
 * segment's boot start when the segment says, since the wall clock may have been different when
 * they were recorded. Either source may be empty. Minutes that start before `since` are left out,
 * and so are recorded ones that start after `until`, which may be set after timeline_begin: the
 * wall clock was ahead. Minutes are summed into steps of `step_s` seconds, aligned to multiples of
 * it, as they arrive, so memory grows with the steps and not with the minutes; with 60 they stay as
 * they are. Returns 0 or -ENOMEM. */
int timeline_begin(const struct presence_history *held, int64_t since, uint32_t step_s,
                   struct timeline *ret);

/* Add a recorded minute; those of one boot must come oldest first. Returns 0 or -ENOMEM. */
int timeline_add(struct timeline *timeline, const struct archive_minute *kept);

/* Add the segment's minutes and sort the steps. Returns 0 or -ENOMEM. */
int timeline_end(struct timeline *timeline);

/* Sum up all steps. `ret_highest` is the start, in Unix seconds, of the step with the maximum. */
struct timeline_step timeline_sum(const struct timeline *timeline, int64_t *ret_highest);

void timeline_free(struct timeline *timeline);

#endif

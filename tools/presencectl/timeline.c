#include "timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CLOCK_SLACK 5 /* seconds: a minute may begin while the history is loaded */

/* Add a minute, or another step, to a step. */
static void add(struct presence_minute *step, const struct presence_minute *minute)
{
    uint32_t seconds = step->seconds + minute->seconds;

    if (step->seconds == 0 || (minute->seconds && minute->minimum < step->minimum))
        step->minimum = minute->minimum;
    if (minute->maximum > step->maximum)
        step->maximum = minute->maximum;
    if (seconds)
        step->mean = (step->mean * step->seconds + minute->mean * minute->seconds) / seconds;
    step->seconds = seconds;
    step->heartbeats += minute->heartbeats;
    step->pageviews += minute->pageviews;
    step->entries += minute->entries;
    step->leaves += minute->leaves;
    step->departures += minute->departures;
    step->warming = step->warming || minute->warming;
    step->running = step->running || minute->running;
}

static int64_t step_of(int64_t start, uint32_t step_s)
{
    int64_t into = start % step_s;

    return start - (into < 0 ? into + step_s : into);
}

static int append(struct timeline *timeline, const struct presence_minute *step)
{
    if (timeline->length == timeline->capacity) {
        size_t more = timeline->capacity ? timeline->capacity * 2 : 512;
        struct presence_minute *steps = reallocarray(timeline->steps, more, sizeof(*steps));
        if (!steps)
            return -ENOMEM;
        timeline->steps = steps;
        timeline->capacity = more;
    }
    timeline->steps[timeline->length++] = *step;
    return 0;
}

/* Add a minute to the last step if it belongs to it, or else to a new one. */
static int add_minute(struct timeline *timeline, const struct presence_minute *minute)
{
    struct presence_minute step = {.start = step_of(minute->start, timeline->step_s)};

    if (minute->start < timeline->since)
        return 0;
    if (!timeline->first || minute->start < timeline->first)
        timeline->first = minute->start;
    if (minute->start > timeline->last)
        timeline->last = minute->start;
    if (timeline->step_s <= 60)
        return append(timeline, minute);
    if (timeline->length && timeline->steps[timeline->length - 1].start == step.start) {
        add(&timeline->steps[timeline->length - 1], minute);
        return 0;
    }
    add(&step, minute);
    return append(timeline, &step);
}

static bool is_to_come(const struct timeline *timeline, int64_t start)
{
    return timeline->until && start > timeline->until + CLOCK_SLACK;
}

/* Add a minute of the database that the segment does not have. */
static int add_recorded(struct timeline *timeline, const struct presence_minute *minute)
{
    if (!is_to_come(timeline, minute->start))
        return add_minute(timeline, minute);
    timeline->future++;
    return 0;
}

static bool is_of_held(const struct timeline *timeline, const struct archive_minute *kept)
{
    const struct presence_history *held = &timeline->held;

    return held->length > 0 && memcmp(kept->boot_id, held->boot_id, sizeof(held->boot_id)) == 0;
}

static int compare_numbers(const void *left, const void *right)
{
    const struct presence_minute *a = left, *b = right;

    return a->minute < b->minute ? -1 : a->minute > b->minute;
}

/* True if the recorded minute is used instead of the segment's: it was observed for longer, or for
 * as long with more heartbeats. Of equals, the segment's knows whether the minute is running. */
static bool is_better(const struct presence_minute *kept, const struct presence_minute *held)
{
    if (kept->seconds != held->seconds)
        return kept->seconds > held->seconds;
    return kept->heartbeats > held->heartbeats;
}

static uint32_t clamp(uint64_t count)
{
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

/* Make a segment's minute of a recorded one. */
static struct presence_minute minute_of(const struct archive_minute *kept)
{
    return (struct presence_minute){
        .minute = kept->minute,
        .start = kept->start,
        .minimum = clamp(kept->minimum),
        .maximum = clamp(kept->maximum),
        .mean = kept->mean,
        .seconds = kept->seconds,
        .heartbeats = kept->heartbeats,
        .pageviews = kept->pageviews,
        .entries = kept->entries,
        .leaves = kept->leaves,
        .departures = kept->departures,
        .warming = kept->warming,
    };
}

void timeline_begin(struct presence_history *held, int64_t since, uint32_t step_s,
                    struct timeline *ret)
{
    *ret = (struct timeline){.since = since, .step_s = step_s, .held = *held};
    *held = (struct presence_history){0};
}

int timeline_add(struct timeline *timeline, const struct archive_minute *kept)
{
    const struct presence_history *held = &timeline->held;
    struct presence_minute minute = minute_of(kept);

    if (!is_of_held(timeline, kept))
        return add_recorded(timeline, &minute);
    /* Minutes of a boot are 60 s apart: derive the start from the segment's first one, unless the
     * boot has not come so far, in the time namespace of its collector. Unsigned, since any number
     * may be in the database. */
    int64_t start = (int64_t)((uint64_t)held->minutes[0].start +
                              60 * (minute.minute - held->minutes[0].minute));
    if (!is_to_come(timeline, start))
        minute.start = start;
    struct presence_minute *same =
        bsearch(&minute, held->minutes, held->length, sizeof(*held->minutes), compare_numbers);
    if (!same)
        return add_recorded(timeline, &minute);
    if (is_better(&minute, same))
        *same = minute;
    return 0;
}

static int compare_starts(const void *left, const void *right)
{
    const struct presence_minute *a = left, *b = right;

    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return compare_numbers(left, right);
}

/* Merge steps with the same start: boots can overlap, and both sources can contribute to a step. */
static void join_steps(struct timeline *timeline)
{
    struct presence_minute *steps = timeline->steps;
    size_t used = 0;

    for (size_t i = 0; i < timeline->length; i++) {
        if (used > 0 && timeline->step_s > 60 && steps[used - 1].start == steps[i].start)
            add(&steps[used - 1], &steps[i]);
        else
            steps[used++] = steps[i];
    }
    timeline->length = used;
}

int timeline_end(struct timeline *timeline)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < timeline->held.length; i++)
        r = add_minute(timeline, &timeline->held.minutes[i]);
    presence_history_free(&timeline->held);
    if (r < 0 || timeline->length == 0)
        return r;
    qsort(timeline->steps, timeline->length, sizeof(*timeline->steps), compare_starts);
    join_steps(timeline);
    return 0;
}

struct presence_minute timeline_sum(const struct timeline *timeline, int64_t *ret_highest)
{
    struct presence_minute sum = {0};

    *ret_highest = 0;
    for (size_t i = 0; i < timeline->length; i++) {
        const struct presence_minute *step = &timeline->steps[i];
        if (i == 0 || step->maximum > sum.maximum)
            *ret_highest = step->start;
        add(&sum, step);
    }
    return sum;
}

void timeline_free(struct timeline *timeline)
{
    free(timeline->steps);
    presence_history_free(&timeline->held);
    *timeline = (struct timeline){0};
}

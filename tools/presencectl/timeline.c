#include "timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CLOCK_SLACK 5 /* seconds: a minute may begin while the history is loaded */

/* Add a minute, or another step, to a step. */
static void add(struct timeline_step *step, const struct timeline_step *minute)
{
    uint32_t seconds = step->seconds + minute->seconds;

    if (step->seconds == 0 || (minute->seconds && minute->minimum < step->minimum))
        step->minimum = minute->minimum;
    if (minute->maximum > step->maximum)
        step->maximum = minute->maximum;
    if (seconds)
        step->mean = (step->mean * step->seconds + minute->mean * minute->seconds) / seconds;
    step->seconds = seconds;
    step->has_traffic = step->has_traffic || minute->has_traffic;
    step->heartbeats += minute->heartbeats;
    step->pageviews += minute->pageviews;
    step->entries += minute->entries;
    step->leaves += minute->leaves;
    step->departures += minute->departures;
    step->warming = step->warming || minute->warming;
    step->partial = step->partial || minute->partial;
    step->running = step->running || minute->running;
}

static int64_t step_of(int64_t start, uint32_t step_s)
{
    int64_t into = start % step_s;

    return start - (into < 0 ? into + step_s : into);
}

static int append(struct timeline *timeline, const struct timeline_step *step)
{
    if (timeline->length == timeline->capacity) {
        size_t more = timeline->capacity ? timeline->capacity * 2 : 512;
        struct timeline_step *steps = reallocarray(timeline->steps, more, sizeof(*steps));
        if (!steps)
            return -ENOMEM;
        timeline->steps = steps;
        timeline->capacity = more;
    }
    timeline->steps[timeline->length++] = *step;
    return 0;
}

/* Add a minute to the last step if it belongs to it, or else to a new one. */
static int add_minute(struct timeline *timeline, const struct timeline_step *minute)
{
    struct timeline_step step = {.start = step_of(minute->start, timeline->step_s)};

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
static int add_recorded(struct timeline *timeline, const struct timeline_step *minute)
{
    if (!is_to_come(timeline, minute->start))
        return add_minute(timeline, minute);
    timeline->future++;
    return 0;
}

static bool is_of_held(const struct timeline *timeline, const struct archive_minute *kept)
{
    return timeline->held_length > 0 &&
           memcmp(kept->boot_id, timeline->held_boot_id, sizeof(kept->boot_id)) == 0;
}

static int compare_numbers(const void *left, const void *right)
{
    const struct timeline_step *a = left, *b = right;

    return a->minute < b->minute ? -1 : a->minute > b->minute;
}

/* True if the recorded minute is used instead of the segment's: it was observed for longer, or for
 * as long with more heartbeats. Of equals, the segment's knows whether the minute is running. */
static bool is_better(const struct timeline_step *kept, const struct timeline_step *held)
{
    if (kept->seconds != held->seconds)
        return kept->seconds > held->seconds;
    return kept->heartbeats > held->heartbeats;
}

static struct timeline_step step_of_kept(const struct archive_minute *kept)
{
    return (struct timeline_step){
        .start = kept->start,
        .minute = kept->minute,
        .minimum = kept->minimum,
        .maximum = kept->maximum,
        .mean = kept->mean,
        .seconds = kept->seconds,
        .has_traffic = kept->has_traffic,
        .heartbeats = kept->heartbeats,
        .pageviews = kept->pageviews,
        .entries = kept->entries,
        .leaves = kept->leaves,
        .departures = kept->departures,
        .warming = kept->warming,
        .partial = kept->partial,
    };
}

static struct timeline_step step_of_held(const struct presence_minute *held)
{
    struct archive_minute minute = archive_minute_of(held);
    struct timeline_step step = step_of_kept(&minute);

    step.running = held->running;
    return step;
}

int timeline_begin(const struct presence_history *held, int64_t since, uint32_t step_s,
                   struct timeline *ret)
{
    struct timeline timeline = {.since = since, .step_s = step_s, .held_length = held->length};

    timeline.held = calloc(held->length + 1, sizeof(*timeline.held));
    if (!timeline.held)
        return -ENOMEM;
    for (size_t i = 0; i < held->length; i++)
        timeline.held[i] = step_of_held(&held->minutes[i]);
    memcpy(timeline.held_boot_id, held->boot_id, sizeof(timeline.held_boot_id));
    *ret = timeline;
    return 0;
}

int timeline_add(struct timeline *timeline, const struct archive_minute *kept)
{
    const struct timeline_step *held = timeline->held;
    struct timeline_step minute = step_of_kept(kept);

    if (!is_of_held(timeline, kept))
        return add_recorded(timeline, &minute);
    /* Minutes of a boot are 60 s apart: derive the start from the segment's first one, unless the
     * boot has not come so far, in the time namespace of its collector. Unsigned, since any number
     * may be in the database. */
    int64_t start = (int64_t)((uint64_t)held[0].start + 60 * (minute.minute - held[0].minute));
    if (!is_to_come(timeline, start))
        minute.start = start;
    struct timeline_step *same =
        bsearch(&minute, timeline->held, timeline->held_length, sizeof(*held), compare_numbers);
    if (!same)
        return add_recorded(timeline, &minute);
    if (is_better(&minute, same))
        *same = minute;
    return 0;
}

static int compare_starts(const void *left, const void *right)
{
    const struct timeline_step *a = left, *b = right;

    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return compare_numbers(left, right);
}

/* Merge steps with the same start: boots can overlap, and both sources can contribute to a step. */
static void join_steps(struct timeline *timeline)
{
    struct timeline_step *steps = timeline->steps;
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

    for (size_t i = 0; r == 0 && i < timeline->held_length; i++)
        r = add_minute(timeline, &timeline->held[i]);
    free(timeline->held);
    timeline->held = NULL;
    timeline->held_length = 0;
    if (r < 0 || timeline->length == 0)
        return r;
    qsort(timeline->steps, timeline->length, sizeof(*timeline->steps), compare_starts);
    join_steps(timeline);
    return 0;
}

struct timeline_step timeline_sum(const struct timeline *timeline, int64_t *ret_highest)
{
    struct timeline_step sum = {0};

    *ret_highest = 0;
    for (size_t i = 0; i < timeline->length; i++) {
        const struct timeline_step *step = &timeline->steps[i];
        if (i == 0 || step->maximum > sum.maximum)
            *ret_highest = step->start;
        add(&sum, step);
    }
    return sum;
}

void timeline_free(struct timeline *timeline)
{
    free(timeline->steps);
    free(timeline->held);
    *timeline = (struct timeline){0};
}

#include "timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* Minutes with one name side by side, the one that was observed for longest first; of equals the
 * one that saw more, and only the segment knows that a minute is running. */
static int compare_names(const void *left, const void *right)
{
    const struct archive_minute *a = left, *b = right;
    int order = memcmp(a->boot_id, b->boot_id, sizeof(a->boot_id));

    if (order == 0)
        order = compare_numbers(a->minute.minute, b->minute.minute);
    if (order == 0)
        order = compare_numbers(b->minute.seconds, a->minute.seconds);
    if (order == 0)
        order = compare_numbers(b->minute.heartbeats, a->minute.heartbeats);
    return order ? order : b->minute.running - a->minute.running;
}

static int compare_starts(const void *left, const void *right)
{
    const struct presence_minute *a = left, *b = right;

    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return compare_numbers(a->minute, b->minute);
}

/* Minutes of a boot are 60 s apart: let those that were kept begin where the segment's tell. */
static void align(struct archive_minute *minutes, size_t length,
                  const struct presence_history *held)
{
    if (held->length == 0)
        return;
    int64_t began = held->minutes[0].start - 60 * (int64_t)held->minutes[0].minute;
    for (size_t i = 0; i < length; i++) {
        if (memcmp(minutes[i].boot_id, held->boot_id, sizeof(held->boot_id)) == 0)
            minutes[i].minute.start = began + 60 * (int64_t)minutes[i].minute.minute;
    }
}

int timeline_merge(const struct archive_history *kept, const struct presence_history *held,
                   int64_t since, struct timeline *ret)
{
    size_t length = kept->length + held->length, used = 0;
    struct archive_minute *all = calloc(length + 1, sizeof(*all));
    struct timeline timeline = {.steps = calloc(length + 1, sizeof(*timeline.steps))};

    if (!all || !timeline.steps) {
        free(all);
        free(timeline.steps);
        return -ENOMEM;
    }
    for (size_t i = 0; i < kept->length; i++)
        all[i] = kept->minutes[i];
    align(all, kept->length, held);
    for (size_t i = 0; i < held->length; i++) {
        memcpy(all[kept->length + i].boot_id, held->boot_id, sizeof(held->boot_id));
        all[kept->length + i].minute = held->minutes[i];
    }
    qsort(all, length, sizeof(*all), compare_names);
    for (size_t i = 0; i < length; i++) {
        bool is_again = i > 0 && all[i].minute.minute == all[i - 1].minute.minute &&
                        memcmp(all[i].boot_id, all[i - 1].boot_id, sizeof(all[i].boot_id)) == 0;
        if (!is_again && all[i].minute.start >= since)
            timeline.steps[used++] = all[i].minute;
    }
    free(all);
    qsort(timeline.steps, used, sizeof(*timeline.steps), compare_starts);
    timeline.length = used;
    *ret = timeline;
    return 0;
}

/* Add a minute to what was seen of a step. */
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

void timeline_gather(struct timeline *timeline, uint32_t step_s)
{
    struct presence_minute *steps = timeline->steps;
    size_t used = 0;

    if (step_s <= 60)
        return;
    for (size_t i = 0; i < timeline->length; i++) {
        struct presence_minute minute = steps[i];
        int64_t start = step_of(minute.start, step_s);
        if (used == 0 || steps[used - 1].start != start)
            steps[used++] = (struct presence_minute){.start = start};
        add(&steps[used - 1], &minute);
    }
    timeline->length = used;
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
    *timeline = (struct timeline){0};
}

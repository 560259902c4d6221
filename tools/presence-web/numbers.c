#include "numbers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/monotonic.h"
#include "common/segment_source.h"

#define COUNTERS_MAX 128

struct numbers {
    struct segment_source source;
    struct presence_status status;
    int64_t status_at_ns;
};

struct numbers *numbers_new(const char *path)
{
    struct numbers *numbers = calloc(1, sizeof(*numbers));

    if (!numbers)
        return NULL;
    segment_source_init(&numbers->source, path);
    numbers->status_at_ns = INT64_MIN / 2;
    return numbers;
}

void numbers_free(struct numbers *numbers)
{
    if (!numbers)
        return;
    segment_source_close(&numbers->source);
    free(numbers);
}

struct presence *numbers_presence(struct numbers *numbers)
{
    struct presence *presence;

    return segment_source_get(&numbers->source, &presence) < 0 ? NULL : presence;
}

int numbers_status(struct numbers *numbers, struct presence_status *ret)
{
    struct presence *presence = numbers_presence(numbers);
    int64_t now_ns = monotonic_ns();

    if (!presence)
        return -ENODATA;
    if (now_ns - numbers->status_at_ns >= NUMBERS_STATUS_NS) {
        int r = presence_status(presence, &numbers->status);
        if (r < 0) {
            segment_source_failed(&numbers->source, r);
            return -ENODATA;
        }
        numbers->status_at_ns = now_ns;
    }
    *ret = numbers->status;
    return 0;
}

uint64_t numbers_counter(struct numbers *numbers, const char *name)
{
    struct presence *presence = numbers_presence(numbers);
    struct presence_counter counters[COUNTERS_MAX];

    if (!presence)
        return 0;
    size_t count = presence_counters(presence, counters, COUNTERS_MAX);
    for (size_t i = 0; i < count && i < COUNTERS_MAX; i++) {
        if (strcmp(counters[i].name, name) == 0)
            return counters[i].value;
    }
    return 0;
}

/* A place without a heartbeat: nobody is there, unless they may have been missed. */
static void nobody(struct numbers *numbers, uint32_t window_s, struct number *ret)
{
    struct presence *presence = numbers_presence(numbers);

    *ret = (struct number){.stale = true, .window_s = window_s};
    if (!presence)
        return;
    struct presence_reading now = presence_freshness(presence);
    *ret = (struct number){
        .known = !now.stale && numbers_counter(numbers, "scopes_full") == 0,
        .has_time = true,
        .stale = now.stale,
        .warming = now.warming,
        .window_s = window_s,
        .as_of = now.as_of,
        .as_of_age_s = now.as_of_age_s,
    };
}

static int count(struct numbers *numbers, const struct place *place, uint32_t *window_s,
                 struct presence_reading *ret)
{
    struct presence *presence = numbers_presence(numbers);
    struct presence_status status;

    if (!presence)
        return -ENODATA;
    int r = presence_count(presence, place->site, place_room(place), *window_s, ret);
    if (r != -ERANGE)
        return r;
    r = presence_status(presence, &status);
    if (r < 0)
        return r;
    *window_s = status.max_window_s;
    return presence_count(presence, place->site, place_room(place), *window_s, ret);
}

void numbers_count(struct numbers *numbers, const struct place *place, uint32_t window_s,
                   struct number *ret)
{
    struct presence_reading reading;
    int r = count(numbers, place, &window_s, &reading);

    if (r < 0) {
        segment_source_failed(&numbers->source, r);
        nobody(numbers, window_s, ret);
        ret->known &= r == -ENOENT;
        return;
    }
    *ret = (struct number){
        .known = true,
        .has_heartbeat = true,
        .has_time = true,
        .stale = reading.stale,
        .warming = reading.warming,
        .count = reading.count,
        .window_s = reading.window_s,
        .last_heartbeat_s = reading.last_heartbeat_s,
        .as_of = reading.as_of,
        .as_of_age_s = reading.as_of_age_s,
    };
}

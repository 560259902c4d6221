/* show.h - numbers and times as they stand in answers. */
#ifndef PRESENCE_WEB_SHOW_H
#define PRESENCE_WEB_SHOW_H

#include <jansson.h>

#include "numbers.h"

#define SHOW_TIME_SIZE 40

struct shown_time {
    char text[SHOW_TIME_SIZE];
};

/* Unix seconds as 2026-01-31T12:00:00Z; Unix microseconds as 2026-01-31T12:00:00.123456Z. */
struct shown_time show_time(int64_t seconds);
struct shown_time show_time_us(int64_t microseconds);

/* How many, or null. */
json_t *show_count(const struct number *number);

/* Add what is needed to judge a number: the place, the window, and the marks. */
void show_number(json_t *object, const struct place *place, const struct number *number);

/* {"count": ..., and all of that}. */
json_t *show_place(const struct place *place, const struct number *number);

/* Add what is to be said with any figure. */
void show_marks(json_t *object, bool stale, bool warming, bool has_time, int64_t as_of);

#endif

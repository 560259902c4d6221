/* times.h - times and durations as text. */
#ifndef PRESENCECTL_TIMES_H
#define PRESENCECTL_TIMES_H

#include <stdint.h>

#define SHOW_TIME_SIZE     32
#define SHOW_DURATION_SIZE 32

struct shown_time {
    char text[SHOW_TIME_SIZE];
};

struct shown_duration {
    char text[SHOW_DURATION_SIZE];
};

/* Unix seconds as 2026-01-31T12:00:00Z. */
struct shown_time show_time(int64_t seconds);

/* Unix microseconds as 2026-01-31T12:00:00.000000Z. */
struct shown_time show_time_us(int64_t microseconds);

/* 12 s, 5 min, 3 h, 2 d: rounded down, at least two of the unit except for seconds. */
struct shown_duration show_duration(uint64_t seconds);

/* A window: like a duration, but exact. */
struct shown_duration show_window(uint32_t seconds);

#endif

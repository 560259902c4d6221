/* time_text.h - format and parse times and durations. All functions: any thread. */
#ifndef PRESENCE_TIME_TEXT_H
#define PRESENCE_TIME_TEXT_H

#include <stdint.h>

#define SHOW_TIME_SIZE     32
#define SHOW_DURATION_SIZE 32

struct shown_time {
    char text[SHOW_TIME_SIZE];
};

struct shown_duration {
    char text[SHOW_DURATION_SIZE];
};

/* Format Unix seconds as 2026-01-31T12:00:00Z. */
struct shown_time show_time(int64_t seconds);

/* Format Unix microseconds as 2026-01-31T12:00:00.000000Z. */
struct shown_time show_time_us(int64_t microseconds);

/* Format seconds as 12 s, 5 min, 3 h or 2 d: rounded down, at least two of the unit except for
 * seconds. */
struct shown_duration show_duration(uint64_t seconds);

/* Format a window, exactly: 0 s, 90 s, 5 min or 1 h. */
struct shown_duration show_window(uint32_t seconds);

/* Parse a duration: 90, 90s, 5m, 1h, 2d or 1w. Errors: -EINVAL. */
int duration_parse(const char *text, uint64_t *ret_seconds);

/* Parse a time (RFC 3339): 2026-01-31, 2026-01-31T12:00, or with seconds, which may have decimals,
 * of which six count. A blank may stand for the T. A zone may follow a time of day: Z, or an offset
 * such as +05:30, whose + may have become a blank in a URL; without one it is UTC. Errors: -EINVAL.
 */
int time_parse(const char *text, int64_t *ret_microseconds);

#endif

#include "times.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct shown_time show_time(int64_t seconds)
{
    time_t time = seconds;
    struct shown_time shown = {"?"};
    struct tm parts;

    if (gmtime_r(&time, &parts))
        strftime(shown.text, sizeof(shown.text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return shown;
}

struct shown_time show_time_us(int64_t microseconds)
{
    int64_t part = microseconds % 1000000;
    struct shown_time shown = show_time((microseconds - part) / 1000000);
    char *zone = strchr(shown.text, 'Z');

    if (zone && part >= 0)
        snprintf(zone, sizeof(shown.text) - (size_t)(zone - shown.text), ".%06" PRId64 "Z", part);
    return shown;
}

struct shown_duration show_duration(uint64_t seconds)
{
    static const struct {
        uint64_t seconds;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    struct shown_duration shown;
    size_t unit = 0;

    while (units[unit].seconds > 1 && seconds < 2 * units[unit].seconds)
        unit++;
    snprintf(shown.text, sizeof(shown.text), "%" PRIu64 " %s", seconds / units[unit].seconds,
             units[unit].name);
    return shown;
}

struct shown_duration show_window(uint32_t seconds)
{
    struct shown_duration shown;
    const char *unit = seconds % 3600 == 0 ? "h" : seconds % 60 == 0 ? "min" : "s";
    uint32_t size = seconds % 3600 == 0 ? 3600 : seconds % 60 == 0 ? 60 : 1;

    snprintf(shown.text, sizeof(shown.text), "%" PRIu32 " %s", seconds / size, unit);
    return shown;
}

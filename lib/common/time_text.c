#include "time_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
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
    int64_t part = (microseconds % 1000000 + 1000000) % 1000000;
    struct shown_time shown = show_time((microseconds - part) / 1000000);
    char *zone = strchr(shown.text, 'Z');

    if (zone)
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
    uint32_t size = seconds == 0 || seconds % 60 ? 1 : seconds % 3600 ? 60 : 3600;
    const char *unit = size == 3600 ? "h" : size == 60 ? "min" : "s";

    snprintf(shown.text, sizeof(shown.text), "%" PRIu32 " %s", seconds / size, unit);
    return shown;
}

int duration_parse(const char *text, uint64_t *ret_seconds)
{
    static const char units[] = "smhdw";
    static const uint32_t sizes[] = {1, 60, 3600, 86400, 7 * 86400};
    char *end;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    const char *unit = *end ? strchr(units, *end) : units;
    if (errno || !unit || (*end && end[1]) || number > UINT64_MAX / sizes[unit - units])
        return -EINVAL;
    *ret_seconds = number * sizes[unit - units];
    return 0;
}

/* Parse digits behind a point as microseconds, without those behind the sixth. False: there is a
 * point and no digit. */
static bool parse_fraction(const char **text, int64_t *ret)
{
    size_t digits = **text == '.' ? strspn(*text + 1, "0123456789") : 0;

    if (**text != '.')
        return true;
    for (size_t i = 1; i <= 6; i++)
        *ret = *ret * 10 + (i <= digits ? (*text)[i] - '0' : 0);
    *text += 1 + digits;
    return digits > 0;
}

int time_parse(const char *text, int64_t *ret_microseconds)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    const char *end = NULL;
    struct tm parts;
    int64_t fraction = 0;

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]) && !end; i++) {
        parts = (struct tm){0};
        end = strptime(text, forms[i], &parts);
        if (end && i == 0 && !parse_fraction(&end, &fraction))
            return -EINVAL;
    }
    if (!end || (*end && strcmp(end, "Z") != 0))
        return -EINVAL;
    *ret_microseconds = timegm(&parts) * INT64_C(1000000) + fraction;
    return 0;
}

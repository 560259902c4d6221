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

    if (gmtime_r(&time, &parts)) {
        /* The %Y of strftime has three digits in the year 622. */
        int year = snprintf(shown.text, sizeof(shown.text), "%04ld", 1900L + parts.tm_year);
        strftime(shown.text + year, sizeof(shown.text) - (size_t)year, "-%m-%dT%H:%M:%SZ", &parts);
    }
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

/* ---- parsing a time ------------------------------------------------------------------------- */

/* Skip a character that must be there. */
static bool skip(const char **text, char wanted)
{
    if (**text != wanted)
        return false;
    (*text)++;
    return true;
}

/* Parse exactly that many digits, as a number within the bounds. */
static bool parse_digits(const char **text, unsigned digits, int least, int most, int *ret)
{
    int number = 0;

    for (; digits; digits--, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        number = number * 10 + (**text - '0');
    }
    *ret = number;
    return number >= least && number <= most;
}

static bool parse_date(const char **text, struct tm *parts)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;

    if (!parse_digits(text, 4, 0, 9999, &year) || !skip(text, '-') ||
        !parse_digits(text, 2, 1, 12, &month) || !skip(text, '-') ||
        !parse_digits(text, 2, 1, days[month - 1], &day))
        return false;
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    parts->tm_year = year - 1900;
    parts->tm_mon = month - 1;
    parts->tm_mday = day;
    return month != 2 || day < 29 || is_leap;
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

/* Parse hours and minutes, perhaps with seconds (60: a leap second) and a fraction of one. */
static bool parse_clock(const char **text, struct tm *parts, int64_t *ret_fraction)
{
    if (!parse_digits(text, 2, 0, 23, &parts->tm_hour) || !skip(text, ':') ||
        !parse_digits(text, 2, 0, 59, &parts->tm_min))
        return false;
    return !skip(text, ':') ||
           (parse_digits(text, 2, 0, 60, &parts->tm_sec) && parse_fraction(text, ret_fraction));
}

/* Parse a zone, if there is one, as seconds ahead of UTC: Z, +05:30, +0530 or +05. A + of a URL
 * that nobody has encoded arrives as a blank. */
static bool parse_zone(const char **text, int *ret_seconds)
{
    int sign = **text == '-' ? -1 : 1, hours, minutes = 0;

    *ret_seconds = 0;
    if (!**text || skip(text, 'Z') || skip(text, 'z'))
        return true;
    if (!skip(text, '+') && !skip(text, ' ') && !skip(text, '-'))
        return false;
    if (!parse_digits(text, 2, 0, 23, &hours))
        return false;
    bool has_minutes = skip(text, ':') || **text;
    if (has_minutes && !parse_digits(text, 2, 0, 59, &minutes))
        return false;
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

int time_parse(const char *text, int64_t *ret_microseconds)
{
    struct tm parts = {0};
    int64_t fraction = 0;
    int ahead_s = 0;

    if (!parse_date(&text, &parts))
        return -EINVAL;
    if ((skip(&text, 'T') || skip(&text, 't') || skip(&text, ' ')) &&
        (!parse_clock(&text, &parts, &fraction) || !parse_zone(&text, &ahead_s)))
        return -EINVAL;
    if (*text)
        return -EINVAL;
    *ret_microseconds = (timegm(&parts) - ahead_s) * INT64_C(1000000) + fraction;
    return 0;
}

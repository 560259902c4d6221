#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/ring.h"
#include "presencectl.h"

static const char *const kinds[][2] = {
    [PRESENCE_SITE] = {"site", "sites"},
    [PRESENCE_ROOM] = {"room", "rooms"},
    [PRESENCE_COUNTRY] = {"country", "countries"},
    [PRESENCE_SOURCE] = {"source", "sources"},
};

const char *kind_name(enum presence_kind kind)
{
    return kinds[kind][0];
}

const char *kind_plural(enum presence_kind kind)
{
    return kinds[kind][1];
}

bool option_kind(const char *text, enum presence_kind *ret)
{
    for (enum presence_kind kind = PRESENCE_ROOM; kind <= PRESENCE_SOURCE; kind++) {
        if (strcmp(text, kinds[kind][0]) == 0) {
            *ret = kind;
            return true;
        }
    }
    return false;
}

bool option_country(const char *text, char ret[3])
{
    char country[3] = {0};

    for (unsigned i = 0; i < 2; i++) {
        country[i] = (char)(text[i] & ~0x20);
        if (country[i] < 'A' || country[i] > 'Z')
            return false;
    }
    if (text[2])
        return false;
    memcpy(ret, country, sizeof(country));
    return true;
}

/* Digits that `text` begins with; `ret_end` is what follows them. */
static bool read_digits(const char *text, unsigned long long *ret, const char **ret_end)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno)
        return false;
    *ret = value;
    *ret_end = end;
    return true;
}

bool option_number(const char *text, size_t *ret)
{
    unsigned long long value;
    const char *end;

    if (!read_digits(text, &value, &end) || *end || value > SIZE_MAX)
        return false;
    *ret = value;
    return true;
}

/* A number with one of these units, in seconds, at least 1. */
static bool read_duration(const char *text, const char *units, uint32_t *ret)
{
    static const uint32_t sizes[] = {1, 60, 3600, 86400, 7 * 86400};
    unsigned long long value;
    const char *end;

    if (!read_digits(text, &value, &end) || (*end && end[1]) || value > UINT32_MAX)
        return false;
    const char *unit = *end ? strchr(units, *end) : units;
    if (!unit)
        return false;
    value *= sizes[unit - units];
    if (value == 0 || value > UINT32_MAX)
        return false;
    *ret = (uint32_t)value;
    return true;
}

bool option_window(const char *text, uint32_t *ret)
{
    return read_duration(text, "smh", ret);
}

bool option_duration(const char *text, uint32_t *ret)
{
    return read_duration(text, "smhdw", ret);
}

/* Up to six digits behind a point, as microseconds. */
static bool read_fraction(const char **text, int64_t *ret)
{
    int64_t unit = 100000, value = 0;

    if (**text != '.')
        return true;
    for ((*text)++; **text >= '0' && **text <= '9' && unit > 0; (*text)++, unit /= 10)
        value += (**text - '0') * unit;
    *ret = value;
    return unit < 100000;
}

static bool read_time(const char *text, int64_t *ret_us)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
    const char *end = NULL;
    struct tm parts;
    int64_t fraction = 0;

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]) && !end; i++) {
        parts = (struct tm){0};
        end = strptime(text, forms[i], &parts);
        if (end && i == 0 && !read_fraction(&end, &fraction))
            return false;
    }
    if (!end || (*end && strcmp(end, "Z") != 0))
        return false;
    *ret_us = timegm(&parts) * INT64_C(1000000) + fraction;
    return true;
}

bool option_since(const char *text, int64_t now_us, struct since *ret)
{
    unsigned long long number;
    const char *end;
    uint32_t ago_s;

    if (read_digits(text, &number, &end) && !*end)
        *ret = (struct since){.kind = SINCE_NUMBER, .number = number};
    else if (option_duration(text, &ago_s))
        *ret = (struct since){.kind = SINCE_TIME, .time_us = now_us - ago_s * INT64_C(1000000)};
    else if (read_time(text, &now_us))
        *ret = (struct since){.kind = SINCE_TIME, .time_us = now_us};
    else
        return false;
    return true;
}

int64_t since_or(const struct since *since, uint32_t otherwise_s, int64_t now)
{
    switch (since->kind) {
    case SINCE_TIME:
        return since->time_us / 1000000;
    case SINCE_NUMBER:
        return since->number < (uint64_t)now ? now - (int64_t)since->number : 0;
    case SINCE_UNSAID:
        break;
    }
    return now - otherwise_s;
}

uint32_t window_or_default(const struct options *options, const struct presence_status *status)
{
    uint32_t window_s = options->window_s ? options->window_s : PRESENCE_DEFAULT_WINDOW;

    return window_rounded(window_s < status->max_window_s ? window_s : status->max_window_s);
}

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "presence/ring.h"
#include "presence/wire.h"
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

bool option_window(const char *text, uint32_t *ret)
{
    unsigned long long value;
    const char *end;

    if (!read_digits(text, &value, &end) || (*end && end[1]) || value > UINT32_MAX)
        return false;
    switch (*end) {
    case '\0':
    case 's':
        break;
    case 'm':
        value *= 60;
        break;
    case 'h':
        value *= 3600;
        break;
    default:
        return false;
    }
    if (value == 0 || value > UINT32_MAX)
        return false;
    *ret = (uint32_t)value;
    return true;
}

uint32_t window_or_default(const struct options *options, const struct presence_status *status)
{
    uint32_t window_s = options->window_s ? options->window_s : PRESENCE_DEFAULT_WINDOW;

    return window_rounded(window_s < status->max_window_s ? window_s : status->max_window_s);
}

static bool is_name(const char *text, size_t longest)
{
    size_t length = strnlen(text, longest + 1);

    return length >= 1 && length <= longest &&
           utf8_is_name((const uint8_t *)text, (uint32_t)length);
}

bool argument_site(char *text)
{
    if (!is_name(text, WIRE_SITE_MAX)) {
        complain("SITE must be 1 to %d bytes of UTF-8 without control characters", WIRE_SITE_MAX);
        return false;
    }
    for (char *letter = text; *letter; letter++) {
        if (utf8_is_within((uint8_t)*letter, 'A', 'Z'))
            *letter |= 0x20;
    }
    return true;
}

bool argument_room(const char *text)
{
    if (is_name(text, WIRE_ROOM_MAX))
        return true;
    complain("ROOM must be 1 to %d bytes of UTF-8 without control characters", WIRE_ROOM_MAX);
    return false;
}

#include "negotiate.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SPACES " \t"

/* A piece of the header; not zero-terminated. */
struct piece {
    const char *bytes;
    size_t length;
};

static struct piece trim(struct piece piece)
{
    while (piece.length && strchr(SPACES, piece.bytes[0])) {
        piece.bytes++;
        piece.length--;
    }
    while (piece.length && strchr(SPACES, piece.bytes[piece.length - 1]))
        piece.length--;
    return piece;
}

static bool equals(struct piece piece, const char *text)
{
    return piece.length == strlen(text) && strncasecmp(piece.bytes, text, piece.length) == 0;
}

/* Get the piece before the next separator and move the cursor behind it. False: none is left. */
static bool next_piece(const char **cursor, const char *end, char separator, struct piece *ret)
{
    if (*cursor >= end)
        return false;
    const char *found = memchr(*cursor, separator, (size_t)(end - *cursor));
    const char *stop = found ? found : end;
    *ret = trim((struct piece){*cursor, (size_t)(stop - *cursor)});
    *cursor = stop + 1;
    return true;
}

/* True if a piece is NAME=VALUE; the value may be quoted. */
static bool is_parameter(struct piece piece, const char *name, struct piece *ret_value)
{
    const char *equal = memchr(piece.bytes, '=', piece.length);

    if (!equal || !equals((struct piece){piece.bytes, (size_t)(equal - piece.bytes)}, name))
        return false;
    struct piece value = {equal + 1, piece.length - (size_t)(equal + 1 - piece.bytes)};
    if (value.length >= 2 && value.bytes[0] == '"' && value.bytes[value.length - 1] == '"') {
        value.bytes++;
        value.length -= 2;
    }
    *ret_value = value;
    return true;
}

/* Parse 0, 0.5 or 1.000 into thousandths; anything else is 0. */
static unsigned parse_quality(struct piece value)
{
    unsigned quality = 0, unit = 1000;

    if (value.length == 0 || value.length > 5 || (value.bytes[0] != '0' && value.bytes[0] != '1') ||
        (value.length > 1 && value.bytes[1] != '.'))
        return 0;
    quality = (unsigned)(value.bytes[0] - '0') * unit;
    for (size_t i = 2; i < value.length; i++) {
        if (value.bytes[i] < '0' || value.bytes[i] > '9')
            return 0;
        unit /= 10;
        quality += (unsigned)(value.bytes[i] - '0') * unit;
    }
    return quality <= 1000 ? quality : 0;
}

static void raise(unsigned *quality, unsigned other)
{
    if (other > *quality)
        *quality = other;
}

/* Raise the quality of either format, in thousandths, by one media range of the header. */
static void parse_range(struct piece range, unsigned *text, unsigned *openmetrics)
{
    const char *cursor = range.bytes, *end = range.bytes + range.length;
    struct piece type, parameter, value, version = {"", 0};
    unsigned quality = 1000;

    if (!next_piece(&cursor, end, ';', &type))
        return;
    while (next_piece(&cursor, end, ';', &parameter)) {
        if (is_parameter(parameter, "q", &value))
            quality = parse_quality(value);
        else if (is_parameter(parameter, "version", &value))
            version = value;
    }
    if (equals(type, "application/openmetrics-text") &&
        (!version.length || equals(version, "1.0.0")))
        raise(openmetrics, quality);
    if (equals(type, "*/*") || equals(type, "text/*") ||
        (equals(type, "text/plain") && (!version.length || equals(version, "0.0.4"))))
        raise(text, quality);
}

enum format negotiate(const char *accept)
{
    unsigned text = 0, openmetrics = 0;
    struct piece range;

    if (!accept)
        return FORMAT_TEXT;
    const char *end = accept + strlen(accept);
    while (next_piece(&accept, end, ',', &range))
        parse_range(range, &text, &openmetrics);
    return openmetrics && openmetrics >= text ? FORMAT_OPENMETRICS : FORMAT_TEXT;
}

bool negotiate_gzip(const char *accept_encoding)
{
    unsigned gzip = 0, identity = 0, any = 0;
    bool has_gzip = false, has_identity = false;
    struct piece coding, name, parameter, value;

    if (!accept_encoding)
        return false;
    const char *end = accept_encoding + strlen(accept_encoding);
    while (next_piece(&accept_encoding, end, ',', &coding)) {
        const char *cursor = coding.bytes, *stop = coding.bytes + coding.length;
        unsigned quality = 1000;
        if (!next_piece(&cursor, stop, ';', &name))
            continue;
        while (next_piece(&cursor, stop, ';', &parameter)) {
            if (is_parameter(parameter, "q", &value))
                quality = parse_quality(value);
        }
        if (equals(name, "gzip") || equals(name, "x-gzip")) {
            raise(&gzip, quality);
            has_gzip = true;
        } else if (equals(name, "identity")) {
            raise(&identity, quality);
            has_identity = true;
        } else if (equals(name, "*")) {
            raise(&any, quality);
        }
    }
    if (!has_gzip)
        gzip = any;
    return gzip && (!has_identity || gzip >= identity);
}

const char *format_type(enum format format)
{
    return format == FORMAT_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

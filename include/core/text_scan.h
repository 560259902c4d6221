/* text_scan.h - find delimiters and parse escapes in the bytes of a text heartbeat.
 *
 * Eight bytes are compared at a time. The last of them are loaded from the eight that end the
 * datagram, so that no byte outside it is read. text.h interprets the words.
 */
#ifndef PRESENCE_TEXT_SCAN_H
#define PRESENCE_TEXT_SCAN_H

#include "core/utf8.h"
#include "core/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- scanning ---------------------------------------------------------------------------- */

static inline uint64_t text_little_endian(uint64_t word)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? word : __builtin_bswap64(word);
}

/* Load the next eight bytes, the first of them lowest; zeros follow the datagram's last. There must
 * be at least one before `end`, and eight in the datagram. */
static inline uint64_t text_load(const uint8_t *bytes, const uint8_t *end)
{
    ptrdiff_t left = end - bytes;
    if (left >= 8)
        return text_little_endian(utf8_load64(bytes));
    return text_little_endian(utf8_load64(end - 8)) >> (64 - 8 * left);
}

/* Find a byte in a word: the lowest bit set is the top bit of the first byte equal to `byte`; 0 if
 * none is. (Higher bits may be set for others.) */
static inline uint64_t text_match(uint64_t word, uint8_t byte)
{
    uint64_t difference = word ^ UTF8_EACH_BYTE(byte);
    return (difference - UTF8_EACH_BYTE(0x01)) & ~difference & UTF8_EACH_BYTE(0x80);
}

/* Find the first byte equal to either (neither is 0), or `end`. */
static inline const uint8_t *text_find(const uint8_t *bytes, const uint8_t *end, uint8_t either,
                                       uint8_t or)
{
    while (bytes < end) {
        uint64_t word = text_load(bytes, end);
        uint64_t match = text_match(word, either) | text_match(word, or);
        if (match)
            return bytes + __builtin_ctzll(match) / 8;
        if (end - bytes <= 8)
            break;
        bytes += 8;
    }
    return end;
}

/* ---- escapes ----------------------------------------------------------------------------- */

/* The output of an unescaped value. Its length is measured to its end, but only `capacity` bytes
 * are kept. */
struct text_output {
    uint8_t *bytes;
    uint32_t capacity;
    uint32_t length;
    uint32_t length_trimmed; /* up to the last byte that is not a space */
    bool trims;              /* keep only one of the value's leading spaces */
    bool is_room;            /* bring it into canonical form (canonical.h) */
    struct canonical_room room;
};

static inline void text_put(struct text_output *output, uint8_t byte)
{
    if (output->trims && byte == ' ' && output->length == 1 && output->length_trimmed == 0)
        return;
    if (output->length < output->capacity)
        output->bytes[output->length] = byte;
    output->length++;
    if (byte != ' ')
        output->length_trimmed = output->length;
}

static inline void text_put_value(struct text_output *output, uint32_t byte)
{
    if (output->is_room)
        canonical_room_put(&output->room, (uint8_t)byte);
    else
        text_put(output, (uint8_t)byte);
}

static inline void text_put_code_point(struct text_output *output, uint32_t code_point)
{
    uint32_t following = code_point < 0x80      ? 0
                         : code_point < 0x800   ? 1
                         : code_point < 0x10000 ? 2
                                                : 3;
    static const uint8_t marks[] = {0x00, 0xc0, 0xe0, 0xf0};
    text_put_value(output, marks[following] | code_point >> 6 * following);
    while (following-- > 0)
        text_put_value(output, 0x80 | (code_point >> 6 * following & 0x3f));
}

/* Parse `count` hex digits. Returns what follows them, or NULL. */
static inline const uint8_t *text_hex(const uint8_t *bytes, const uint8_t *end, uint32_t count,
                                      uint32_t *ret)
{
    if (end - bytes < count)
        return NULL;
    uint32_t value = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t letter = bytes[i] | 0x20;
        if (utf8_is_within(bytes[i], '0', '9'))
            value = value << 4 | (uint32_t)(bytes[i] - '0');
        else if (utf8_is_within(letter, 'a', 'f'))
            value = value << 4 | (uint32_t)(letter - 'a' + 10);
        else
            return NULL;
    }
    *ret = value;
    return bytes + count;
}

/* Parse what follows `\u`, a pair of surrogates as one code point. Returns what follows it, or
 * NULL. */
static inline const uint8_t *text_unicode_escape(const uint8_t *bytes, const uint8_t *end,
                                                 uint32_t *ret)
{
    uint32_t high, low;
    bytes = text_hex(bytes, end, 4, &high);
    if (!bytes)
        return NULL;
    if (high < 0xd800 || high > 0xdfff) {
        *ret = high;
        return bytes;
    }
    if (high > 0xdbff || end - bytes < 2 || bytes[0] != '\\' || bytes[1] != 'u')
        return NULL;
    bytes = text_hex(bytes + 2, end, 4, &low);
    if (!bytes || low < 0xdc00 || low > 0xdfff)
        return NULL;
    *ret = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return bytes;
}

/* Parse what follows a backslash and put its meaning. Returns what follows the escape, or NULL if
 * it is invalid. JSON's escapes are code points, `\xHH` is a byte: Apache, Varnish and nginx write
 * a character beyond ASCII as several of these. */
static inline const uint8_t *text_escape(const uint8_t *bytes, const uint8_t *end,
                                         struct text_output *output)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (bytes == end)
        return NULL;
    uint32_t value;
    if (*bytes == 'u') {
        bytes = text_unicode_escape(bytes + 1, end, &value);
        if (bytes)
            text_put_code_point(output, value);
        return bytes;
    }
    if (*bytes == 'x') {
        bytes = text_hex(bytes + 1, end, 2, &value);
        if (bytes)
            text_put_value(output, value);
        return bytes;
    }
    const char *letter = memchr(letters, *bytes, sizeof(letters) - 1);
    if (!letter)
        return NULL;
    text_put_value(output, (uint8_t)meant[letter - letters]);
    return bytes + 1;
}

/* Return the value that was put. A visitor's trailing spaces may be dropped, so that all
 * significant bytes are there; one that is too long even so is the same as none. */
static inline struct wire_name text_output_value(const struct text_output *output)
{
    if (output->is_room)
        return (struct wire_name){output->room.bytes, canonical_room_length(&output->room)};
    uint32_t length = output->length;
    if (output->trims && length > output->capacity)
        length = output->length_trimmed <= output->capacity ? output->capacity : 0;
    return (struct wire_name){output->bytes, length};
}

/* Find what follows the next quote without a backslash before it; `end` if there is none. */
static inline const uint8_t *text_skip_quoted(const uint8_t *bytes, const uint8_t *end)
{
    for (;;) {
        const uint8_t *stop = text_find(bytes, end, '"', '\\');
        if (stop == end)
            return end;
        if (*stop == '"')
            return stop + 1;
        if (end - stop == 1)
            return end;
        bytes = stop + 2;
    }
}

/* Parse a quoted value with escapes, from after its first quote. Returns what follows the last. One
 * with a bad escape or no closing quote is skipped to its end, with `ret->bytes` NULL. */
static inline const uint8_t *text_unescape(const uint8_t *bytes, const uint8_t *end,
                                           struct text_output output, struct wire_name *ret)
{
    *ret = (struct wire_name){NULL, 0};
    for (;;) {
        const uint8_t *stop = text_find(bytes, end, '"', '\\');
        while (bytes < stop)
            text_put_value(&output, *bytes++);
        if (stop == end)
            return end;
        bytes++;
        if (*stop == '"')
            break;
        const uint8_t *next = text_escape(bytes, end, &output);
        if (!next)
            return text_skip_quoted(stop, end);
        bytes = next;
    }
    *ret = text_output_value(&output);
    return bytes;
}

#endif

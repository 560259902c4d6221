/* text_scan.h - the bytes of a text heartbeat: finding delimiters, and JSON's escapes.
 *
 * Eight bytes are looked at at a time, the last of them loaded from the eight that end the
 * datagram, so that no byte outside it is read. text.h says what the words mean.
 */
#ifndef PRESENCE_TEXT_SCAN_H
#define PRESENCE_TEXT_SCAN_H

#include "utf8.h"
#include "wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- scanning ---------------------------------------------------------------------------- */

static inline uint64_t text_little_endian(uint64_t word)
{
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? word : __builtin_bswap64(word);
}

/* The next eight bytes, the first of them lowest; zeros follow the datagram's last. There must be
 * at least one before `end`, and eight in the datagram. */
static inline uint64_t text_load(const uint8_t *bytes, const uint8_t *end)
{
    ptrdiff_t left = end - bytes;
    if (left >= 8)
        return text_little_endian(utf8_load64(bytes));
    return text_little_endian(utf8_load64(end - 8)) >> (64 - 8 * left);
}

/* The lowest bit that is set is the top bit of the first byte equal to `byte`; 0 when none is.
 * (Bits above that may be set for others.) */
static inline uint64_t text_match(uint64_t word, uint8_t byte)
{
    uint64_t difference = word ^ UTF8_EACH_BYTE(byte);
    return (difference - UTF8_EACH_BYTE(0x01)) & ~difference & UTF8_EACH_BYTE(0x80);
}

static inline uint32_t text_match_index(uint64_t match)
{
    return (uint32_t)__builtin_ctzll(match) / 8;
}

/* The first byte equal to either (neither is 0), or `end`. */
static inline const uint8_t *text_find(const uint8_t *bytes, const uint8_t *end, uint8_t either,
                                       uint8_t or)
{
    while (bytes < end) {
        uint64_t word = text_load(bytes, end);
        uint64_t match = text_match(word, either) | text_match(word, or);
        if (match)
            return bytes + text_match_index(match);
        if (end - bytes <= 8)
            break;
        bytes += 8;
    }
    return end;
}

/* ---- escapes ----------------------------------------------------------------------------- */

/* Where an unescaped value goes. It is counted to its end, but kept up to `capacity` only. */
struct text_output {
    uint8_t *bytes;
    uint32_t capacity;
    uint32_t length;
    uint32_t length_trimmed; /* up to the last byte that is not a space */
    bool trims;              /* keep only one of the spaces that the value begins with */
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

static inline void text_put_code_point(struct text_output *output, uint32_t code_point)
{
    if (code_point < 0x80) {
        text_put(output, (uint8_t)code_point);
        return;
    }
    if (code_point < 0x800) {
        text_put(output, (uint8_t)(0xc0 | code_point >> 6));
    } else {
        if (code_point < 0x10000) {
            text_put(output, (uint8_t)(0xe0 | code_point >> 12));
        } else {
            text_put(output, (uint8_t)(0xf0 | code_point >> 18));
            text_put(output, (uint8_t)(0x80 | (code_point >> 12 & 0x3f)));
        }
        text_put(output, (uint8_t)(0x80 | (code_point >> 6 & 0x3f)));
    }
    text_put(output, (uint8_t)(0x80 | (code_point & 0x3f)));
}

/* Reads four hex digits; returns what follows them, or NULL. */
static inline const uint8_t *text_hex4(const uint8_t *bytes, const uint8_t *end, uint32_t *ret)
{
    if (end - bytes < 4)
        return NULL;
    uint32_t value = 0;
    for (uint32_t i = 0; i < 4; i++) {
        uint8_t letter = bytes[i] | 0x20;
        if (utf8_is_within(bytes[i], '0', '9'))
            value = value << 4 | (uint32_t)(bytes[i] - '0');
        else if (utf8_is_within(letter, 'a', 'f'))
            value = value << 4 | (uint32_t)(letter - 'a' + 10);
        else
            return NULL;
    }
    *ret = value;
    return bytes + 4;
}

/* Reads what follows `\u`, a pair of surrogates as one; returns what follows it, or NULL. */
static inline const uint8_t *text_unicode_escape(const uint8_t *bytes, const uint8_t *end,
                                                 uint32_t *ret)
{
    uint32_t high, low;
    bytes = text_hex4(bytes, end, &high);
    if (!bytes)
        return NULL;
    if (high < 0xd800 || high > 0xdfff) {
        *ret = high;
        return bytes;
    }
    if (high > 0xdbff || end - bytes < 2 || bytes[0] != '\\' || bytes[1] != 'u')
        return NULL;
    bytes = text_hex4(bytes + 2, end, &low);
    if (!bytes || low < 0xdc00 || low > 0xdfff)
        return NULL;
    *ret = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return bytes;
}

/* Reads what follows a backslash; returns what follows the escape, or NULL when it is a bad one. */
static inline const uint8_t *text_escape(const uint8_t *bytes, const uint8_t *end, uint32_t *ret)
{
    if (bytes == end)
        return NULL;
    switch (*bytes) {
    case '"':
    case '\\':
    case '/':
        *ret = *bytes;
        return bytes + 1;
    case 'b':
        *ret = '\b';
        return bytes + 1;
    case 'f':
        *ret = '\f';
        return bytes + 1;
    case 'n':
        *ret = '\n';
        return bytes + 1;
    case 'r':
        *ret = '\r';
        return bytes + 1;
    case 't':
        *ret = '\t';
        return bytes + 1;
    case 'u':
        return text_unicode_escape(bytes + 1, end, ret);
    default:
        return NULL;
    }
}

/* The value that was put. Spaces after a visitor may be left out, so that all of it that counts is
 * there; one that is too long even so is the same as none. */
static inline struct wire_name text_output_value(const struct text_output *output)
{
    uint32_t length = output->length;
    if (output->trims && length > output->capacity)
        length = output->length_trimmed <= output->capacity ? output->capacity : 0;
    return (struct wire_name){output->bytes, length};
}

/* Reads a quoted value that has escapes, from after its first quote; returns what follows the last,
 * or NULL when it has none or an escape is bad. */
static inline const uint8_t *text_unescape(const uint8_t *bytes, const uint8_t *end,
                                           struct text_output output, struct wire_name *ret)
{
    for (;;) {
        const uint8_t *stop = text_find(bytes, end, '"', '\\');
        while (bytes < stop)
            text_put(&output, *bytes++);
        if (stop == end)
            return NULL;
        bytes++;
        if (*stop == '"')
            break;
        uint32_t code_point;
        bytes = text_escape(bytes, end, &code_point);
        if (!bytes)
            return NULL;
        text_put_code_point(&output, code_point);
    }
    *ret = text_output_value(&output);
    return bytes;
}

#endif

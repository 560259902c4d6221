/* text_visitor.h - parse a visitor's id in text to the 16 bytes that stand for it. Needs xxHash
 * (header-only).
 *
 * No allocation, no state: every function may be called from any thread. Sizes are bytes.
 */
#ifndef PRESENCE_TEXT_VISITOR_H
#define PRESENCE_TEXT_VISITOR_H

#include "core/text_scan.h"
#include "core/utf8.h"
#include "core/wire.h"

#include <string.h>

#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

/* Parse eight hex digits, the first of them lowest, as four bytes. False if one is no hex digit.
 * Bytes are compared with bounds by the carry into their top bit. One from 0x80 on never passes, so
 * it doesn't matter that it may carry into its neighbour. */
static inline bool text_hex8(uint64_t word, uint8_t ret[4])
{
    uint64_t letters = word | UTF8_EACH_BYTE(0x20);
    uint64_t is_digit = (word + UTF8_EACH_BYTE(0x80 - '0')) & ~(word + UTF8_EACH_BYTE(0x7f - '9'));
    uint64_t is_letter =
        (letters + UTF8_EACH_BYTE(0x80 - 'a')) & ~(letters + UTF8_EACH_BYTE(0x7f - 'f'));
    if (((is_digit | is_letter) & UTF8_EACH_BYTE(0x80)) != UTF8_EACH_BYTE(0x80))
        return false;

    uint64_t is_letter_bit = word >> 6 & UTF8_EACH_BYTE(0x01);
    uint64_t digits = (word & UTF8_EACH_BYTE(0x0f)) + 9 * is_letter_bit;
    uint64_t pairs = (digits << 4 | digits >> 8) & 0x00ff00ff00ff00ffu;
    pairs = (pairs | pairs >> 8) & 0x0000ffff0000ffffu;
    pairs |= pairs >> 16;
    for (uint32_t i = 0; i < 4; i++)
        ret[i] = (uint8_t)(pairs >> 8 * i);
    return true;
}

static inline uint64_t text_load_two(const uint8_t *low, const uint8_t *high)
{
    uint8_t both[8];
    memcpy(both, low, 4);
    memcpy(both + 4, high, 4);
    return text_little_endian(utf8_load64(both));
}

/* Parse the 36 bytes of a UUID in text (RFC 9562 section 4). False if they are not one. */
static inline bool text_uuid(const uint8_t *bytes, uint8_t ret_id[WIRE_VISITOR_SIZE])
{
    if (bytes[8] != '-' || bytes[13] != '-' || bytes[18] != '-' || bytes[23] != '-')
        return false;
    uint8_t id[WIRE_VISITOR_SIZE];
    if (!text_hex8(text_little_endian(utf8_load64(bytes)), id) ||
        !text_hex8(text_load_two(bytes + 9, bytes + 14), id + 4) ||
        !text_hex8(text_load_two(bytes + 19, bytes + 24), id + 8) ||
        !text_hex8(text_little_endian(utf8_load64(bytes + 28)), id + 12))
        return false;
    memcpy(ret_id, id, sizeof(id));
    return true;
}

static inline struct wire_name text_trim(const uint8_t *bytes, uint32_t length)
{
    while (length > 0 && bytes[0] == ' ') {
        bytes++;
        length--;
    }
    while (length > 0 && bytes[length - 1] == ' ')
        length--;
    return (struct wire_name){bytes, length};
}

static inline bool text_equals(struct wire_name name, const char *text)
{
    return name.length == strlen(text) && memcmp(name.bytes, text, name.length) == 0;
}

/* True if an id is what scripts send when they have none: `undefined`, `null` or `NaN`, in any
 * case. */
static inline bool text_is_failure(struct wire_name id)
{
    static const char *const failures[] = {"nan", "null", "undefined"};
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t same = 0;
        while (same < id.length && (id.bytes[same] | 0x20) == failures[i][same])
            same++;
        if (same == id.length && failures[i][same] == '\0')
            return true;
    }
    return false;
}

/* True if a trimmed id is a visitor's: 1 to WIRE_ID_MAX bytes, and neither the UUID of zeros nor
 * what failed scripts send. */
static inline bool text_is_visitor(struct wire_name id)
{
    if (id.length == 36)
        return id.bytes[0] != '0' ||
               memcmp(id.bytes, "00000000-0000-0000-0000-000000000000", 36) != 0;
    if (id.length < 10)
        return id.length != 0 && !text_is_failure(id);
    return id.length <= WIRE_ID_MAX;
}

/* Compute the 16 bytes that stand for a visitor's id, however it was sent: those of a UUID
 * (8-4-4-4-12 hex digits in any case), the XXH3-128 of anything else. Surrounding spaces are
 * ignored. False, with nothing written, if it is no visitor's (text_is_visitor). */
static inline bool text_visitor_id(const uint8_t *bytes, uint32_t length,
                                   uint8_t ret_id[WIRE_VISITOR_SIZE])
{
    struct wire_name id = text_trim(bytes, length);
    if (!text_is_visitor(id))
        return false;
    if (id.length == 36 && text_uuid(id.bytes, ret_id))
        return true;
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(id.bytes, id.length));
    memcpy(ret_id, canonical.digest, WIRE_VISITOR_SIZE);
    return true;
}

#endif

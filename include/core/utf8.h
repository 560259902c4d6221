/* utf8.h - check names: UTF-8 (RFC 3629) without control characters.
 *
 * Beside malformed sequences, U+0000-001F, U+007F and U+0080-009F are refused. Free of libc, no
 * allocation, no state: every function may be called from any thread, and reads no byte outside the
 * run it is given.
 */
#ifndef PRESENCE_UTF8_H
#define PRESENCE_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#define UTF8_EACH_BYTE(byte) (0x0101010101010101u * (uint8_t)(byte))

static inline uint64_t utf8_load64(const uint8_t *bytes)
{
    uint64_t word;
    __builtin_memcpy(&word, bytes, sizeof(word));
    return word;
}

static inline uint32_t utf8_load32(const uint8_t *bytes)
{
    uint32_t word;
    __builtin_memcpy(&word, bytes, sizeof(word));
    return word;
}

/* True if all eight bytes are 0x20..0x7e. A byte below 0x20 borrows into its top bit, 0x7f carries
 * into its own; a borrow or carry into a neighbour needs a byte that is refused anyway. */
static inline bool utf8_word_is_plain(uint64_t word)
{
    uint64_t refused = word | (word - UTF8_EACH_BYTE(0x20)) | (word + UTF8_EACH_BYTE(0x01));
    return (refused & UTF8_EACH_BYTE(0x80)) == 0;
}

/* Load a run of at most eight bytes as one word, padded with copies of its own bytes or spaces. */
static inline uint64_t utf8_short_word(const uint8_t *bytes, uint32_t length)
{
    if (length == 8)
        return utf8_load64(bytes);
    if (length >= 4)
        return utf8_load32(bytes) | (uint64_t)utf8_load32(bytes + length - 4) << 32;
    if (length == 0)
        return UTF8_EACH_BYTE(' ');
    return (UTF8_EACH_BYTE(' ') << 24) | (uint32_t)bytes[0] | (uint32_t)bytes[length / 2] << 8 |
           (uint32_t)bytes[length - 1] << 16;
}

/* True if every byte is 0x20..0x7e: then it is a valid name, wherever it is split. */
static inline bool utf8_is_plain(const uint8_t *bytes, uint32_t length)
{
    if (length <= 8)
        return utf8_word_is_plain(utf8_short_word(bytes, length));
    for (uint32_t i = 0; i < length - 8; i += 8) {
        if (!utf8_word_is_plain(utf8_load64(bytes + i)))
            return false;
    }
    return utf8_word_is_plain(utf8_load64(bytes + length - 8));
}

static inline bool utf8_is_within(uint8_t byte, uint8_t low, uint8_t high)
{
    return (uint8_t)(byte - low) <= (uint8_t)(high - low);
}

/* Return the size of the character that `bytes` begin with, 1 to 4, or 0 if it is invalid or a
 * control character. `left` is how many bytes may be read, at least 1. RFC 3629 section 4: only the
 * second byte's range depends on the first (no overlong form, no surrogate, nothing above
 * U+10FFFF); after C2 it begins at A0 here, which excludes U+0080-009F. */
static inline uint32_t utf8_character_size(const uint8_t *bytes, uint32_t left)
{
    uint8_t first = bytes[0];
    if (first < 0x80)
        return first >= 0x20 && first != 0x7f;
    if (!utf8_is_within(first, 0xc2, 0xf4))
        return 0;
    uint32_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (left < size)
        return 0;
    uint8_t low = first == 0xc2 || first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (!utf8_is_within(bytes[1], low, high))
        return 0;
    for (uint32_t i = 2; i < size; i++) {
        if (!utf8_is_within(bytes[i], 0x80, 0xbf))
            return 0;
    }
    return size;
}

/* Return the code point of a character for which utf8_character_size returned `size`. */
static inline uint32_t utf8_character_value(const uint8_t *bytes, uint32_t size)
{
    uint32_t value = size == 1 ? bytes[0] : bytes[0] & (0x7fu >> size);

    for (uint32_t i = 1; i < size; i++)
        value = value << 6 | (bytes[i] & 0x3f);
    return value;
}

/* True if `length` bytes are whole UTF-8 characters, none of them a control character. */
static inline bool utf8_is_name(const uint8_t *bytes, uint32_t length)
{
    if (utf8_is_plain(bytes, length))
        return true;
    uint32_t i = 0;
    while (i < length) {
        if (length - i >= 8 && utf8_word_is_plain(utf8_load64(bytes + i))) {
            i += 8;
            continue;
        }
        uint32_t size = utf8_character_size(bytes + i, length - i);
        if (size == 0)
            return false;
        i += size;
    }
    return true;
}

#endif

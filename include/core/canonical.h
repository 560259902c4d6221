/* canonical.h - the canonical form of a name: equal places have equal bytes (R2).
 *
 * ASCII letters of a site and of a source are lower-cased. A room that begins with `/` is a path:
 * repeated slashes count as one, and a trailing one is dropped (`/t`, `/t/` and `//t` are one room;
 * `/` stays). Letters of a country are upper-cased. Everything else compares byte by byte.
 *
 * Free of libc, no allocation, no state: every function may be called from any thread, and reads no
 * byte outside the name it is given. Sizes are bytes. Tests read eight bytes at a time, because
 * nearly every name is in canonical form already.
 */
#ifndef PRESENCE_CANONICAL_H
#define PRESENCE_CANONICAL_H

#include "core/utf8.h"

/* ---- letters ----------------------------------------------------------------------------- */

static inline bool canonical_has_upper_case(const uint8_t *bytes, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++) {
        if (utf8_is_within(bytes[i], 'A', 'Z'))
            return true;
    }
    return false;
}

/* True if no byte is `A`..`Z`: the site or source is in canonical form. Capitals have bit 6 and not
 * bit 5, which few other bytes of names do. */
static inline bool canonical_is_lower(const uint8_t *bytes, uint32_t length)
{
    uint64_t word = length <= 8 ? utf8_short_word(bytes, length) : utf8_load64(bytes + length - 8);
    uint64_t found = word & ~(word << 1);
    for (uint32_t i = 0; i + 8 < length; i += 8) {
        word = utf8_load64(bytes + i);
        found |= word & ~(word << 1);
    }
    return (found & UTF8_EACH_BYTE(0x40)) == 0 || !canonical_has_upper_case(bytes, length);
}

/* Write a site or source in canonical form to `ret`, which has room for `length` bytes and may be
 * the name itself. Out of line, like all that writes: nearly every name is only tested. */
static __attribute__((noinline, unused)) void canonical_lower(const uint8_t *bytes, uint32_t length,
                                                              uint8_t *ret)
{
    for (uint32_t i = 0; i < length; i++)
        ret[i] = utf8_is_within(bytes[i], 'A', 'Z') ? bytes[i] | 0x20 : bytes[i];
}

/* Write a country in capitals to `ret`, likewise. */
static inline void canonical_raise(const uint8_t *bytes, uint32_t length, uint8_t *ret)
{
    for (uint32_t i = 0; i < length; i++)
        ret[i] = utf8_is_within(bytes[i], 'a', 'z') ? bytes[i] & 0xdf : bytes[i];
}

/* ---- paths ------------------------------------------------------------------------------- */

/* Find two neighbouring slashes in a word: the top bit of one of its lower seven bytes is then set,
 * otherwise of none. Works in either byte order. */
static inline uint64_t canonical_slashes(uint64_t word)
{
    uint64_t others = word ^ UTF8_EACH_BYTE('/');
    others |= others >> 8; /* a byte of 0 for each pair */
    return (others - UTF8_EACH_BYTE(0x01)) & ~others;
}

/* True if the room is in canonical form. A path of seven bytes may yield false nevertheless
 * (utf8_short_word repeats its fourth byte): writing it then changes nothing. */
static inline bool canonical_is_room(const uint8_t *bytes, uint32_t length)
{
    if (length < 2 || bytes[0] != '/')
        return true;
    if (bytes[length - 1] == '/')
        return false;
    uint64_t found = canonical_slashes(length <= 8 ? utf8_short_word(bytes, length)
                                                   : utf8_load64(bytes + length - 8));
    for (uint32_t i = 0; i + 8 < length;
         i += 7) /* words share a byte, so no pair is split between two */
        found |= canonical_slashes(utf8_load64(bytes + i));
    return (found & UTF8_EACH_BYTE(0x80) >> 8) == 0;
}

/* A room that is written byte by byte. Initialize to zeros, `bytes` and `capacity`. Its length is
 * measured to its end, but only `capacity` bytes are kept. */
struct canonical_room {
    uint8_t *bytes;
    uint32_t capacity;
    uint32_t length;
    bool is_path;
    uint8_t last; /* the previous byte */
};

static inline void canonical_room_put(struct canonical_room *room, uint8_t byte)
{
    if (room->length == 0)
        room->is_path = byte == '/';
    else if (room->is_path && byte == '/' && room->last == '/')
        return;
    if (room->length < room->capacity)
        room->bytes[room->length] = byte;
    room->length++;
    room->last = byte;
}

/* Return the room's length, once all its bytes are put. */
static inline uint32_t canonical_room_length(const struct canonical_room *room)
{
    bool ends_in_slash = room->length > 1 && room->is_path && room->last == '/';
    return ends_in_slash ? room->length - 1 : room->length;
}

/* Write a room in canonical form to `ret`, which may be the room itself, and return its length.
 * Only the first `capacity` bytes are written. */
static __attribute__((noinline, unused)) uint32_t
canonical_write_room(const uint8_t *bytes, uint32_t length, uint8_t *ret, uint32_t capacity)
{
    struct canonical_room room = {.bytes = ret, .capacity = capacity};
    for (uint32_t i = 0; i < length; i++)
        canonical_room_put(&room, bytes[i]);
    return canonical_room_length(&room);
}

#endif

/* wire.h - the native heartbeat datagram: its shape, reading it and writing it.
 *
 * One datagram names one place (a site and, if any, its room, country and source) and any number
 * of visitors there. Integers are big-endian; the layout is the table in README, "The heartbeat".
 * The bytes are hostile until wire_decode() has accepted them.
 *
 * Free of libc, no allocation, no state: every function may be called from any thread, and may be
 * compiled for BPF. Sizes are bytes.
 */
#ifndef PRESENCE_WIRE_H
#define PRESENCE_WIRE_H

#include "utf8.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_PORT          9514
#define WIRE_VERSION_1     1
#define WIRE_HEADER_SIZE   20
#define WIRE_VISITOR_SIZE  16
#define WIRE_TAG_SIZE      8
#define WIRE_SITE_MAX      253
#define WIRE_ROOM_MAX      255
#define WIRE_SOURCE_MAX    253
#define WIRE_EVENT_MAX     63
#define WIRE_ID_MAX        128 /* a visitor's id in text, trimmed */
#define WIRE_DATAGRAM_MAX  65535
#define WIRE_AUTHENTICATED 0x01 /* the one flag */

enum wire_kind {
    WIRE_HEARTBEAT = 1,
    WIRE_LEAVE = 2,
    WIRE_PAGEVIEW = 3,
    WIRE_EVENT = 4,
};

/* Why a datagram is not counted, in the order of precedence: the first that fits. */
enum wire_reason {
    WIRE_ACCEPTED = 0,
    WIRE_SOURCE,
    WIRE_VERSION,
    WIRE_MALFORMED,
    WIRE_VISITOR,
    WIRE_UNAUTHENTICATED,
    WIRE_STALE,
    WIRE_SITE,
    WIRE_REASONS,
};

struct wire_name {
    const uint8_t *bytes; /* not zero-terminated; meaningless when length is 0 */
    uint32_t length;      /* 0: absent */
};

/* A decoded datagram. It points into the datagram or the scratch and lives as long as both. */
struct wire_heartbeat {
    struct wire_name site, room, source, event;
    uint8_t country[2]; /* two zero bytes: absent */
    uint8_t kind;       /* enum wire_kind */
    uint8_t authenticated;
    uint8_t key_id;
    uint8_t labels_invalid; /* text only: how many labels were skipped as invalid */
    uint8_t rooms_too_long; /* text only: 0 or 1 */
    uint32_t sent_at;       /* Unix seconds; means something only when authenticated */
    uint32_t visitors;
    const uint8_t *visitor_ids; /* visitors x 16 bytes */
    const uint8_t *tag;         /* 8 bytes; NULL when not authenticated */
};

/* Where decoding puts what it can't point at in the datagram: names that it had to lower-case or
 * (text) to unescape, and the id of a text heartbeat's one visitor. One for each heartbeat that is
 * in use at a time; it needs no initialisation. */
struct wire_scratch {
    uint8_t visitor_id[WIRE_VISITOR_SIZE];
    uint8_t site[WIRE_SITE_MAX];
    uint8_t room[WIRE_ROOM_MAX];
    uint8_t source[WIRE_SOURCE_MAX];
    uint8_t event[WIRE_EVENT_MAX];
    uint8_t visitor[WIRE_ID_MAX + 1]; /* and one of the spaces before it */
    uint8_t country[2];
    uint8_t kind[9]; /* the longest: heartbeat */
};

static inline uint32_t wire_load16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 8 | bytes[1];
}

static inline uint32_t wire_load32(const uint8_t *bytes)
{
    return wire_load16(bytes) << 16 | wire_load16(bytes + 2);
}

static inline void wire_store16(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static inline void wire_store32(uint8_t *bytes, uint32_t value)
{
    wire_store16(bytes, value >> 16);
    wire_store16(bytes + 2, value);
}

/* True when the datagram is to be read as native, false when as text. */
static inline bool wire_is_native(const uint8_t *datagram, uint32_t length)
{
    return length >= 2 && datagram[0] == 'P' && datagram[1] == 'H' &&
           (length == 2 || datagram[2] != '1');
}

static inline bool wire_country_is_valid(const uint8_t country[2])
{
    if (country[0] == 0)
        return country[1] == 0;
    return utf8_is_within(country[0], 'A', 'Z') && utf8_is_within(country[1], 'A', 'Z');
}

/* What the lengths in a header that is otherwise right add up to. */
static inline uint32_t wire_names_size(const uint8_t *header)
{
    return (uint32_t)header[14] + header[15] + header[16] + header[17];
}

static inline uint32_t wire_total_size(const uint8_t *header)
{
    uint32_t tag_size = header[6] & WIRE_AUTHENTICATED ? WIRE_TAG_SIZE : 0;
    return WIRE_HEADER_SIZE + wire_names_size(header) + tag_size +
           WIRE_VISITOR_SIZE * wire_load16(header + 12);
}

/* Judges a native datagram by its header and its length alone: WIRE_VERSION, WIRE_MALFORMED,
 * WIRE_VISITOR (all else is right, but it names none) or WIRE_ACCEPTED. At most the first
 * WIRE_HEADER_SIZE bytes are read, and none beyond `length`, which is that of the UDP payload. */
static inline enum wire_reason wire_shape(const uint8_t *datagram, uint32_t length)
{
    if (length < 3 || datagram[0] != 'P' || datagram[1] != 'H')
        return WIRE_MALFORMED;
    if (datagram[2] != WIRE_VERSION_1)
        return WIRE_VERSION;
    if (length < WIRE_HEADER_SIZE || wire_load16(datagram + 4) != length)
        return WIRE_MALFORMED;

    uint8_t kind = datagram[3], flags = datagram[6], key_id = datagram[7];
    if (!utf8_is_within(kind, WIRE_HEARTBEAT, WIRE_EVENT) || flags & ~WIRE_AUTHENTICATED)
        return WIRE_MALFORMED;
    if ((key_id != 0) != (flags == WIRE_AUTHENTICATED))
        return WIRE_MALFORMED;

    uint8_t site = datagram[14], source = datagram[16], event = datagram[17];
    if (site == 0 || site > WIRE_SITE_MAX || source > WIRE_SOURCE_MAX || event > WIRE_EVENT_MAX)
        return WIRE_MALFORMED;
    if ((event != 0) != (kind == WIRE_EVENT) || !wire_country_is_valid(datagram + 18))
        return WIRE_MALFORMED;
    if (wire_total_size(datagram) != length)
        return WIRE_MALFORMED;
    return wire_load16(datagram + 12) == 0 ? WIRE_VISITOR : WIRE_ACCEPTED;
}

/* True when the names that follow a header whose shape is right are valid UTF-8 without control
 * characters. They are neighbours: when all their bytes are plain ASCII, as nearly always, one pass
 * settles all four. */
static inline bool wire_names_are_valid(const uint8_t *datagram)
{
    const uint8_t *site = datagram + WIRE_HEADER_SIZE;
    const uint8_t *room = site + datagram[14];
    const uint8_t *source = room + datagram[15];
    const uint8_t *event = source + datagram[16];

    if (utf8_is_plain(site, wire_names_size(datagram)))
        return true;
    return utf8_is_name(site, datagram[14]) && utf8_is_name(room, datagram[15]) &&
           utf8_is_name(source, datagram[16]) && utf8_is_name(event, datagram[17]);
}

/* Points the heartbeat's names at those that follow a header. */
static inline void wire_point_at_names(const uint8_t *datagram, struct wire_heartbeat *ret)
{
    const uint8_t *site = datagram + WIRE_HEADER_SIZE;
    const uint8_t *room = site + datagram[14];
    const uint8_t *source = room + datagram[15];

    ret->site = (struct wire_name){site, datagram[14]};
    ret->room = (struct wire_name){room, datagram[15]};
    ret->source = (struct wire_name){source, datagram[16]};
    ret->event = (struct wire_name){source + datagram[16], datagram[17]};
}

/* 0x80 in every byte that is `A`..`Z`. */
static inline uint64_t wire_upper_case(uint64_t word)
{
    uint64_t low = word & UTF8_EACH_BYTE(0x7f);
    uint64_t from_a = low + UTF8_EACH_BYTE(0x80 - 'A');
    uint64_t beyond_z = low + UTF8_EACH_BYTE(0x80 - 'Z' - 1);
    return from_a & ~beyond_z & ~word & UTF8_EACH_BYTE(0x80);
}

static inline bool wire_has_upper_case(const uint8_t *bytes, uint32_t length)
{
    if (length <= 8)
        return wire_upper_case(utf8_short_word(bytes, length)) != 0;
    uint64_t found = wire_upper_case(utf8_load64(bytes + length - 8));
    for (uint32_t i = 0; i < length - 8; i += 8)
        found |= wire_upper_case(utf8_load64(bytes + i));
    return found != 0;
}

/* Makes a site's ASCII letters lower-case, in `scratch_site` (which may be where it is) and only
 * if it has any that are not. Its length is at most WIRE_SITE_MAX. */
static inline void wire_lower_site(struct wire_name *site, uint8_t *scratch_site)
{
    if (!wire_has_upper_case(site->bytes, site->length))
        return;
    for (uint32_t i = 0; i < site->length; i++) {
        uint8_t byte = site->bytes[i];
        scratch_site[i] = utf8_is_within(byte, 'A', 'Z') ? byte | 0x20 : byte;
    }
    site->bytes = scratch_site;
}

/* Reads a native datagram: its shape, then its names. Returns WIRE_ACCEPTED and fills `*ret`, or
 * WIRE_VERSION, WIRE_MALFORMED or WIRE_VISITOR and leaves it untouched. Whether the sender, the
 * tag, the time and the site will do is the caller's to judge. */
static inline enum wire_reason wire_decode(const uint8_t *datagram, uint32_t length,
                                           struct wire_scratch *scratch, struct wire_heartbeat *ret)
{
    enum wire_reason shape = wire_shape(datagram, length);
    if (shape != WIRE_ACCEPTED && shape != WIRE_VISITOR)
        return shape;

    if (!wire_names_are_valid(datagram))
        return WIRE_MALFORMED;
    if (shape != WIRE_ACCEPTED)
        return shape;

    /* Member by member: a whole heartbeat that is copied is read before its parts are written. */
    wire_point_at_names(datagram, ret);
    wire_lower_site(&ret->site, scratch->site);
    ret->country[0] = datagram[18];
    ret->country[1] = datagram[19];
    ret->kind = datagram[3];
    ret->authenticated = datagram[6] & WIRE_AUTHENTICATED;
    ret->key_id = datagram[7];
    ret->labels_invalid = 0;
    ret->rooms_too_long = 0;
    ret->sent_at = wire_load32(datagram + 8);
    ret->visitors = wire_load16(datagram + 12);
    ret->visitor_ids = datagram + WIRE_HEADER_SIZE + wire_names_size(datagram);
    ret->tag = ret->authenticated ? datagram + length - WIRE_TAG_SIZE : NULL;
    return WIRE_ACCEPTED;
}

/* True when each fits its field; that all of them fit one datagram is for its shape to say. */
static inline bool wire_lengths_are_valid(const struct wire_heartbeat *heartbeat)
{
    return heartbeat->site.length <= WIRE_SITE_MAX && heartbeat->room.length <= WIRE_ROOM_MAX &&
           heartbeat->source.length <= WIRE_SOURCE_MAX &&
           heartbeat->event.length <= WIRE_EVENT_MAX && heartbeat->visitors >= 1 &&
           heartbeat->visitors <= WIRE_DATAGRAM_MAX / WIRE_VISITOR_SIZE;
}

static inline void wire_encode_header(const struct wire_heartbeat *heartbeat, uint32_t size,
                                      uint8_t *header)
{
    header[0] = 'P';
    header[1] = 'H';
    header[2] = WIRE_VERSION_1;
    header[3] = heartbeat->kind;
    wire_store16(header + 4, size);
    header[6] = heartbeat->authenticated ? WIRE_AUTHENTICATED : 0;
    header[7] = heartbeat->key_id;
    wire_store32(header + 8, heartbeat->sent_at);
    wire_store16(header + 12, heartbeat->visitors);
    header[14] = (uint8_t)heartbeat->site.length;
    header[15] = (uint8_t)heartbeat->room.length;
    header[16] = (uint8_t)heartbeat->source.length;
    header[17] = (uint8_t)heartbeat->event.length;
    header[18] = heartbeat->country[0];
    header[19] = heartbeat->country[1];
}

static inline uint8_t *wire_append(uint8_t *end, const uint8_t *bytes, uint32_t length)
{
    if (length != 0)
        __builtin_memcpy(end, bytes, length);
    return end + length;
}

/* Writes one native datagram and returns its size, or 0 when the format can't carry the heartbeat
 * (a name, country, kind, key id or number of visitors out of its rule) or `capacity` is too small;
 * `datagram` may then be partly written. Names are written as they are given.
 *
 * Of an authenticated heartbeat the length, and the size returned, include the tag. Its eight
 * bytes, the last, are copied from `heartbeat->tag`, or left for the caller to fill when that is
 * NULL: they are SipHash-2-4-64 of all before them. */
static inline uint32_t wire_encode(const struct wire_heartbeat *heartbeat, uint8_t *datagram,
                                   uint32_t capacity)
{
    if (!wire_lengths_are_valid(heartbeat))
        return 0;
    uint32_t visitors_size = heartbeat->visitors * WIRE_VISITOR_SIZE;
    uint32_t size = WIRE_HEADER_SIZE + heartbeat->site.length + heartbeat->room.length +
                    heartbeat->source.length + heartbeat->event.length + visitors_size +
                    (heartbeat->authenticated ? WIRE_TAG_SIZE : 0);
    if (size > capacity)
        return 0;

    wire_encode_header(heartbeat, size, datagram);
    uint8_t *end = datagram + WIRE_HEADER_SIZE;
    end = wire_append(end, heartbeat->site.bytes, heartbeat->site.length);
    end = wire_append(end, heartbeat->room.bytes, heartbeat->room.length);
    end = wire_append(end, heartbeat->source.bytes, heartbeat->source.length);
    end = wire_append(end, heartbeat->event.bytes, heartbeat->event.length);
    end = wire_append(end, heartbeat->visitor_ids, visitors_size);
    if (heartbeat->authenticated && heartbeat->tag)
        wire_append(end, heartbeat->tag, WIRE_TAG_SIZE);

    bool valid = wire_shape(datagram, size) == WIRE_ACCEPTED && wire_names_are_valid(datagram);
    return valid ? size : 0;
}

#endif

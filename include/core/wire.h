/* wire.h - decode and encode the native heartbeat datagram.
 *
 * One datagram names one place (a site and, if any, its room, country and source) and any number of
 * visitors there. Integers are big-endian; the layout is the table in docs/protocol.md. The bytes
 * are hostile until wire_decode has accepted them.
 *
 * Free of libc, no allocation, no state: every function may be called from any thread, and may be
 * compiled for BPF. Sizes are bytes.
 */
#ifndef PRESENCE_WIRE_H
#define PRESENCE_WIRE_H

#include "core/canonical.h"
#include "core/utf8.h"

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
#define WIRE_ID_MAX        512 /* a visitor's id in text, trimmed */
#define WIRE_DATAGRAM_MAX  65535
#define WIRE_AUTHENTICATED 0x01 /* the only flag */

enum wire_kind {
    WIRE_HEARTBEAT = 1,
    WIRE_LEAVE = 2,
    WIRE_PAGEVIEW = 3,
    WIRE_EVENT = 4,
};

/* Reasons to reject a datagram. The first that applies counts. */
enum wire_reason {
    WIRE_ACCEPTED = 0,
    WIRE_SENDER,
    WIRE_VERSION,
    WIRE_MALFORMED,
    WIRE_VISITOR,
    WIRE_UNAUTHENTICATED,
    WIRE_STALE,
    WIRE_SITE,
    WIRE_REASONS,
};

struct wire_name {
    const uint8_t *bytes; /* not zero-terminated; meaningless if length is 0 */
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
    uint32_t sent_at;       /* Unix seconds; meaningful only if authenticated */
    uint32_t visitors;
    const uint8_t *visitor_ids; /* visitors x 16 bytes */
    const uint8_t *tag;         /* 8 bytes; NULL if not authenticated */
};

/* Memory for what decoding can't point at in the datagram: names that were not in canonical form or
 * (text) had escapes, and the id of a text heartbeat's one visitor. One for each heartbeat in use
 * at a time; it needs no initialization. */
struct wire_scratch {
    uint8_t visitor_id[WIRE_VISITOR_SIZE];
    uint8_t site[WIRE_SITE_MAX];
    uint8_t room[WIRE_ROOM_MAX];
    uint8_t source[WIRE_SOURCE_MAX];
    uint8_t event[WIRE_EVENT_MAX];
    uint8_t visitor[WIRE_ID_MAX + 1]; /* and one of its leading spaces */
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

/* True if the datagram is native, false if it is text. */
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

/* True for the codes that mean no country, in capitals: XX and ZZ (unknown), T1 (Tor), A1 and A2
 * (proxies, satellites), O1 (any other). */
static inline bool wire_country_is_none(const uint8_t country[2])
{
    if (country[1] == '1')
        return country[0] == 'T' || country[0] == 'A' || country[0] == 'O';
    if (country[1] == '2')
        return country[0] == 'A';
    return country[0] == country[1] && (country[0] == 'X' || country[0] == 'Z');
}

/* Parse a country in any case; zeros if the code means none. False, with nothing written, if it is
 * neither. */
static inline bool wire_country_parse(struct wire_name text, uint8_t ret[2])
{
    if (text.length != 2)
        return false;
    uint8_t country[2];
    canonical_raise(text.bytes, 2, country);
    if (wire_country_is_none(country))
        country[0] = country[1] = 0;
    else if (country[0] == 0 || !wire_country_is_valid(country))
        return false;
    ret[0] = country[0];
    ret[1] = country[1];
    return true;
}

/* Add up the lengths of names in a header that is otherwise right. */
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

/* Judge a native datagram by its header and its length alone: WIRE_VERSION, WIRE_MALFORMED,
 * WIRE_VISITOR (all else is right, but it has none) or WIRE_ACCEPTED. Reads at most the first
 * WIRE_HEADER_SIZE bytes, and none beyond `length`, which is that of the UDP payload. */
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

/* True if the names that follow a header of the right shape are valid UTF-8 without control
 * characters. They are neighbours: if all their bytes are plain ASCII, as nearly always, one pass
 * covers all four. */
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

/* Point the heartbeat's names at those that follow a header. */
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

/* Bring a site or a source, of at most WIRE_SITE_MAX bytes, into canonical form (canonical.h): in
 * `scratch`, which may be where it is, and only if it is not in that form already. */
static inline void wire_canonical_lower(struct wire_name *name, uint8_t *scratch)
{
    if (canonical_is_lower(name->bytes, name->length))
        return;
    canonical_lower(name->bytes, name->length, scratch);
    name->bytes = scratch;
}

/* Bring a room into canonical form, likewise. `scratch` has WIRE_ROOM_MAX bytes; if the room is
 * longer even in that form, only its length is valid afterwards. */
static inline void wire_canonical_room(struct wire_name *room, uint8_t *scratch)
{
    if (canonical_is_room(room->bytes, room->length))
        return;
    room->length = canonical_write_room(room->bytes, room->length, scratch, WIRE_ROOM_MAX);
    room->bytes = scratch;
}

/* Bring a room and a source that are within their limits into canonical form. Out of line, so that
 * datagrams with neither don't pay for it. */
static __attribute__((noinline, unused)) void wire_canonical_labels(struct wire_name *room,
                                                                    struct wire_name *source,
                                                                    struct wire_scratch *scratch)
{
    wire_canonical_room(room, scratch->room);
    if (source->length != 0)
        wire_canonical_lower(source, scratch->source);
}

/* Decode a native datagram: judge its shape, then its names. Returns WIRE_ACCEPTED and fills
 * `*ret`, or WIRE_VERSION, WIRE_MALFORMED or WIRE_VISITOR and leaves it untouched. The caller
 * judges sender, tag, time and site. */
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

    /* Assign member by member: a heartbeat that is copied whole is read before its parts are
     * written. */
    wire_point_at_names(datagram, ret);
    wire_canonical_lower(&ret->site, scratch->site);
    if (datagram[15] | datagram[16])
        wire_canonical_labels(&ret->room, &ret->source, scratch);
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

/* True if each length fits its field; wire_shape checks that all of them fit one datagram. */
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

/* Encode one native datagram and return its size, or 0 if the format can't carry the heartbeat (a
 * name, country, kind, key id or number of visitors is against its rule) or `capacity` is too
 * small; `datagram` may then be partly written. Names are written as they are given.
 *
 * If the heartbeat is authenticated, the length and the returned size include the tag. Its eight
 * bytes, the last, are copied from `heartbeat->tag`, or left for the caller to fill if that is
 * NULL: they are SipHash-2-4-64 of all before them.
 */
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

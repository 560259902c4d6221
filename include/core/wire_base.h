/* wire_base.h - what all formats of a heartbeat share: limits, kinds, reasons and names.
 *
 * Integers are big-endian; the layouts are the tables in docs/protocol.md. The bytes are hostile
 * until a decoder has accepted them.
 *
 * Free of libc, no allocation, no state: every function may be called from any thread, and may be
 * compiled for BPF. Sizes are bytes.
 */
#ifndef PRESENCE_WIRE_BASE_H
#define PRESENCE_WIRE_BASE_H

#include "core/canonical.h"
#include "core/utf8.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION_1     1
#define WIRE_VERSION_2     2
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
    WIRE_DUPLICATE, /* version 2 only */
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

#endif

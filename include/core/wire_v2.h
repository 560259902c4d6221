/* wire_v2.h - decode and encode version 2 of the native heartbeat datagram.
 *
 * One datagram carries names and records. A record is a place, which refers to names by their
 * number, and the visitors there. The datagram has a sequence number in its stream, so that its
 * loss is known. All of it is judged before any record is counted.
 */
#ifndef PRESENCE_WIRE_V2_H
#define PRESENCE_WIRE_V2_H

#include "core/wire_base.h"
#include "core/wire_v2_scan.h"

#define WIRE_V2_HEADER_SIZE  28
#define WIRE_V2_RECORD_SIZE  8   /* without its visitors */
#define WIRE_V2_NAMES_MAX    255 /* in a datagram */
#define WIRE_V2_NAME_MAX     255 /* bytes of a name */
#define WIRE_V2_VISITORS_MAX 255 /* in a record */

/* A record's place, as it stands before its visitors. Names are those of the datagram, by their
 * number from 1; 0 is absent. */
struct wire_v2_record {
    uint8_t kind; /* enum wire_kind */
    uint8_t site, room, source, event;
    uint8_t visitors;   /* 1 to 255 */
    uint8_t country[2]; /* two zero bytes: absent */
};

_Static_assert(sizeof(struct wire_v2_record) == WIRE_V2_RECORD_SIZE, "as on the wire");

/* What a number of a name may be used for: bits of wire_v2_datagram.uses. */
enum wire_v2_use {
    WIRE_V2_SITE = 1 << 0,
    WIRE_V2_ROOM = 1 << 1,
    WIRE_V2_SOURCE = 1 << 2,
    WIRE_V2_EVENT = 1 << 3,
    WIRE_V2_NO_EVENT = 1 << 4,
    WIRE_V2_IS_LOWER = 1 << 5, /* in canonical form as a site or source; a path may lack it */
    WIRE_V2_IS_ROOM = 1 << 6,  /* in canonical form as a room */
};

/* A decoded datagram. It points into the datagram and lives as long. */
struct wire_v2_datagram {
    uint64_t stream;   /* 0: it belongs to none */
    uint32_t sequence; /* 0 if there is no stream, and once in 2^32 datagrams */
    uint16_t target;
    uint8_t authenticated;
    uint8_t key_id;
    uint32_t sent_at; /* Unix seconds; meaningful only if authenticated */
    uint32_t records;
    uint32_t visitors;                             /* of all records */
    const uint8_t *tag;                            /* 8 bytes; NULL if not authenticated */
    const uint8_t *next;                           /* the record that wire_v2_next reads next */
    const uint8_t *end;                            /* of the records */
    struct wire_name names[WIRE_V2_NAMES_MAX + 1]; /* by number; number 0 is the absent name */
    uint8_t uses[WIRE_V2_NAMES_MAX + 1];           /* enum wire_v2_use; 0: no such number */
};

/* The fields of a header that is written. */
struct wire_v2_header {
    uint64_t stream;
    uint32_t sequence;
    uint16_t target;
    uint8_t key_id; /* 0: not authenticated */
    uint8_t names;
    uint32_t sent_at; /* Unix seconds */
    uint32_t records;
    uint32_t length; /* of the datagram, with its tag if it is authenticated */
};

static inline uint64_t wire_load64(const uint8_t *bytes)
{
    return (uint64_t)wire_load32(bytes) << 32 | wire_load32(bytes + 4);
}

static inline void wire_store64(uint8_t *bytes, uint64_t value)
{
    wire_store32(bytes, (uint32_t)(value >> 32));
    wire_store32(bytes + 4, (uint32_t)value);
}

/* Judge a datagram of version 2 by its header and its length alone: WIRE_MALFORMED or
 * WIRE_ACCEPTED. Reads at most the first WIRE_V2_HEADER_SIZE bytes, and none beyond `length`. */
static inline enum wire_reason wire_v2_shape(const uint8_t *datagram, uint32_t length)
{
    if (length < WIRE_V2_HEADER_SIZE || wire_load16(datagram + 4) != length)
        return WIRE_MALFORMED;

    uint8_t flags = datagram[3], key_id = datagram[6];
    if (flags & ~WIRE_AUTHENTICATED || (key_id != 0) != (flags == WIRE_AUTHENTICATED))
        return WIRE_MALFORMED;
    /* Half of the stream's id is nearly always enough: BPF loads it byte by byte. */
    if (wire_load32(datagram + 12) == 0 && wire_load32(datagram + 16) == 0 &&
        wire_load32(datagram + 20) != 0)
        return WIRE_MALFORMED;

    uint32_t names = datagram[7], records = wire_load16(datagram + 24);
    uint32_t fixed = WIRE_V2_HEADER_SIZE + (flags ? WIRE_TAG_SIZE : 0);
    uint32_t least = fixed + 2 * names + (WIRE_V2_RECORD_SIZE + WIRE_VISITOR_SIZE) * records;
    uint32_t most = fixed + (1 + WIRE_V2_NAME_MAX) * names +
                    (WIRE_V2_RECORD_SIZE + WIRE_VISITOR_SIZE * WIRE_V2_VISITORS_MAX) * records;
    bool fits = length >= least && length <= most && (names != 0 || records == 0);
    return fits ? WIRE_ACCEPTED : WIRE_MALFORMED;
}

/* Return what a name of this length, at least 1, may be used for; it is taken to be in canonical
 * form. */
static inline uint8_t wire_v2_uses(uint32_t length)
{
    uint32_t any = WIRE_V2_ROOM | WIRE_V2_IS_LOWER | WIRE_V2_IS_ROOM;
    uint32_t site = length <= WIRE_SITE_MAX ? WIRE_V2_SITE | WIRE_V2_SOURCE : 0;
    uint32_t event = length <= WIRE_EVENT_MAX ? WIRE_V2_EVENT : 0;

    return (uint8_t)(any | site | event);
}

/* Find the names of a datagram whose header is right, and return where the records begin, or NULL
 * if a name has no byte or does not end before `end`. Add to `*unusual` how many of their lengths
 * are not 0x20..0x7e. */
static inline const uint8_t *wire_v2_find_names(const uint8_t *datagram, const uint8_t *end,
                                                struct wire_v2_datagram *ret, uint32_t *unusual)
{
    const uint8_t *at = datagram + WIRE_V2_HEADER_SIZE;

    __builtin_memset(ret->uses, 0, sizeof(ret->uses));
    ret->names[0] = (struct wire_name){0};
    ret->uses[0] =
        WIRE_V2_ROOM | WIRE_V2_SOURCE | WIRE_V2_NO_EVENT | WIRE_V2_IS_LOWER | WIRE_V2_IS_ROOM;
    for (unsigned i = 1; i <= datagram[7]; i++) {
        if (at == end || at[0] == 0 || end - at - 1 < at[0])
            return NULL;
        uint32_t length = at[0];
        bool trails = (length > 1) & (at[1] == '/') & (at[length] == '/');
        ret->names[i] = (struct wire_name){at + 1, length};
        ret->uses[i] = wire_v2_uses(length) & (uint8_t) ~(trails ? WIRE_V2_IS_ROOM : 0);
        *unusual += !utf8_is_within((uint8_t)length, 0x20, 0x7e);
        at += 1 + length;
    }
    return at;
}

/* Judge names one by one for what was found in some of them: true if all are valid. Withdraw what
 * they can't be used for without a change; a path may count as no site in canonical form without a
 * test. Out of line: most datagrams don't need it. */
static __attribute__((noinline, unused)) bool
wire_v2_judge_names(struct wire_v2_datagram *datagram, unsigned names, struct wire_v2_scan found)
{
    for (unsigned i = 1; i <= names; i++) {
        struct wire_name name = datagram->names[i];
        if (found.unusual && !utf8_is_name(name.bytes, name.length))
            return false;
        bool is_path = name.bytes[0] == '/';
        if (found.capitals && (is_path || !canonical_is_lower(name.bytes, name.length)))
            datagram->uses[i] &= (uint8_t)~WIRE_V2_IS_LOWER;
        if (found.slashes && is_path && !canonical_is_room(name.bytes, name.length))
            datagram->uses[i] &= (uint8_t)~WIRE_V2_IS_ROOM;
    }
    return true;
}

/* Read the names of a datagram whose header is right, and return where the records begin, or NULL
 * if a name is invalid or does not end before `end`. */
static inline const uint8_t *wire_v2_read_names(const uint8_t *datagram, const uint8_t *end,
                                                struct wire_v2_datagram *ret)
{
    const uint8_t *begin = datagram + WIRE_V2_HEADER_SIZE;
    uint32_t unusual_lengths = 0;
    const uint8_t *at = wire_v2_find_names(datagram, end, ret, &unusual_lengths);

    if (!at)
        return NULL;
    struct wire_v2_scan found = {.unusual = 1, .capitals = true, .slashes = true};
    if (at - begin <= WIRE_V2_SCAN_MAX && end - at >= WIRE_V2_SCAN_OVER) {
        found = wire_v2_scan(begin, (uint32_t)(at - begin));
        found.unusual -= unusual_lengths;
    }
    if (!found.unusual && !found.capitals && !found.slashes)
        return at;
    return wire_v2_judge_names(ret, datagram[7], found) ? at : NULL;
}

/* Judge the record at `at` and return where the next one begins, or NULL if it breaks a rule or
 * does not end before `end`. */
static inline const uint8_t *wire_v2_judge_record(const struct wire_v2_datagram *datagram,
                                                  const uint8_t *at, const uint8_t *end)
{
    if (end - at < WIRE_V2_RECORD_SIZE)
        return NULL;
    const struct wire_v2_record *record = (const void *)at;
    const uint8_t *uses = datagram->uses;
    uint8_t event = record->kind == WIRE_EVENT ? WIRE_V2_EVENT : WIRE_V2_NO_EVENT;
    uint8_t as_used = (uses[record->site] & WIRE_V2_SITE) | (uses[record->room] & WIRE_V2_ROOM) |
                      (uses[record->source] & WIRE_V2_SOURCE) | (uses[record->event] & event);
    if (as_used != (WIRE_V2_SITE | WIRE_V2_ROOM | WIRE_V2_SOURCE | event))
        return NULL;
    if (!utf8_is_within(record->kind, WIRE_HEARTBEAT, WIRE_EVENT) || record->visitors == 0 ||
        !wire_country_is_valid(record->country))
        return NULL;
    uint32_t size = WIRE_V2_RECORD_SIZE + (uint32_t)record->visitors * WIRE_VISITOR_SIZE;
    return (uint32_t)(end - at) < size ? NULL : at + size;
}

/* Judge all records between `ret->next` and `ret->end`, of which there must be as many as the
 * header says, and add up their visitors. */
static inline bool wire_v2_judge_records(struct wire_v2_datagram *ret)
{
    const uint8_t *at = ret->next;

    ret->visitors = 0;
    for (uint32_t i = 0; i < ret->records; i++) {
        const uint8_t *next = wire_v2_judge_record(ret, at, ret->end);
        if (!next)
            return false;
        ret->visitors += at[5];
        at = next;
    }
    return at == ret->end;
}

/* Decode a datagram of version 2: judge its header, then its names and records. Returns
 * WIRE_ACCEPTED and fills `*ret`, or WIRE_MALFORMED with `*ret` partly written. The caller judges
 * sender, tag, time, stream and sites. */
static inline enum wire_reason wire_v2_decode(const uint8_t *datagram, uint32_t length,
                                              struct wire_v2_datagram *ret)
{
    if (wire_v2_shape(datagram, length) != WIRE_ACCEPTED)
        return WIRE_MALFORMED;

    ret->authenticated = datagram[3] & WIRE_AUTHENTICATED;
    ret->key_id = datagram[6];
    ret->sent_at = wire_load32(datagram + 8);
    ret->stream = wire_load64(datagram + 12);
    ret->sequence = wire_load32(datagram + 20);
    ret->records = wire_load16(datagram + 24);
    ret->target = (uint16_t)wire_load16(datagram + 26);
    ret->end = datagram + length - (ret->authenticated ? WIRE_TAG_SIZE : 0);
    ret->tag = ret->authenticated ? ret->end : NULL;
    ret->next = wire_v2_read_names(datagram, ret->end, ret);
    if (!ret->next || !wire_v2_judge_records(ret))
        return WIRE_MALFORMED;
    return WIRE_ACCEPTED;
}

/* Bring the names of a record into canonical form, in `scratch`. Out of line: senders that use
 * libpresence send them in that form. */
static __attribute__((noinline, unused)) void wire_v2_canonical(struct wire_heartbeat *heartbeat,
                                                                struct wire_scratch *scratch)
{
    wire_canonical_lower(&heartbeat->site, scratch->site);
    wire_canonical_labels(&heartbeat->room, &heartbeat->source, scratch);
}

/* Read the next record of a datagram that wire_v2_decode has accepted, with its names in canonical
 * form; false if there is none left. The heartbeat points into the datagram or the scratch, and is
 * valid until the next call. It has no key, time or tag: those are the datagram's. */
static inline bool wire_v2_next(struct wire_v2_datagram *datagram, struct wire_scratch *scratch,
                                struct wire_heartbeat *ret)
{
    if (datagram->next == datagram->end)
        return false;
    const struct wire_v2_record *record = (const void *)datagram->next;
    ret->kind = record->kind;
    ret->site = datagram->names[record->site];
    ret->room = datagram->names[record->room];
    ret->source = datagram->names[record->source];
    ret->event = datagram->names[record->event];
    ret->visitors = record->visitors;
    ret->country[0] = record->country[0];
    ret->country[1] = record->country[1];
    ret->visitor_ids = datagram->next + WIRE_V2_RECORD_SIZE;
    ret->authenticated = ret->key_id = 0;
    ret->labels_invalid = ret->rooms_too_long = 0;
    ret->sent_at = 0;
    ret->tag = NULL;
    datagram->next = ret->visitor_ids + (size_t)ret->visitors * WIRE_VISITOR_SIZE;
    uint8_t lower = datagram->uses[record->site] & datagram->uses[record->source];
    if (!(lower & WIRE_V2_IS_LOWER) || !(datagram->uses[record->room] & WIRE_V2_IS_ROOM))
        wire_v2_canonical(ret, scratch);
    return true;
}

/* Write the WIRE_V2_HEADER_SIZE bytes of a header. Names, each with its length before it, records,
 * each with its visitors after it, and the tag must follow. */
static inline void wire_v2_encode_header(const struct wire_v2_header *fields, uint8_t *header)
{
    header[0] = 'P';
    header[1] = 'H';
    header[2] = WIRE_VERSION_2;
    header[3] = fields->key_id ? WIRE_AUTHENTICATED : 0;
    wire_store16(header + 4, fields->length);
    header[6] = fields->key_id;
    header[7] = fields->names;
    wire_store32(header + 8, fields->sent_at);
    wire_store64(header + 12, fields->stream);
    wire_store32(header + 20, fields->sequence);
    wire_store16(header + 24, fields->records);
    wire_store16(header + 26, fields->target);
}

#endif

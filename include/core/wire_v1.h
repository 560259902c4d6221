/* wire_v1.h - decode and encode version 1 of the native heartbeat datagram.
 *
 * One datagram names one place (a site and, if any, its room, country and source) and any number of
 * visitors there.
 */
#ifndef PRESENCE_WIRE_V1_H
#define PRESENCE_WIRE_V1_H

#include "core/wire_base.h"

#define WIRE_V1_HEADER_SIZE 20 /* bytes */

/* Add up the lengths of names in a header that is otherwise right. */
static inline uint32_t wire_v1_names_size(const uint8_t *header)
{
    return (uint32_t)header[14] + header[15] + header[16] + header[17];
}

static inline uint32_t wire_v1_total_size(const uint8_t *header)
{
    uint32_t tag_size = header[6] & WIRE_AUTHENTICATED ? WIRE_TAG_SIZE : 0;
    return WIRE_V1_HEADER_SIZE + wire_v1_names_size(header) + tag_size +
           WIRE_VISITOR_SIZE * wire_load16(header + 12);
}

/* Judge a native datagram by its header and its length alone: WIRE_VERSION (not version 1),
 * WIRE_MALFORMED, WIRE_VISITOR (all else is right, but it has none) or WIRE_ACCEPTED. Reads at most
 * the first WIRE_V1_HEADER_SIZE bytes, and none beyond `length`. */
static inline enum wire_reason wire_v1_shape(const uint8_t *datagram, uint32_t length)
{
    if (length < 3 || datagram[0] != 'P' || datagram[1] != 'H')
        return WIRE_MALFORMED;
    if (datagram[2] != WIRE_VERSION_1)
        return WIRE_VERSION;
    if (length < WIRE_V1_HEADER_SIZE || wire_load16(datagram + 4) != length)
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
    if (wire_v1_total_size(datagram) != length)
        return WIRE_MALFORMED;
    return wire_load16(datagram + 12) == 0 ? WIRE_VISITOR : WIRE_ACCEPTED;
}

/* True if the names that follow a header of the right shape are valid UTF-8 without control
 * characters. They are neighbours: if all their bytes are plain ASCII, as nearly always, one pass
 * covers all four. */
static inline bool wire_v1_names_are_valid(const uint8_t *datagram)
{
    const uint8_t *site = datagram + WIRE_V1_HEADER_SIZE;
    const uint8_t *room = site + datagram[14];
    const uint8_t *source = room + datagram[15];
    const uint8_t *event = source + datagram[16];

    if (utf8_is_plain(site, wire_v1_names_size(datagram)))
        return true;
    return utf8_is_name(site, datagram[14]) && utf8_is_name(room, datagram[15]) &&
           utf8_is_name(source, datagram[16]) && utf8_is_name(event, datagram[17]);
}

/* Point the heartbeat's names at those that follow a header. */
static inline void wire_v1_point_at_names(const uint8_t *datagram, struct wire_heartbeat *ret)
{
    const uint8_t *site = datagram + WIRE_V1_HEADER_SIZE;
    const uint8_t *room = site + datagram[14];
    const uint8_t *source = room + datagram[15];

    ret->site = (struct wire_name){site, datagram[14]};
    ret->room = (struct wire_name){room, datagram[15]};
    ret->source = (struct wire_name){source, datagram[16]};
    ret->event = (struct wire_name){source + datagram[16], datagram[17]};
}

/* Decode a native datagram: judge its shape, then its names. Returns WIRE_ACCEPTED and fills
 * `*ret`, or WIRE_VERSION, WIRE_MALFORMED or WIRE_VISITOR and leaves it untouched. The caller
 * judges sender, tag, time and site. */
static inline enum wire_reason wire_v1_decode(const uint8_t *datagram, uint32_t length,
                                              struct wire_scratch *scratch,
                                              struct wire_heartbeat *ret)
{
    enum wire_reason shape = wire_v1_shape(datagram, length);
    if (shape != WIRE_ACCEPTED && shape != WIRE_VISITOR)
        return shape;

    if (!wire_v1_names_are_valid(datagram))
        return WIRE_MALFORMED;
    if (shape != WIRE_ACCEPTED)
        return shape;

    /* Assign member by member: a heartbeat that is copied whole is read before its parts are
     * written. */
    wire_v1_point_at_names(datagram, ret);
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
    ret->visitor_ids = datagram + WIRE_V1_HEADER_SIZE + wire_v1_names_size(datagram);
    ret->tag = ret->authenticated ? datagram + length - WIRE_TAG_SIZE : NULL;
    return WIRE_ACCEPTED;
}

/* True if each length fits its field; wire_v1_shape checks that all of them fit one datagram. */
static inline bool wire_v1_lengths_are_valid(const struct wire_heartbeat *heartbeat)
{
    return heartbeat->site.length <= WIRE_SITE_MAX && heartbeat->room.length <= WIRE_ROOM_MAX &&
           heartbeat->source.length <= WIRE_SOURCE_MAX &&
           heartbeat->event.length <= WIRE_EVENT_MAX && heartbeat->visitors >= 1 &&
           heartbeat->visitors <= WIRE_DATAGRAM_MAX / WIRE_VISITOR_SIZE;
}

static inline void wire_v1_encode_header(const struct wire_heartbeat *heartbeat, uint32_t size,
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

static inline uint8_t *wire_v1_append(uint8_t *end, const uint8_t *bytes, uint32_t length)
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
static inline uint32_t wire_v1_encode(const struct wire_heartbeat *heartbeat, uint8_t *datagram,
                                      uint32_t capacity)
{
    if (!wire_v1_lengths_are_valid(heartbeat))
        return 0;
    uint32_t visitors_size = heartbeat->visitors * WIRE_VISITOR_SIZE;
    uint32_t size = WIRE_V1_HEADER_SIZE + heartbeat->site.length + heartbeat->room.length +
                    heartbeat->source.length + heartbeat->event.length + visitors_size +
                    (heartbeat->authenticated ? WIRE_TAG_SIZE : 0);
    if (size > capacity)
        return 0;

    wire_v1_encode_header(heartbeat, size, datagram);
    uint8_t *end = datagram + WIRE_V1_HEADER_SIZE;
    end = wire_v1_append(end, heartbeat->site.bytes, heartbeat->site.length);
    end = wire_v1_append(end, heartbeat->room.bytes, heartbeat->room.length);
    end = wire_v1_append(end, heartbeat->source.bytes, heartbeat->source.length);
    end = wire_v1_append(end, heartbeat->event.bytes, heartbeat->event.length);
    end = wire_v1_append(end, heartbeat->visitor_ids, visitors_size);
    if (heartbeat->authenticated && heartbeat->tag)
        wire_v1_append(end, heartbeat->tag, WIRE_TAG_SIZE);

    bool valid =
        wire_v1_shape(datagram, size) == WIRE_ACCEPTED && wire_v1_names_are_valid(datagram);
    return valid ? size : 0;
}

#endif

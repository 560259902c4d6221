/* encode_v2.h - a datagram of version 2 from heartbeats, for tests and benchmarks. */
#ifndef PRESENCE_TESTS_ENCODE_V2_H
#define PRESENCE_TESTS_ENCODE_V2_H

#include <core/wire.h>
#include <string.h>

struct encoder_v2 {
    struct wire_name names[WIRE_V2_NAMES_MAX + 1]; /* from 1 */
    unsigned count;
    uint8_t *at; /* NULL: what is appended no longer fits */
    uint8_t *end;
};

static inline void encode_v2_append(struct encoder_v2 *encoder, const void *bytes, size_t length)
{
    if (!encoder->at || (size_t)(encoder->end - encoder->at) < length) {
        encoder->at = NULL;
        return;
    }
    if (length)
        memcpy(encoder->at, bytes, length);
    encoder->at += length;
}

/* Return a name's number, and append the name if it is new. */
static inline uint8_t encode_v2_name(struct encoder_v2 *encoder, struct wire_name name)
{
    for (unsigned i = 1; i <= encoder->count; i++) {
        if (encoder->names[i].length == name.length &&
            memcmp(encoder->names[i].bytes, name.bytes, name.length) == 0)
            return (uint8_t)i;
    }
    if (name.length == 0)
        return 0;
    if (encoder->count == WIRE_V2_NAMES_MAX || name.length > WIRE_V2_NAME_MAX) {
        encoder->at = NULL;
        return 0;
    }
    encoder->names[++encoder->count] = name;
    encode_v2_append(encoder, &(uint8_t){(uint8_t)name.length}, 1);
    encode_v2_append(encoder, name.bytes, name.length);
    return (uint8_t)encoder->count;
}

/* Find the numbers of a heartbeat's names, or append its names. */
static inline struct wire_v2_record encode_v2_place(struct encoder_v2 *encoder,
                                                    const struct wire_heartbeat *heartbeat)
{
    struct wire_v2_record record = {
        .kind = heartbeat->kind,
        .visitors = (uint8_t)heartbeat->visitors,
        .country = {heartbeat->country[0], heartbeat->country[1]},
    };
    record.site = encode_v2_name(encoder, heartbeat->site);
    record.room = encode_v2_name(encoder, heartbeat->room);
    record.source = encode_v2_name(encoder, heartbeat->source);
    record.event = encode_v2_name(encoder, heartbeat->event);
    return record;
}

/* Encode `count` heartbeats, a record each, and return the datagram's length, or 0 if it does not
 * fit into `capacity` bytes or has too many or too long names, or a heartbeat over 255 visitors;
 * other rules are not checked. Of `header`, names, records and length are computed. If it has a
 * key id, the last eight bytes are left to the caller, who signs those before them. */
static inline uint32_t encode_v2(struct wire_v2_header header,
                                 const struct wire_heartbeat *heartbeats, uint32_t count,
                                 uint8_t *datagram, uint32_t capacity)
{
    uint32_t tag_size = header.key_id ? WIRE_TAG_SIZE : 0;
    if (capacity < WIRE_V2_HEADER_SIZE + tag_size || count > UINT16_MAX)
        return 0;
    struct encoder_v2 encoder = {.at = datagram + WIRE_V2_HEADER_SIZE,
                                 .end = datagram + capacity - tag_size};
    for (uint32_t i = 0; i < count; i++)
        encode_v2_place(&encoder, &heartbeats[i]);
    for (uint32_t i = 0; i < count; i++) {
        if (heartbeats[i].visitors > WIRE_V2_VISITORS_MAX)
            return 0;
        struct wire_v2_record record = encode_v2_place(&encoder, &heartbeats[i]);
        encode_v2_append(&encoder, &record, sizeof(record));
        encode_v2_append(&encoder, heartbeats[i].visitor_ids,
                         (size_t)heartbeats[i].visitors * WIRE_VISITOR_SIZE);
    }
    if (!encoder.at || encoder.at + tag_size - datagram > WIRE_DATAGRAM_MAX)
        return 0;
    header.names = (uint8_t)encoder.count;
    header.records = count;
    header.length = (uint32_t)(encoder.at - datagram) + tag_size;
    wire_v2_encode_header(&header, datagram);
    return header.length;
}

#endif

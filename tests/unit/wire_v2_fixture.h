/* wire_v2_fixture.h - datagrams of version 2 that are put together name by name and record by
 * record. */
#ifndef PRESENCE_WIRE_V2_FIXTURE_H
#define PRESENCE_WIRE_V2_FIXTURE_H

#include "wire_fixture.h"

#define GOLDEN_STREAM UINT64_C(0x0102030405060708)

struct draft {
    uint8_t bytes[WIRE_DATAGRAM_MAX + 8192];
    uint32_t length;
    uint32_t names, records;
};

static inline void draft_begin(struct draft *draft)
{
    memset(draft, 0, sizeof(*draft));
    draft->length = 28;
}

/* Append a name, valid or not, of at most 255 bytes, and return its number. */
static inline uint8_t draft_name(struct draft *draft, const void *name, uint32_t length)
{
    draft->bytes[draft->length++] = (uint8_t)length;
    if (length)
        memcpy(draft->bytes + draft->length, name, length);
    draft->length += length;
    return (uint8_t)++draft->names;
}

/* Append a name of `length` bytes `letter`. */
static inline uint8_t draft_run(struct draft *draft, char letter, uint32_t length)
{
    char name[255];
    memset(name, letter, sizeof(name));
    return draft_name(draft, name, length);
}

/* Append a record; the visitors' ids are counted up. */
static inline void draft_record(struct draft *draft, struct wire_v2_record record)
{
    memcpy(draft->bytes + draft->length, &record, 8);
    draft->length += 8;
    for (uint32_t i = 0; i < record.visitors; i++) {
        memset(draft->bytes + draft->length, (int)(i + draft->records), 16);
        draft->length += 16;
    }
    draft->records++;
}

/* Return the datagram in a block of exactly its size. With a key id, it ends in a tag of 0xaa. */
static inline struct bytes draft_end(const struct draft *draft, uint8_t key_id)
{
    uint32_t length = draft->length + (key_id ? 8 : 0);
    struct bytes datagram = {malloc(length), length};
    memset(datagram.bytes, 0xaa, length);
    memcpy(datagram.bytes, draft->bytes, draft->length);
    const uint8_t begin[8] = {'P', 'H', 2, key_id ? 1 : 0, 0, 0, key_id, (uint8_t)draft->names};
    memcpy(datagram.bytes, begin, sizeof(begin));
    datagram.bytes[4] = (uint8_t)(length >> 8);
    datagram.bytes[5] = (uint8_t)length;
    datagram.bytes[24] = (uint8_t)(draft->records >> 8);
    datagram.bytes[25] = (uint8_t)draft->records;
    return datagram;
}

#endif

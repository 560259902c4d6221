/* The table's payloads of version 2, written from the protocol's description, not from its parser.
 * A header says how many names and records follow, but not how long they are: so there is a range
 * of lengths that may be right. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/golden.h"
#include "frames.h"

#define PASSED    PRESENCE_XDP_PASSED
#define VERSION   PRESENCE_XDP_VERSION
#define MALFORMED PRESENCE_XDP_MALFORMED
#define HEADER    28
#define PLACES    128 /* bytes of the golden datagram with four names and two records */

/* One of the golden datagrams with up to two places changed. */
struct change {
    const char *name;
    enum presence_xdp_fate fate;
    const char *golden;
    uint8_t at, count, bytes[8];
    uint8_t at_2, count_2, bytes_2[4];
};

#define PLACES_HEX GOLDEN_V2_HEX
#define SIGNED_HEX GOLDEN_V2_SIGNED_HEX
#define EMPTY_HEX  GOLDEN_V2_EMPTY_HEX

static const struct change changes[] = {
    {"v2: places", PASSED, PLACES_HEX, 0, 0, {0}},
    {"v2: signed", PASSED, SIGNED_HEX, 0, 0, {0}},
    {"v2: empty", PASSED, EMPTY_HEX, 0, 0, {0}},
    {"v2 as version 3", VERSION, PLACES_HEX, 2, 1, {3}},
    {"v2 as version 1", MALFORMED, PLACES_HEX, 2, 1, {1}},
    {"v2 as text", PASSED, PLACES_HEX, 2, 1, {'1'}},
    {"v2: magic pH", PASSED, PLACES_HEX, 0, 1, {'p'}},
    {"v2: forged: the tag", PASSED, SIGNED_HEX, 71, 1, {0}},
    {"v2: forged: the time", PASSED, SIGNED_HEX, 8, 4, {255, 255, 255, 255}},
    {"v2: forged: the key's id", PASSED, SIGNED_HEX, 6, 1, {255}},
    {"v2: a time without a tag", PASSED, PLACES_HEX, 8, 4, {1, 2, 3, 4}},
    {"v2: flag 1 alone", MALFORMED, PLACES_HEX, 3, 1, {1}},
    {"v2: a key's id without the flag", MALFORMED, PLACES_HEX, 6, 1, {7}},
    {"v2: flag and key, but no tag", PASSED, PLACES_HEX, 3, 1, {1}, 6, 1, {7}},
    {"v2: flag and key, but no bytes", MALFORMED, EMPTY_HEX, 3, 1, {1}, 6, 1, {7}},
    {"v2: flag 2", MALFORMED, PLACES_HEX, 3, 1, {2}},
    {"v2: flag 128", MALFORMED, PLACES_HEX, 3, 1, {128}},
    {"v2: signed with flag 2, too", MALFORMED, SIGNED_HEX, 3, 1, {3}},
    {"v2: signed with key 0", MALFORMED, SIGNED_HEX, 6, 1, {0}},
    {"v2: signed without the flag", MALFORMED, SIGNED_HEX, 3, 1, {0}},
    {"v2: a tag, but no flag and key", PASSED, SIGNED_HEX, 3, 1, {0}, 6, 1, {0}},
    {"v2: length 0", MALFORMED, PLACES_HEX, 4, 2, {0, 0}},
    {"v2: length of a header", MALFORMED, PLACES_HEX, 4, 2, {0, HEADER}},
    {"v2: length - 1", MALFORMED, PLACES_HEX, 4, 2, {0, PLACES - 1}},
    {"v2: length + 1", MALFORMED, PLACES_HEX, 4, 2, {0, PLACES + 1}},
    {"v2: length in the other order", MALFORMED, PLACES_HEX, 4, 2, {PLACES, 0}},
    {"v2: length 65535", MALFORMED, PLACES_HEX, 4, 2, {255, 255}},
    {"v2: empty, length - 1", MALFORMED, EMPTY_HEX, 4, 2, {0, HEADER - 1}},
    {"v2: empty, length + 1", MALFORMED, EMPTY_HEX, 4, 2, {0, HEADER + 1}},
    {"v2: records and no names", MALFORMED, PLACES_HEX, 7, 1, {0}},
    {"v2: a name too few", PASSED, PLACES_HEX, 7, 1, {3}},
    {"v2: a name too many", PASSED, PLACES_HEX, 7, 1, {5}},
    {"v2: 26 names, the most that fit", PASSED, PLACES_HEX, 7, 1, {26}},
    {"v2: 27 names", MALFORMED, PLACES_HEX, 7, 1, {27}},
    {"v2: 255 names", MALFORMED, PLACES_HEX, 7, 1, {255}},
    {"v2: names and no records", PASSED, PLACES_HEX, 24, 2, {0, 0}},
    {"v2: neither, but bytes", MALFORMED, PLACES_HEX, 24, 2, {0, 0}, 7, 1, {0}},
    {"v2: a record too few", PASSED, PLACES_HEX, 24, 2, {0, 1}},
    {"v2: three records, the most that fit", PASSED, PLACES_HEX, 24, 2, {0, 3}},
    {"v2: four records", MALFORMED, PLACES_HEX, 24, 2, {0, 4}},
    {"v2: records in the other order", MALFORMED, PLACES_HEX, 24, 2, {2, 0}},
    {"v2: 65535 records", MALFORMED, PLACES_HEX, 24, 2, {255, 255}},
    {"v2: empty, one name", MALFORMED, EMPTY_HEX, 7, 1, {1}},
    {"v2: empty, one record", MALFORMED, EMPTY_HEX, 24, 2, {0, 1}},
    {"v2: no stream, no sequence", PASSED, PLACES_HEX, 12, 8, {0}, 20, 4, {0}},
    {"v2: no stream, sequence 1", MALFORMED, PLACES_HEX, 12, 8, {0}},
    {"v2: no stream, sequence 2^24", MALFORMED, PLACES_HEX, 12, 8, {0}, 20, 4, {1, 0, 0, 0}},
    {"v2: no stream, sequence 2^16", MALFORMED, PLACES_HEX, 12, 8, {0}, 20, 4, {0, 1, 0, 0}},
    {"v2: no stream, sequence 2^8", MALFORMED, PLACES_HEX, 12, 8, {0}, 20, 4, {0, 0, 1, 0}},
    {"v2: no stream, sequence 2^32 - 1",
     MALFORMED,
     EMPTY_HEX,
     12,
     8,
     {0},
     20,
     4,
     {255, 255, 255, 255}},
    {"v2: stream 2^56", PASSED, PLACES_HEX, 12, 8, {1}},
    {"v2: stream 2^48", PASSED, PLACES_HEX, 12, 8, {0, 1}},
    {"v2: stream 2^40", PASSED, PLACES_HEX, 12, 8, {0, 0, 1}},
    {"v2: stream 2^32", PASSED, PLACES_HEX, 12, 8, {0, 0, 0, 1}},
    {"v2: stream 2^24", PASSED, PLACES_HEX, 12, 8, {0, 0, 0, 0, 1}},
    {"v2: stream 2^16", PASSED, PLACES_HEX, 12, 8, {0, 0, 0, 0, 0, 1}},
    {"v2: stream 2^8", PASSED, PLACES_HEX, 12, 8, {0, 0, 0, 0, 0, 0, 1}},
    {"v2: stream 1", PASSED, PLACES_HEX, 12, 8, {0, 0, 0, 0, 0, 0, 0, 1}},
    {"v2: a stream's sequence 0", PASSED, PLACES_HEX, 20, 4, {0}},
    {"v2: the highest sequence", PASSED, EMPTY_HEX, 20, 4, {255, 255, 255, 255}},
    {"v2: target 65535", PASSED, PLACES_HEX, 26, 2, {255, 255}},
    {"v2: a name of no bytes", PASSED, PLACES_HEX, HEADER, 1, {0}},
    {"v2: a name beyond the end", PASSED, PLACES_HEX, HEADER, 1, {255}},
    {"v2: a control character in a name", PASSED, PLACES_HEX, HEADER + 1, 1, {'\n'}},
    {"v2: a record of kind 0", PASSED, PLACES_HEX, 64, 1, {0}},
    {"v2: a record without a site", PASSED, PLACES_HEX, 65, 1, {0}},
};

/* Datagrams whose length field is right, by what the header says. */
struct lengths {
    const char *name;
    enum presence_xdp_fate fate;
    uint8_t flags, names;
    uint16_t records, length;
};

static const struct lengths made[] = {
    {"v2: empty and signed", PASSED, 1, 0, 0, 36},
    {"v2: empty and signed, - 1", MALFORMED, 1, 0, 0, 35},
    {"v2: empty and signed, + 1", MALFORMED, 1, 0, 0, 37},
    {"v2: empty, + 1", MALFORMED, 0, 0, 0, 29},
    {"v2: empty, a jumbo frame", MALFORMED, 0, 0, 0, 8900},
    {"v2: a name of one byte", PASSED, 0, 1, 0, 30},
    {"v2: a name of one byte, - 1", MALFORMED, 0, 1, 0, 29},
    {"v2: a name of 255 bytes", PASSED, 0, 1, 0, 284},
    {"v2: a name of 255 bytes, + 1", MALFORMED, 0, 1, 0, 285},
    {"v2: a name of 255 bytes, signed", PASSED, 1, 1, 0, 292},
    {"v2: a name of 255 bytes, signed, + 1", MALFORMED, 1, 1, 0, 293},
    {"v2: the shortest record", PASSED, 0, 1, 1, 54},
    {"v2: the shortest record, - 1", MALFORMED, 0, 1, 1, 53},
    {"v2: the shortest record, signed", PASSED, 1, 1, 1, 62},
    {"v2: the shortest record, signed, - 1", MALFORMED, 1, 1, 1, 61},
    {"v2: the longest record", PASSED, 0, 1, 1, 4372},
    {"v2: the longest record, + 1", MALFORMED, 0, 1, 1, 4373},
    {"v2: the longest record, signed", PASSED, 1, 1, 1, 4380},
    {"v2: the longest record, signed, + 1", MALFORMED, 1, 1, 1, 4381},
    {"v2: a record and no names", MALFORMED, 0, 0, 1, 60},
    {"v2: a record and no names, signed", MALFORMED, 1, 0, 1, 60},
    {"v2: 255 names", PASSED, 0, 255, 0, 538},
    {"v2: 255 names, - 1", MALFORMED, 0, 255, 0, 537},
    {"v2: a full Ethernet frame", PASSED, 0, 30, 29, 1472},
    {"v2: a full Ethernet frame, signed", PASSED, 1, 255, 38, 1472},
    {"v2: a jumbo frame of records", PASSED, 0, 1, 369, 8900},
    {"v2: a jumbo frame of too many records", MALFORMED, 0, 1, 370, 8900},
};

static void change(const struct change *change, struct payload *payload)
{
    struct bytes golden = bytes_from_hex(change->golden);

    memcpy(payload->bytes, golden.bytes, golden.length);
    payload->length = golden.length;
    memcpy(payload->bytes + change->at, change->bytes, change->count);
    memcpy(payload->bytes + change->at_2, change->bytes_2, change->count_2);
    payload->name = change->name;
    payload->fate = change->fate;
    bytes_free(&golden);
}

static void put_header(const struct lengths *lengths, uint32_t sequence, uint8_t *header)
{
    const uint8_t bytes[HEADER] = {
        'P',
        'H',
        2,
        lengths->flags,
        (uint8_t)(lengths->length >> 8),
        (uint8_t)lengths->length,
        lengths->flags ? 9 : 0,
        lengths->names,
        0,
        0,
        0,
        0,
        0xfe,
        0xdc,
        0xba,
        0x98,
        0x76,
        0x54,
        0x32,
        0x10,
        (uint8_t)(sequence >> 24),
        (uint8_t)(sequence >> 16),
        (uint8_t)(sequence >> 8),
        (uint8_t)sequence,
        (uint8_t)(lengths->records >> 8),
        (uint8_t)lengths->records,
        0,
        0,
    };

    memcpy(header, bytes, sizeof(bytes));
}

static void make(const struct lengths *lengths, struct payload *payload)
{
    if (lengths->length > sizeof(payload->bytes))
        abort();
    memset(payload->bytes, 'x', lengths->length);
    put_header(lengths, 1, payload->bytes);
    payload->length = lengths->length;
    payload->name = lengths->name;
    payload->fate = lengths->fate;
}

/* The golden datagram of four names, cut to so many bytes, or longer. */
static void cut(uint32_t length, struct payload *payload)
{
    static char name[64];

    change(&changes[0], payload);
    snprintf(name, sizeof(name), "v2: the first %u bytes", length);
    payload->length = length;
    payload->name = name;
    payload->fate = MALFORMED;
}

uint32_t payload_v2(uint8_t visitors, uint32_t sequence, uint8_t *datagram)
{
    static const char site[] = "\x0b"
                               "example.com";
    const uint8_t record[] = {1, 1, 0, 0, 0, visitors, 0, 0};
    uint32_t size = (uint32_t)(HEADER + strlen(site) + sizeof(record)) + 16u * visitors;

    put_header(&(struct lengths){"", PASSED, 0, 1, 1, (uint16_t)size}, sequence, datagram);
    memcpy(datagram + HEADER, site, strlen(site));
    memcpy(datagram + HEADER + strlen(site), record, sizeof(record));
    memset(datagram + size - 16u * visitors, 'x', 16u * visitors);
    return size;
}

#define COUNT(array) ((unsigned)(sizeof(array) / sizeof((array)[0])))

const struct payload *payload_v2_at(unsigned index)
{
    static struct payload payload;
    static const uint32_t lengths[] = {3,  4,  19,         20,         21,          26,  27,
                                       28, 29, PLACES - 1, PLACES + 1, PLACES + 24, 1000};

    memset(payload.bytes, 0, sizeof(payload.bytes));
    if (index < COUNT(changes)) {
        change(&changes[index], &payload);
        return &payload;
    }
    index -= COUNT(changes);
    if (index < COUNT(made)) {
        make(&made[index], &payload);
        return &payload;
    }
    index -= COUNT(made);
    if (index < COUNT(lengths)) {
        cut(lengths[index], &payload);
        return &payload;
    }
    return NULL;
}

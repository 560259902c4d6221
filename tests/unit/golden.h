/* golden.h - the golden datagrams of docs/protocol.md, and bytes for tests. */
#ifndef PRESENCE_TESTS_GOLDEN_H
#define PRESENCE_TESTS_GOLDEN_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN_VISITOR_TEXT  "9b2d6f2e-1c3a-4f5b-8d7e-0a1b2c3d4e5f"
#define GOLDEN_VISITOR_HEX   "9b2d6f2e1c3a4f5b8d7e0a1b2c3d4e5f"
#define GOLDEN_VISITOR_2_HEX "00000000000040008000000000000001"
#define GOLDEN_ID_TEXT       "visitor-42"
#define GOLDEN_ID_HEX        "d7e376ba990b40e96a72e153f117cecc"
#define GOLDEN_SENT_AT       1767225600u
#define GOLDEN_TAG_HEX       "d4cb34e9109a969f"

/* Two visitors, example.com, /pricing, DE, news.example. */
#define GOLDEN_LABELS_HEX                                                                          \
    "50480101005300000000000000020b080c0044456578616d706c652e636f6d2f70726963696e676e6577732e6578" \
    "616d706c65" GOLDEN_VISITOR_HEX GOLDEN_VISITOR_2_HEX

/* The first visitor, example.com, key 7. */
#define GOLDEN_SIGNED_HEX                                                               \
    "50480101003701076955b90000010b00000000006578616d706c652e636f6d" GOLDEN_VISITOR_HEX \
        GOLDEN_TAG_HEX

/* Version 2, stream 0102030405060708. Sequence 1: a heartbeat of both visitors on /pricing from DE
 * by news.example, then a pageview of the first on /. */
#define GOLDEN_V2_HEX                                                                              \
    "504802000080000400000000010203040506070800000001000200000b6578616d706c652e636f6d082f70726963" \
    "696e670c6e6577732e6578616d706c65012f0101020300024445" GOLDEN_VISITOR_HEX GOLDEN_VISITOR_2_HEX \
    "0301040000010000" GOLDEN_VISITOR_HEX

/* Sequence 2: a heartbeat of the first on the site, key 7. */
#define GOLDEN_V2_TAG_HEX "2ac7e700bcaabd6e"
#define GOLDEN_V2_SIGNED_HEX                                                                   \
    "50480201004807016955b900010203040506070800000002000100000b6578616d706c652e636f6d01010000" \
    "00010000" GOLDEN_VISITOR_HEX GOLDEN_V2_TAG_HEX

/* Sequence 3: empty. */
#define GOLDEN_V2_EMPTY_HEX "50480200001c00000000000001020304050607080000000300000000"

/* Bytes in a heap block of exactly their size, so that a sanitizer sees any read beyond them. */
struct bytes {
    uint8_t *bytes;
    uint32_t length;
};

static inline struct bytes bytes_copy(const void *from, size_t length)
{
    struct bytes copy = {malloc(length), (uint32_t)length};
    if (length != 0)
        memcpy(copy.bytes, from, length);
    return copy;
}

static inline struct bytes bytes_from_hex(const char *hex)
{
    struct bytes parsed = {malloc(strlen(hex) / 2), (uint32_t)(strlen(hex) / 2)};
    for (uint32_t i = 0; i < parsed.length; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        parsed.bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return parsed;
}

static inline void bytes_free(struct bytes *bytes)
{
    free(bytes->bytes);
}

#endif

/* packet.h - the meaning of one datagram of any format, and its bytes. */
#ifndef PRESENCE_TESTS_PACKET_H
#define PRESENCE_TESTS_PACKET_H

#include <stdbool.h>

#include "beat.h"

#define PACKET_RECORDS_MAX 40

enum packet_format { PACKET_TEXT, PACKET_V1, PACKET_V2, PACKET_INVALID };

enum rejection { REJECTED_VERSION, REJECTED_MALFORMED, REJECTED_VISITOR };

/* How a native datagram is signed. */
struct signature {
    uint8_t key_id; /* 0: it is not */
    uint32_t sent_at;
    bool is_valid; /* otherwise the tag is another one */
};

struct packet {
    enum packet_format format;
    enum rejection rejection;   /* of PACKET_INVALID */
    struct signature signature; /* of PACKET_V1 and PACKET_V2 */
    uint64_t stream;            /* this and the next two: of PACKET_V2 */
    uint32_t sequence;
    uint16_t target;
    unsigned records;   /* 1 unless it is PACKET_V2 */
    struct beat *beats; /* one for each record */
    uint8_t *bytes;     /* exactly `length`, so that a sanitizer detects any read beyond them */
    uint32_t length;
};

/* Copy a packet with its beats and bytes. Free each with packet_free. */
struct packet packet_copy(const struct packet *packet);

void packet_free(struct packet *packet);

#endif

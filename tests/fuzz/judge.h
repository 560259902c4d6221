/* judge.h - a second implementation of docs/protocol.md, simple and slow, written in another way
 * than wire.h and text.h, and sharing nothing with them. */
#ifndef PRESENCE_FUZZ_JUDGE_H
#define PRESENCE_FUZZ_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

/* The numbers follow the order in docs/protocol.md, so that they compare with wire.h's reasons. */
enum judge_reason {
    JUDGE_ACCEPTED = 0,
    JUDGE_VERSION = 2,
    JUDGE_MALFORMED = 3,
    JUDGE_VISITOR = 4,
};

struct judge_name {
    uint8_t bytes[256];
    uint32_t length; /* 0: absent */
};

struct judgement {
    enum judge_reason reason; /* the rest is set only if it is accepted */
    struct judge_name site, room, source, event;
    uint8_t country[2];
    uint32_t kind, authenticated, key_id, sent_at;
    uint32_t labels_invalid, rooms_too_long;
    uint32_t visitors;
    uint8_t visitor_ids[65536];
    uint8_t tag[8];
};

/* A record of version 2. */
struct judge_record {
    uint32_t kind, visitors;
    uint32_t names[4]; /* the numbers of site, room, source and event */
    uint8_t country[2];
    const uint8_t *visitor_ids; /* in the datagram */
};

#define JUDGE_RECORDS_MAX 4096 /* more do not fit into a datagram */

struct judgement_v2 {
    enum judge_reason reason; /* the rest is set only if it is accepted */
    uint64_t stream;
    uint32_t sequence, target, authenticated, key_id, sent_at;
    uint8_t tag[8];
    struct judge_name names[256]; /* from 1; 0 is the absent name */
    struct judge_record records[JUDGE_RECORDS_MAX];
    uint32_t record_count, visitors;
};

bool judge_is_native(const uint8_t *datagram, uint32_t length);

/* True if the datagram is native and of version 2: judge_v2 judges it, and judge does not. */
bool judge_is_v2(const uint8_t *datagram, uint32_t length);

void judge_v2(const uint8_t *datagram, uint32_t length, struct judgement_v2 *ret);

/* Write what a record of an accepted datagram says, as if it were a datagram of its own that is not
 * authenticated. One thread at a time. */
void judge_one_record(const struct judgement_v2 *datagram, uint32_t index, struct judgement *ret);

/* Judge any other datagram, native or text by its first bytes. One thread at a time. */
void judge(const uint8_t *datagram, uint32_t length, struct judgement *ret);

void judge_native(const uint8_t *datagram, uint32_t length, struct judgement *ret);
void judge_text(const uint8_t *datagram, uint32_t length, struct judgement *ret);

/* Write a room in canonical form, which is no longer, and return its length. */
uint32_t judge_room(const uint8_t *bytes, uint32_t length, uint8_t *ret);

/* True if the bytes are UTF-8 without U+0000-001F and U+007F-009F. */
bool judge_is_name(const uint8_t *bytes, uint32_t length);

#endif

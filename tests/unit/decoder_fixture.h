/* decoder_fixture.h - a decoder, and what it reads written as lines of text. */
#ifndef PRESENCE_TESTS_DECODER_FIXTURE_H
#define PRESENCE_TESTS_DECODER_FIXTURE_H

#include "../support/unit.h"

#include <arpa/inet.h>
#include <receive/decoder.h>

#include "golden.h"

#define FIRST  GOLDEN_VISITOR_HEX
#define SECOND GOLDEN_VISITOR_2_HEX

/* An offset of a field in a datagram of version 2. */
enum { KEY_ID = 6, STREAM = 12, SEQUENCE = 20, TARGET = 26 };

struct fixture {
    struct decoder *decoder;
    struct decoder_counts counts;
};

static inline int prepare(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    assert_int_equal(decoder_open(NULL, &fixture->counts, &fixture->decoder), 0);
    decoder_set_time(fixture->decoder, 1000);
    *state = fixture;
    return 0;
}

/* Check that every datagram is accounted for. */
static inline void expect_accounted(const struct decoder_counts *counts)
{
    uint64_t rejected = 0;

    for (unsigned i = 0; i < DECODER_REASONS; i++)
        rejected += counts->datagrams_rejected[i];
    assert_int_equal(counts->datagrams_received, counts->datagrams_accepted + rejected);
}

static inline int clean_up(void **state)
{
    struct fixture *fixture = *state;

    expect_accounted(&fixture->counts);
    decoder_close(fixture->decoder);
    free(fixture);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, clean_up)

static inline void append(char *text, size_t size, const char *more)
{
    size_t length = strlen(text);

    assert_true(length + strlen(more) < size);
    memcpy(text + length, more, strlen(more) + 1);
}

/* Return all that the decoder still reads: "KIND SITE ROOM COUNTRY SOURCE EVENT: ID ID; ", with "-"
 * for what is absent. Good until the next call. */
static inline const char *read_all(struct decoder *decoder)
{
    static char text[8192];
    struct decoded decoded;

    text[0] = '\0';
    while (decoder_next(decoder, &decoded)) {
        const struct presence_place *place = &decoded.place;
        const char *names[] = {place->site, place->room, place->country, place->source,
                               place->event};
        char part[8];
        snprintf(part, sizeof(part), "%d", (int)place->kind);
        append(text, sizeof(text), part);
        for (size_t i = 0; i < LENGTH(names); i++) {
            append(text, sizeof(text), " ");
            append(text, sizeof(text), names[i] ? names[i] : "-");
        }
        append(text, sizeof(text), ":");
        for (uint32_t i = 0; i < decoded.count * 16; i++) {
            snprintf(part, sizeof(part), i % 16 ? "%02x" : " %02x", decoded.visitors[i]);
            append(text, sizeof(text), part);
        }
        append(text, sizeof(text), "; ");
    }
    return text;
}

static inline bool read_bytes(struct fixture *fixture, const struct bytes *bytes)
{
    return decoder_read(fixture->decoder, bytes->bytes, bytes->length);
}

/* Read a datagram that is accepted, and compare what it says. */
static inline void expect_read(struct fixture *fixture, struct bytes datagram, const char *expected)
{
    assert_true(read_bytes(fixture, &datagram));
    assert_string_equal(read_all(fixture->decoder), expected);
    assert_string_equal(read_all(fixture->decoder), ""); /* still nothing left */
    bytes_free(&datagram);
}

static inline void expect_hex(struct fixture *fixture, const char *hex, const char *expected)
{
    expect_read(fixture, bytes_from_hex(hex), expected);
}

static inline void expect_text(struct fixture *fixture, const char *text, const char *expected)
{
    expect_read(fixture, bytes_copy(text, strlen(text)), expected);
}

/* Read a datagram that is rejected with this reason, and says nothing. */
static inline void expect_rejected(struct fixture *fixture, struct bytes datagram,
                                   enum decoder_reason reason)
{
    struct decoder_counts before = fixture->counts;

    assert_false(read_bytes(fixture, &datagram));
    before.datagrams_received++;
    before.datagrams_rejected[reason]++;
    before.streams_received = fixture->counts.streams_received;
    before.streams_expected = fixture->counts.streams_expected;
    assert_memory_equal(&fixture->counts, &before, sizeof(before));
    assert_string_equal(read_all(fixture->decoder), "");
    bytes_free(&datagram);
}

/* Return the empty golden datagram of version 2 with other numbers. */
static inline struct bytes empty_v2(uint64_t stream, uint32_t sequence, uint16_t target)
{
    struct bytes datagram = bytes_from_hex(GOLDEN_V2_EMPTY_HEX);
    uint32_t numbers[] = {htonl((uint32_t)(stream >> 32)), htonl((uint32_t)stream),
                          htonl(sequence)};
    uint16_t other = htons(target);

    memcpy(datagram.bytes + STREAM, numbers, sizeof(numbers));
    memcpy(datagram.bytes + TARGET, &other, sizeof(other));
    return datagram;
}

#endif

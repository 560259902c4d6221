/* test_wire_encode.c - the encoding half of wire_v1.h. That what is decoded is encoded as the same,
 * whatever its lengths, is tested with the decoding. */
#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <core/wire.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static struct wire_name name(const char *text)
{
    return (struct wire_name){(const uint8_t *)text, (uint32_t)strlen(text)};
}

/* Encode a heartbeat into a block of exactly its size, and fail with all smaller ones. */
static void expect_encoded(const struct wire_heartbeat *heartbeat, const char *hex)
{
    struct bytes expected = bytes_from_hex(hex);
    for (uint32_t capacity = 0; capacity <= expected.length; capacity++) {
        struct bytes written = {calloc(1, capacity), capacity};
        uint32_t size = wire_v1_encode(heartbeat, written.bytes, capacity);
        assert_int_equal(size, capacity == expected.length ? expected.length : 0);
        if (size != 0)
            assert_memory_equal(written.bytes, expected.bytes, size);
        bytes_free(&written);
    }
    bytes_free(&expected);
}

static void goldens_are_written(void **state)
{
    (void)state;
    struct bytes visitors = bytes_from_hex(GOLDEN_VISITOR_HEX GOLDEN_VISITOR_2_HEX);
    struct bytes tag = bytes_from_hex(GOLDEN_TAG_HEX);
    struct wire_heartbeat labels = {
        .site = name("example.com"),
        .room = name("/pricing"),
        .source = name("news.example"),
        .country = {'D', 'E'},
        .kind = WIRE_HEARTBEAT,
        .visitors = 2,
        .visitor_ids = visitors.bytes,
    };
    expect_encoded(&labels, GOLDEN_LABELS_HEX);

    struct wire_heartbeat signed_one = {
        .site = name("example.com"),
        .kind = WIRE_HEARTBEAT,
        .authenticated = 1,
        .key_id = 7,
        .sent_at = GOLDEN_SENT_AT,
        .visitors = 1,
        .visitor_ids = visitors.bytes,
        .tag = tag.bytes,
    };
    expect_encoded(&signed_one, GOLDEN_SIGNED_HEX);

    uint8_t datagram[256];
    memset(datagram, 0xee, sizeof(datagram));
    signed_one.tag = NULL;
    assert_int_equal(wire_v1_encode(&signed_one, datagram, sizeof(datagram)), 55);
    struct bytes untouched = bytes_from_hex("eeeeeeeeeeeeeeee");
    assert_memory_equal(datagram + 55 - WIRE_TAG_SIZE, untouched.bytes, WIRE_TAG_SIZE);
    bytes_free(&untouched);
    bytes_free(&visitors);
    bytes_free(&tag);
}

static uint8_t letters[65536];

static const struct {
    const char *what;
    struct wire_heartbeat heartbeat;
} refused[] = {
    {"no visitor", {.kind = 1}},
    {"kind 0", {.kind = 0, .visitors = 1}},
    {"kind 5", {.kind = 5, .visitors = 1}},
    {"an event without a name", {.kind = 4, .visitors = 1}},
    {"a name without an event", {.kind = 1, .visitors = 1, .event = {(const uint8_t *)"e", 1}}},
    {"authenticated with key 0", {.kind = 1, .visitors = 1, .authenticated = 1}},
    {"a key, not authenticated", {.kind = 1, .visitors = 1, .key_id = 1}},
    {"a country in lower case", {.kind = 1, .visitors = 1, .country = {'d', 'e'}}},
    {"half a country", {.kind = 1, .visitors = 1, .country = {'D', 0}}},
    {"a room with LF", {.kind = 1, .visitors = 1, .room = {(const uint8_t *)"a\nb", 3}}},
    {"half a character", {.kind = 1, .visitors = 1, .room = {(const uint8_t *)"ab\xc3", 3}}},
    {"a room of 256", {.kind = 1, .visitors = 1, .room = {letters, 256}}},
    {"a source of 254", {.kind = 1, .visitors = 1, .source = {letters, 254}}},
    {"an event of 64", {.kind = 4, .visitors = 1, .event = {letters, 64}}},
    {"a source of 2^32 - 1", {.kind = 1, .visitors = 1, .source = {letters, UINT32_MAX}}},
    {"too many visitors", {.kind = 1, .visitors = 4095}},
    {"2^28 + 1 visitors", {.kind = 1, .visitors = (1u << 28) + 1}},
};

static void what_cannot_be_carried_is_refused(void **state)
{
    (void)state;
    static uint8_t datagram[131072];
    memset(letters, 'x', sizeof(letters));
    struct wire_heartbeat heartbeat = {.kind = 1, .visitors = 1, .visitor_ids = letters};
    for (uint32_t length = 0; length <= WIRE_SITE_MAX + 1; length++) {
        heartbeat.site = (struct wire_name){letters, length};
        uint32_t expected = length >= 1 && length <= WIRE_SITE_MAX ? 36 + length : 0;
        assert_int_equal(wire_v1_encode(&heartbeat, datagram, sizeof(datagram)), expected);
    }
    for (size_t i = 0; i < LENGTH(refused); i++) {
        heartbeat = refused[i].heartbeat;
        heartbeat.site = name("example.com");
        heartbeat.visitor_ids = letters;
        if (wire_v1_encode(&heartbeat, datagram, sizeof(datagram)) != 0)
            fail_msg("%s must be refused", refused[i].what);
    }
    heartbeat = (struct wire_heartbeat){
        .site = name("abc"), .kind = 1, .visitors = 4094, .visitor_ids = letters};
    assert_int_equal(wire_v1_encode(&heartbeat, datagram, sizeof(datagram)), 20 + 3 + 4094 * 16);
    heartbeat.site = name("example.com.");
    assert_int_equal(wire_v1_encode(&heartbeat, datagram, sizeof(datagram)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens_are_written),
        cmocka_unit_test(what_cannot_be_carried_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

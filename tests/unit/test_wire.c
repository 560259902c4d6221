/* test_wire.c - wire_v1.h against version 1 of the native datagram of docs/protocol.md. */
#include "wire_fixture.h"

static void expect_bytes(const char *what, const uint8_t *got, const char *hex)
{
    struct bytes expected = bytes_from_hex(hex);
    if (memcmp(got, expected.bytes, expected.length) != 0)
        fail_msg("%s: not %s", what, hex);
    bytes_free(&expected);
}

/* ---- goldens ----------------------------------------------------------------------------- */

static void golden_labels_are_read(void **state)
{
    (void)state;
    struct bytes datagram = bytes_from_hex(GOLDEN_LABELS_HEX);
    struct wire_scratch scratch;
    struct wire_heartbeat heartbeat = {0};
    assert_true(wire_is_native(datagram.bytes, datagram.length));
    expect_reason("golden", wire_shape(datagram.bytes, datagram.length), WIRE_ACCEPTED);
    expect_reason("golden", wire_v1_decode(datagram.bytes, datagram.length, &scratch, &heartbeat),
                  WIRE_ACCEPTED);
    expect_name("site", heartbeat.site, "example.com");
    expect_name("room", heartbeat.room, "/pricing");
    expect_name("source", heartbeat.source, "news.example");
    assert_int_equal(heartbeat.event.length, 0);
    assert_memory_equal(heartbeat.country, "DE", 2);
    assert_int_equal(heartbeat.kind, WIRE_HEARTBEAT);
    assert_int_equal(heartbeat.authenticated, 0);
    assert_int_equal(heartbeat.key_id, 0);
    assert_int_equal(heartbeat.sent_at, 0);
    assert_int_equal(heartbeat.labels_invalid, 0);
    assert_int_equal(heartbeat.rooms_too_long, 0);
    assert_int_equal(heartbeat.visitors, 2);
    expect_bytes("visitors", heartbeat.visitor_ids, GOLDEN_VISITOR_HEX GOLDEN_VISITOR_2_HEX);
    assert_null(heartbeat.tag);
    assert_ptr_equal(heartbeat.site.bytes, datagram.bytes + WIRE_V1_HEADER_SIZE);
    bytes_free(&datagram);
}

static void golden_signed_is_read(void **state)
{
    (void)state;
    struct bytes datagram = bytes_from_hex(GOLDEN_SIGNED_HEX);
    struct wire_scratch scratch;
    struct wire_heartbeat heartbeat = {0};
    expect_reason("golden", wire_v1_decode(datagram.bytes, datagram.length, &scratch, &heartbeat),
                  WIRE_ACCEPTED);
    expect_name("site", heartbeat.site, "example.com");
    assert_int_equal(heartbeat.room.length, 0);
    assert_int_equal(heartbeat.source.length, 0);
    assert_memory_equal(heartbeat.country, "\0\0", 2);
    assert_int_equal(heartbeat.authenticated, 1);
    assert_int_equal(heartbeat.key_id, 7);
    assert_int_equal(heartbeat.sent_at, GOLDEN_SENT_AT);
    assert_int_equal(heartbeat.visitors, 1);
    expect_bytes("visitor", heartbeat.visitor_ids, GOLDEN_VISITOR_HEX);
    expect_bytes("tag", heartbeat.tag, GOLDEN_TAG_HEX);
    assert_ptr_equal(heartbeat.tag, datagram.bytes + datagram.length - WIRE_TAG_SIZE);
    bytes_free(&datagram);
}

/* ---- the shape --------------------------------------------------------------------------- */

static void native_or_text(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        uint32_t length;
        bool native;
    } cases[] = {
        {"", 0, false},      {"P", 1, false},     {"PH", 2, true},     {"PH\0", 3, true},
        {"PH\1", 3, true},   {"PH\2", 3, true},   {"PH0", 3, true},    {"PH1", 3, false},
        {"PH1 ", 4, false},  {"PH2 ", 4, true},   {"PHP ", 4, true},   {"ph\1", 3, false},
        {"<190>", 5, false}, {" PH\1", 4, false}, {"P\1\1", 3, false}, {"XH\1", 3, false},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct bytes datagram = bytes_copy(cases[i].bytes, cases[i].length);
        if (wire_is_native(datagram.bytes, datagram.length) != cases[i].native)
            fail_msg("'%s' must be %s", cases[i].bytes, cases[i].native ? "native" : "text");
        bytes_free(&datagram);
    }
}

static const struct patch patches[] = {
    {"magic, first byte", GOLDEN_LABELS_HEX, 0, "70", WIRE_MALFORMED},
    {"magic, second byte", GOLDEN_LABELS_HEX, 1, "68", WIRE_MALFORMED},
    {"version 0", GOLDEN_LABELS_HEX, 2, "00", WIRE_VERSION},
    {"version 2", GOLDEN_LABELS_HEX, 2, "02", WIRE_VERSION},
    {"version 255", GOLDEN_LABELS_HEX, 2, "ff", WIRE_VERSION},
    {"version goes before malformed", GOLDEN_LABELS_HEX, 2, "0209", WIRE_VERSION},
    {"kind 0", GOLDEN_LABELS_HEX, 3, "00", WIRE_MALFORMED},
    {"kind leave", GOLDEN_LABELS_HEX, 3, "02", WIRE_ACCEPTED},
    {"kind pageview", GOLDEN_LABELS_HEX, 3, "03", WIRE_ACCEPTED},
    {"kind event without a name", GOLDEN_LABELS_HEX, 3, "04", WIRE_MALFORMED},
    {"kind 5", GOLDEN_LABELS_HEX, 3, "05", WIRE_MALFORMED},
    {"length one less", GOLDEN_LABELS_HEX, 4, "0052", WIRE_MALFORMED},
    {"length one more", GOLDEN_LABELS_HEX, 4, "0054", WIRE_MALFORMED},
    {"length with its bytes swapped", GOLDEN_LABELS_HEX, 4, "5300", WIRE_MALFORMED},
    {"length's high byte", GOLDEN_LABELS_HEX, 4, "0153", WIRE_MALFORMED},
    {"flag bit 1", GOLDEN_LABELS_HEX, 6, "02", WIRE_MALFORMED},
    {"flag bit 7", GOLDEN_LABELS_HEX, 6, "80", WIRE_MALFORMED},
    {"both flags", GOLDEN_SIGNED_HEX, 6, "03", WIRE_MALFORMED},
    {"authenticated without a tag", GOLDEN_LABELS_HEX, 6, "0101", WIRE_MALFORMED},
    {"a tag, but not authenticated", GOLDEN_SIGNED_HEX, 6, "0000", WIRE_MALFORMED},
    {"key id without authentication", GOLDEN_LABELS_HEX, 7, "01", WIRE_MALFORMED},
    {"key id 0 with authentication", GOLDEN_SIGNED_HEX, 7, "00", WIRE_MALFORMED},
    {"key id 1", GOLDEN_SIGNED_HEX, 7, "01", WIRE_ACCEPTED},
    {"key id 255", GOLDEN_SIGNED_HEX, 7, "ff", WIRE_ACCEPTED},
    {"sent at, unauthenticated", GOLDEN_LABELS_HEX, 8, "ffffffff", WIRE_ACCEPTED},
    {"visitors one less", GOLDEN_LABELS_HEX, 12, "0001", WIRE_MALFORMED},
    {"visitors one more", GOLDEN_LABELS_HEX, 12, "0003", WIRE_MALFORMED},
    {"visitors swapped", GOLDEN_LABELS_HEX, 12, "0200", WIRE_MALFORMED},
    {"visitors 0, but there are some", GOLDEN_LABELS_HEX, 12, "0000", WIRE_MALFORMED},
    {"site length one more", GOLDEN_LABELS_HEX, 14, "0c", WIRE_MALFORMED},
    {"no site, its bytes in the room", GOLDEN_LABELS_HEX, 14, "0013", WIRE_MALFORMED},
    {"the room's bytes in the site", GOLDEN_LABELS_HEX, 14, "1300", WIRE_ACCEPTED},
    {"the room's bytes in the source", GOLDEN_LABELS_HEX, 15, "0014", WIRE_ACCEPTED},
    {"the source's bytes in an event", GOLDEN_LABELS_HEX, 16, "000c", WIRE_MALFORMED},
    {"country lower-case", GOLDEN_LABELS_HEX, 18, "6465", WIRE_MALFORMED},
    {"country @A", GOLDEN_LABELS_HEX, 18, "4041", WIRE_MALFORMED},
    {"country A@", GOLDEN_LABELS_HEX, 18, "4140", WIRE_MALFORMED},
    {"country [Z", GOLDEN_LABELS_HEX, 18, "5b5a", WIRE_MALFORMED},
    {"country Z[", GOLDEN_LABELS_HEX, 18, "5a5b", WIRE_MALFORMED},
    {"country AA", GOLDEN_LABELS_HEX, 18, "4141", WIRE_ACCEPTED},
    {"country ZZ", GOLDEN_LABELS_HEX, 18, "5a5a", WIRE_ACCEPTED},
    {"country absent", GOLDEN_LABELS_HEX, 18, "0000", WIRE_ACCEPTED},
    {"country half absent", GOLDEN_LABELS_HEX, 18, "0045", WIRE_MALFORMED},
    {"country half absent, too", GOLDEN_LABELS_HEX, 18, "4400", WIRE_MALFORMED},
    {"site with NUL", GOLDEN_LABELS_HEX, 20, "00", WIRE_MALFORMED},
    {"site with a space", GOLDEN_LABELS_HEX, 20, "20", WIRE_ACCEPTED},
    {"site with DEL", GOLDEN_LABELS_HEX, 30, "7f", WIRE_MALFORMED},
    {"room with LF", GOLDEN_LABELS_HEX, 31, "0a", WIRE_MALFORMED},
    {"room with U+0085", GOLDEN_LABELS_HEX, 32, "c285", WIRE_MALFORMED},
    {"room with U+00A0", GOLDEN_LABELS_HEX, 32, "c2a0", WIRE_ACCEPTED},
    {"room with a lone C3", GOLDEN_LABELS_HEX, 38, "c3", WIRE_MALFORMED},
    {"source with a lone A9", GOLDEN_LABELS_HEX, 39, "a9", WIRE_MALFORMED},
    {"a character over the end of the room", GOLDEN_LABELS_HEX, 38, "c3a9", WIRE_MALFORMED},
    {"a character over the end of the site", GOLDEN_LABELS_HEX, 30, "c3a9", WIRE_MALFORMED},
    {"a character at the end of the source", GOLDEN_LABELS_HEX, 49, "c3a9", WIRE_ACCEPTED},
    {"a character over the end of the source", GOLDEN_LABELS_HEX, 50, "c3a9", WIRE_MALFORMED},
    {"any visitor", GOLDEN_LABELS_HEX, 51, "00ff7f80c0c1feff", WIRE_ACCEPTED},
    {"any tag", GOLDEN_SIGNED_HEX, 47, "00000000000000ff", WIRE_ACCEPTED},
};

static void every_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(patches); i++) {
        struct bytes datagram = patched(&patches[i]);

        struct wire_scratch scratch;
        struct wire_heartbeat heartbeat, before;
        memset(&before, 0xa5, sizeof(before));
        memcpy(&heartbeat, &before, sizeof(before));
        enum wire_reason reason =
            wire_v1_decode(datagram.bytes, datagram.length, &scratch, &heartbeat);
        expect_reason(patches[i].what, reason, patches[i].expected);
        if (reason != WIRE_ACCEPTED && memcmp(&heartbeat, &before, sizeof(before)) != 0)
            fail_msg("%s: the output is touched", patches[i].what);
        bytes_free(&datagram);
    }
}

static void every_truncation_and_extension(void **state)
{
    (void)state;
    static const char *const goldens[] = {GOLDEN_LABELS_HEX, GOLDEN_SIGNED_HEX};
    for (size_t i = 0; i < LENGTH(goldens); i++) {
        struct bytes golden = bytes_from_hex(goldens[i]);
        golden.bytes = realloc(golden.bytes, golden.length + 1);
        golden.bytes[golden.length] = 0;
        for (uint32_t length = 0; length <= golden.length + 1; length++) {
            struct bytes datagram = bytes_copy(golden.bytes, length);
            struct wire_scratch scratch;
            struct wire_heartbeat heartbeat = {0};
            enum wire_reason expected = length == golden.length ? WIRE_ACCEPTED : WIRE_MALFORMED;
            expect_reason("cut or extended",
                          wire_v1_decode(datagram.bytes, length, &scratch, &heartbeat), expected);
            bytes_free(&datagram);
        }
        bytes_free(&golden);
    }
}

static void the_shortest(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum wire_reason expected;
    } cases[] = {
        {"", WIRE_MALFORMED},       {"50", WIRE_MALFORMED},       {"5048", WIRE_MALFORMED},
        {"504801", WIRE_MALFORMED}, {"504802", WIRE_VERSION},     {"504800", WIRE_VERSION},
        {"50483220", WIRE_VERSION}, {"50480101", WIRE_MALFORMED},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct bytes datagram = bytes_from_hex(cases[i].hex);
        struct wire_scratch scratch;
        struct wire_heartbeat heartbeat = {0};
        expect_reason(cases[i].hex,
                      wire_v1_decode(datagram.bytes, datagram.length, &scratch, &heartbeat),
                      cases[i].expected);
        bytes_free(&datagram);
    }
}

/* ---- lengths ----------------------------------------------------------------------------- */

static const struct lengths lengths[] = {
    {"shortest", 1, 0, 1, 0, 0, 0, 1, WIRE_ACCEPTED},
    {"no site", 1, 0, 0, 0, 0, 0, 1, WIRE_MALFORMED},
    {"longest site", 1, 0, 253, 0, 0, 0, 1, WIRE_ACCEPTED},
    {"site too long", 1, 0, 254, 0, 0, 0, 1, WIRE_MALFORMED},
    {"site far too long", 1, 0, 255, 0, 0, 0, 1, WIRE_MALFORMED},
    {"room of 1", 1, 0, 1, 1, 0, 0, 1, WIRE_ACCEPTED},
    {"longest room", 1, 0, 1, 255, 0, 0, 1, WIRE_ACCEPTED},
    {"longest source", 1, 0, 1, 0, 253, 0, 1, WIRE_ACCEPTED},
    {"source too long", 1, 0, 1, 0, 254, 0, 1, WIRE_MALFORMED},
    {"event of 1", 4, 0, 1, 0, 0, 1, 1, WIRE_ACCEPTED},
    {"longest event", 4, 0, 1, 0, 0, 63, 1, WIRE_ACCEPTED},
    {"event too long", 4, 0, 1, 0, 0, 64, 1, WIRE_MALFORMED},
    {"event without a name", 4, 0, 1, 0, 0, 0, 1, WIRE_MALFORMED},
    {"heartbeat with an event", 1, 0, 1, 0, 0, 1, 1, WIRE_MALFORMED},
    {"leave with an event", 2, 0, 1, 0, 0, 1, 1, WIRE_MALFORMED},
    {"pageview with an event", 3, 0, 1, 0, 0, 1, 1, WIRE_MALFORMED},
    {"all the longest", 4, 1, 253, 255, 253, 63, 1, WIRE_ACCEPTED},
    {"no visitor", 1, 0, 11, 0, 0, 0, 0, WIRE_VISITOR},
    {"no visitor, authenticated", 1, 1, 11, 0, 0, 0, 0, WIRE_VISITOR},
    {"no visitor and no site", 1, 0, 0, 0, 0, 0, 0, WIRE_MALFORMED},
    {"no visitor and an event", 1, 0, 1, 0, 0, 1, 0, WIRE_MALFORMED},
    {"256 visitors", 1, 0, 1, 0, 0, 0, 256, WIRE_ACCEPTED},
    {"most visitors", 1, 0, 11, 0, 0, 0, 4094, WIRE_ACCEPTED},
    {"largest", 1, 1, 3, 0, 0, 0, 4094, WIRE_ACCEPTED},
};

static void expect_built(const struct lengths *of, const struct bytes *datagram,
                         const struct wire_heartbeat *got)
{
    const uint8_t *visitors = datagram->bytes + 20 + of->site + of->room + of->source + of->event;
    expect_run(of->what, got->site, 's', of->site);
    expect_run(of->what, got->room, 'r', of->room);
    expect_run(of->what, got->source, 'o', of->source);
    expect_run(of->what, got->event, 'e', of->event);
    assert_int_equal(got->kind, of->kind);
    assert_int_equal(got->key_id, of->flags ? 201 : 0);
    assert_int_equal(got->visitors, of->visitors);
    assert_ptr_equal(got->visitor_ids, visitors);
    assert_ptr_equal(got->tag, of->flags ? visitors + 16 * of->visitors : NULL);

    struct bytes written = {malloc(datagram->length), datagram->length};
    assert_int_equal(wire_v1_encode(got, written.bytes, written.length), datagram->length);
    assert_memory_equal(written.bytes, datagram->bytes, datagram->length);
    bytes_free(&written);
}

/* Every length. Also: the shape is judged from the header alone, and what is decoded is encoded as
 * the same. */
static void every_length(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(lengths); i++) {
        const struct lengths *of = &lengths[i];
        struct bytes datagram = build(of);
        struct bytes header = bytes_copy(datagram.bytes, WIRE_V1_HEADER_SIZE);
        struct wire_scratch scratch;
        struct wire_heartbeat heartbeat = {0};
        expect_reason(of->what, wire_v1_shape(header.bytes, datagram.length), of->expected);
        expect_reason(of->what,
                      wire_v1_decode(datagram.bytes, datagram.length, &scratch, &heartbeat),
                      of->expected);
        if (of->expected == WIRE_ACCEPTED)
            expect_built(of, &datagram, &heartbeat);
        bytes_free(&header);
        bytes_free(&datagram);
    }
}

static void length_is_that_of_the_payload(void **state)
{
    (void)state;
    struct lengths largest = {"largest", 1, 1, 3, 0, 0, 0, 4094, WIRE_ACCEPTED};
    struct bytes datagram = build(&largest);
    assert_int_equal(datagram.length, WIRE_DATAGRAM_MAX);
    /* a length of 65536 more has the same low 16 bits */
    expect_reason("65536 more", wire_shape(datagram.bytes, datagram.length + 65536),
                  WIRE_MALFORMED);
    bytes_free(&datagram);
}

/* An invalid name is malformed, which precedes having no visitor. */
static void malformed_goes_before_visitor(void **state)
{
    (void)state;
    struct lengths none = {"no visitor", 4, 0, 9, 9, 9, 9, 0, WIRE_VISITOR};
    for (uint32_t place = 0; place < 36; place++) {
        struct bytes datagram = build(&none);
        datagram.bytes[20 + place] = 0x1f;
        struct wire_scratch scratch;
        struct wire_heartbeat heartbeat = {0};
        expect_reason("bad name",
                      wire_v1_decode(datagram.bytes, datagram.length, &scratch, &heartbeat),
                      WIRE_MALFORMED);
        bytes_free(&datagram);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_labels_are_read),
        cmocka_unit_test(golden_signed_is_read),
        cmocka_unit_test(native_or_text),
        cmocka_unit_test(every_field),
        cmocka_unit_test(every_truncation_and_extension),
        cmocka_unit_test(the_shortest),
        cmocka_unit_test(every_length),
        cmocka_unit_test(length_is_that_of_the_payload),
        cmocka_unit_test(malformed_goes_before_visitor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

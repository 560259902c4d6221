/* test_wire_v2.c - wire_v2.h against version 2 of the native datagram of docs/protocol.md. */
#include "wire_v2_fixture.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- goldens ----------------------------------------------------------------------------- */

static void expect_golden_header(const struct wire_v2_datagram *got, uint32_t sequence)
{
    assert_true(got->stream == GOLDEN_STREAM);
    assert_int_equal(got->sequence, sequence);
    assert_int_equal(got->target, 0);
}

static void golden_records_are_read(void **state)
{
    (void)state;
    struct bytes datagram = bytes_from_hex(GOLDEN_V2_HEX);
    struct bytes visitors = bytes_from_hex(GOLDEN_VISITOR_HEX GOLDEN_VISITOR_2_HEX);
    struct wire_v2_datagram got;
    struct wire_scratch scratch;
    struct wire_heartbeat record;
    expect_reason("golden", wire_v2_decode(datagram.bytes, datagram.length, &got), WIRE_ACCEPTED);
    expect_golden_header(&got, 1);
    assert_int_equal(got.authenticated, 0);
    assert_int_equal(got.key_id, 0);
    assert_null(got.tag);
    assert_int_equal(got.records, 2);
    assert_int_equal(got.visitors, 3);

    assert_true(wire_v2_next(&got, &scratch, &record));
    expect_name("site", record.site, "example.com");
    expect_name("room", record.room, "/pricing");
    expect_name("source", record.source, "news.example");
    expect_name("event", record.event, "");
    assert_memory_equal(record.country, "DE", 2);
    assert_int_equal(record.kind, WIRE_HEARTBEAT);
    assert_int_equal(record.visitors, 2);
    assert_memory_equal(record.visitor_ids, visitors.bytes, 32);
    assert_ptr_equal(record.site.bytes, datagram.bytes + WIRE_V2_HEADER_SIZE + 1);

    assert_true(wire_v2_next(&got, &scratch, &record));
    expect_name("site", record.site, "example.com");
    expect_name("room", record.room, "/");
    expect_name("source", record.source, "");
    assert_memory_equal(record.country, "\0\0", 2);
    assert_int_equal(record.kind, WIRE_PAGEVIEW);
    assert_int_equal(record.visitors, 1);
    assert_memory_equal(record.visitor_ids, visitors.bytes, 16);
    assert_int_equal(record.labels_invalid + record.rooms_too_long, 0);
    assert_false(wire_v2_next(&got, &scratch, &record));
    assert_false(wire_v2_next(&got, &scratch, &record));
    bytes_free(&visitors);
    bytes_free(&datagram);
}

static void golden_signed_is_read(void **state)
{
    (void)state;
    struct bytes datagram = bytes_from_hex(GOLDEN_V2_SIGNED_HEX);
    struct bytes tag = bytes_from_hex(GOLDEN_V2_TAG_HEX);
    struct wire_v2_datagram got;
    struct wire_scratch scratch;
    struct wire_heartbeat record;
    expect_reason("golden", wire_v2_decode(datagram.bytes, datagram.length, &got), WIRE_ACCEPTED);
    expect_golden_header(&got, 2);
    assert_int_equal(got.authenticated, 1);
    assert_int_equal(got.key_id, 7);
    assert_int_equal(got.sent_at, GOLDEN_SENT_AT);
    assert_ptr_equal(got.tag, datagram.bytes + datagram.length - WIRE_TAG_SIZE);
    assert_memory_equal(got.tag, tag.bytes, WIRE_TAG_SIZE);
    assert_int_equal(got.visitors, 1);
    assert_true(wire_v2_next(&got, &scratch, &record));
    expect_name("site", record.site, "example.com");
    expect_name("room", record.room, "");
    assert_false(wire_v2_next(&got, &scratch, &record));
    bytes_free(&tag);
    bytes_free(&datagram);
}

static void golden_empty_is_read(void **state)
{
    (void)state;
    struct bytes datagram = bytes_from_hex(GOLDEN_V2_EMPTY_HEX);
    struct wire_v2_datagram got;
    struct wire_scratch scratch;
    struct wire_heartbeat record;
    expect_reason("golden", wire_v2_decode(datagram.bytes, datagram.length, &got), WIRE_ACCEPTED);
    expect_golden_header(&got, 3);
    assert_int_equal(got.records, 0);
    assert_int_equal(got.visitors, 0);
    assert_false(wire_v2_next(&got, &scratch, &record));
    bytes_free(&datagram);
}

/* ---- one change -------------------------------------------------------------------------- */

/* The names of GOLDEN_V2_HEX are at 28, its records at 64 and 104. */
static const struct patch patches[] = {
    {"flag bit 1", GOLDEN_V2_HEX, 3, "02", WIRE_MALFORMED},
    {"flag bit 7", GOLDEN_V2_HEX, 3, "80", WIRE_MALFORMED},
    {"both flags", GOLDEN_V2_SIGNED_HEX, 3, "03", WIRE_MALFORMED},
    {"a tag, but not authenticated", GOLDEN_V2_SIGNED_HEX, 3, "0000480000", WIRE_MALFORMED},
    {"authenticated without a tag", GOLDEN_V2_HEX, 3, "01008001", WIRE_MALFORMED},
    {"empty, authenticated without a tag", GOLDEN_V2_EMPTY_HEX, 3, "01001c01", WIRE_MALFORMED},
    {"length one less", GOLDEN_V2_HEX, 4, "007f", WIRE_MALFORMED},
    {"length one more", GOLDEN_V2_HEX, 4, "0081", WIRE_MALFORMED},
    {"length with its bytes swapped", GOLDEN_V2_HEX, 4, "8000", WIRE_MALFORMED},
    {"length's high byte", GOLDEN_V2_HEX, 4, "0180", WIRE_MALFORMED},
    {"key id without authentication", GOLDEN_V2_HEX, 6, "01", WIRE_MALFORMED},
    {"key id 0 with authentication", GOLDEN_V2_SIGNED_HEX, 6, "00", WIRE_MALFORMED},
    {"key id 1", GOLDEN_V2_SIGNED_HEX, 6, "01", WIRE_ACCEPTED},
    {"key id 255", GOLDEN_V2_SIGNED_HEX, 6, "ff", WIRE_ACCEPTED},
    {"no names", GOLDEN_V2_HEX, 7, "00", WIRE_MALFORMED},
    {"a name less", GOLDEN_V2_HEX, 7, "03", WIRE_MALFORMED},
    {"a name more", GOLDEN_V2_HEX, 7, "05", WIRE_MALFORMED},
    {"255 names", GOLDEN_V2_HEX, 7, "ff", WIRE_MALFORMED},
    {"a name, but empty", GOLDEN_V2_EMPTY_HEX, 7, "01", WIRE_MALFORMED},
    {"sent at, unauthenticated", GOLDEN_V2_HEX, 8, "ffffffff", WIRE_ACCEPTED},
    {"another stream", GOLDEN_V2_HEX, 12, "ffffffffffffffff", WIRE_ACCEPTED},
    {"a stream with one bit", GOLDEN_V2_HEX, 12, "8000000000000000", WIRE_ACCEPTED},
    {"a stream with another bit", GOLDEN_V2_HEX, 12, "0000000000000001", WIRE_ACCEPTED},
    {"stream 0 with a sequence", GOLDEN_V2_HEX, 12, "0000000000000000", WIRE_MALFORMED},
    {"stream 0 with another", GOLDEN_V2_HEX, 12, "000000000000000080000000", WIRE_MALFORMED},
    {"stream 0 without", GOLDEN_V2_HEX, 12, "000000000000000000000000", WIRE_ACCEPTED},
    {"sequence 0", GOLDEN_V2_HEX, 20, "00000000", WIRE_ACCEPTED},
    {"sequence 2^32 - 1", GOLDEN_V2_HEX, 20, "ffffffff", WIRE_ACCEPTED},
    {"no records", GOLDEN_V2_HEX, 24, "0000", WIRE_MALFORMED},
    {"a record less", GOLDEN_V2_HEX, 24, "0001", WIRE_MALFORMED},
    {"a record more", GOLDEN_V2_HEX, 24, "0003", WIRE_MALFORMED},
    {"a record, but empty", GOLDEN_V2_EMPTY_HEX, 24, "0001", WIRE_MALFORMED},
    {"records with their bytes swapped", GOLDEN_V2_HEX, 24, "0200", WIRE_MALFORMED},
    {"65535 records", GOLDEN_V2_HEX, 24, "ffff", WIRE_MALFORMED},
    {"another target", GOLDEN_V2_HEX, 26, "ffff", WIRE_ACCEPTED},
    {"a name of nothing", GOLDEN_V2_HEX, 28, "00", WIRE_MALFORMED},
    {"a name one less", GOLDEN_V2_HEX, 28, "0a", WIRE_MALFORMED},
    {"a name up to all that is left", GOLDEN_V2_HEX, 28, "63", WIRE_MALFORMED},
    {"a name one beyond the end", GOLDEN_V2_HEX, 28, "64", WIRE_MALFORMED},
    {"a name of 255 beyond the end", GOLDEN_V2_HEX, 28, "ff", WIRE_MALFORMED},
    {"the last name one less", GOLDEN_V2_HEX, 62, "00", WIRE_MALFORMED},
    {"a name with NUL", GOLDEN_V2_HEX, 29, "00", WIRE_MALFORMED},
    {"a name with DEL", GOLDEN_V2_HEX, 39, "7f", WIRE_MALFORMED},
    {"a name with U+0085", GOLDEN_V2_HEX, 42, "c285", WIRE_MALFORMED},
    {"a name with U+00A0", GOLDEN_V2_HEX, 42, "c2a0", WIRE_ACCEPTED},
    {"half a character at a name's end", GOLDEN_V2_HEX, 39, "c3", WIRE_MALFORMED},
    {"half a character at its beginning", GOLDEN_V2_HEX, 41, "a9", WIRE_MALFORMED},
    {"a last name with LF", GOLDEN_V2_HEX, 63, "0a", WIRE_MALFORMED},
    {"kind 0", GOLDEN_V2_HEX, 64, "00", WIRE_MALFORMED},
    {"kind leave", GOLDEN_V2_HEX, 64, "02", WIRE_ACCEPTED},
    {"kind event without a name", GOLDEN_V2_HEX, 64, "04", WIRE_MALFORMED},
    {"kind event with one", GOLDEN_V2_HEX, 64, "0401020304", WIRE_ACCEPTED},
    {"kind 5", GOLDEN_V2_HEX, 64, "05", WIRE_MALFORMED},
    {"kind 5 with an event", GOLDEN_V2_HEX, 64, "0501020304", WIRE_MALFORMED},
    {"kind 0 of the last record", GOLDEN_V2_HEX, 104, "00", WIRE_MALFORMED},
    {"kind 255 of the last record", GOLDEN_V2_HEX, 104, "ff", WIRE_MALFORMED},
    {"no site", GOLDEN_V2_HEX, 65, "00", WIRE_MALFORMED},
    {"the last site", GOLDEN_V2_HEX, 65, "04", WIRE_ACCEPTED},
    {"a site that is none", GOLDEN_V2_HEX, 65, "05", WIRE_MALFORMED},
    {"site 255", GOLDEN_V2_HEX, 65, "ff", WIRE_MALFORMED},
    {"no room", GOLDEN_V2_HEX, 66, "00", WIRE_ACCEPTED},
    {"a room that is none", GOLDEN_V2_HEX, 66, "05", WIRE_MALFORMED},
    {"no source", GOLDEN_V2_HEX, 67, "00", WIRE_ACCEPTED},
    {"a source that is none", GOLDEN_V2_HEX, 67, "05", WIRE_MALFORMED},
    {"a heartbeat with an event", GOLDEN_V2_HEX, 68, "04", WIRE_MALFORMED},
    {"a heartbeat with an event that is none", GOLDEN_V2_HEX, 68, "05", WIRE_MALFORMED},
    {"an event that is none", GOLDEN_V2_HEX, 64, "0401020305", WIRE_MALFORMED},
    {"a leave with an event", GOLDEN_V2_HEX, 64, "0201020304", WIRE_MALFORMED},
    {"a pageview with an event", GOLDEN_V2_HEX, 64, "0301020304", WIRE_MALFORMED},
    {"a number of no name in the last record", GOLDEN_V2_HEX, 106, "05", WIRE_MALFORMED},
    {"no visitor", GOLDEN_V2_HEX, 69, "00", WIRE_MALFORMED},
    {"a visitor less", GOLDEN_V2_HEX, 69, "01", WIRE_MALFORMED},
    {"a visitor more", GOLDEN_V2_HEX, 69, "03", WIRE_MALFORMED},
    {"a visitor more in the last record", GOLDEN_V2_HEX, 109, "02", WIRE_MALFORMED},
    {"no visitor in the last record", GOLDEN_V2_HEX, 109, "00", WIRE_MALFORMED},
    {"country lower-case", GOLDEN_V2_HEX, 70, "6465", WIRE_MALFORMED},
    {"country @A", GOLDEN_V2_HEX, 70, "4041", WIRE_MALFORMED},
    {"country Z[", GOLDEN_V2_HEX, 70, "5a5b", WIRE_MALFORMED},
    {"country ZZ", GOLDEN_V2_HEX, 70, "5a5a", WIRE_ACCEPTED},
    {"country absent", GOLDEN_V2_HEX, 70, "0000", WIRE_ACCEPTED},
    {"country half absent", GOLDEN_V2_HEX, 70, "0045", WIRE_MALFORMED},
    {"country half absent, too", GOLDEN_V2_HEX, 70, "4400", WIRE_MALFORMED},
    {"any visitor", GOLDEN_V2_HEX, 72, "00ff7f80c0c1feff", WIRE_ACCEPTED},
    {"any tag", GOLDEN_V2_SIGNED_HEX, 64, "00000000000000ff", WIRE_ACCEPTED},
};

static void every_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(patches); i++) {
        struct bytes datagram = patched(&patches[i]);
        struct wire_v2_datagram got;
        expect_reason(patches[i].what, wire_v2_decode(datagram.bytes, datagram.length, &got),
                      patches[i].expected);
        bytes_free(&datagram);
    }
}

/* A datagram that is cut anywhere, or has a byte more, is malformed; also if its length says so. */
static void every_truncation_and_extension(void **state)
{
    (void)state;
    static const char *const goldens[] = {GOLDEN_V2_HEX, GOLDEN_V2_SIGNED_HEX, GOLDEN_V2_EMPTY_HEX};
    for (size_t i = 0; i < LENGTH(goldens); i++) {
        struct bytes golden = bytes_from_hex(goldens[i]);
        golden.bytes = realloc(golden.bytes, golden.length + 1);
        golden.bytes[golden.length] = 0;
        for (uint32_t length = 0; length <= golden.length + 1; length++) {
            struct bytes datagram = bytes_copy(golden.bytes, length);
            struct wire_v2_datagram got;
            enum wire_reason expected = length == golden.length ? WIRE_ACCEPTED : WIRE_MALFORMED;
            expect_reason("cut or extended", wire_v2_decode(datagram.bytes, length, &got),
                          expected);
            if (length >= WIRE_V2_HEADER_SIZE)
                wire_store16(datagram.bytes + 4, length);
            expect_reason("cut or extended, which its length says",
                          wire_v2_decode(datagram.bytes, length, &got), expected);
            bytes_free(&datagram);
        }
        bytes_free(&golden);
    }
}

/* wire.h tells the versions apart. */
static void both_versions(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        bool is_v2;
        enum wire_reason shape;
    } cases[] = {
        {"5048", false, WIRE_MALFORMED},
        {"504801", false, WIRE_MALFORMED},
        {"504802", true, WIRE_MALFORMED},
        {"504803", false, WIRE_VERSION},
        {"704802", false, WIRE_MALFORMED},
        {GOLDEN_LABELS_HEX, false, WIRE_ACCEPTED},
        {GOLDEN_V2_HEX, true, WIRE_ACCEPTED},
        {GOLDEN_V2_SIGNED_HEX, true, WIRE_ACCEPTED},
        {GOLDEN_V2_EMPTY_HEX, true, WIRE_ACCEPTED},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct bytes datagram = bytes_from_hex(cases[i].hex);
        assert_int_equal(wire_is_v2(datagram.bytes, datagram.length), cases[i].is_v2);
        expect_reason(cases[i].hex, wire_shape(datagram.bytes, datagram.length), cases[i].shape);
        bytes_free(&datagram);
    }
}

/* A name that would end one byte behind the datagram, where nothing can be read. */
static void a_name_that_ends_too_late_is_not_read(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *pages =
        mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct wire_v2_datagram got;

    (void)state;
    assert_true(pages != MAP_FAILED);
    assert_return_code(mprotect(pages + page, page, PROT_NONE), errno);
    for (uint32_t length = 1; length <= 255; length++) {
        struct draft draft;
        draft_begin(&draft);
        draft_run(&draft, 'n', length);
        draft.length--;
        struct bytes datagram = draft_end(&draft, 0);
        uint8_t *at = pages + page - datagram.length;
        memcpy(at, datagram.bytes, datagram.length);
        expect_reason("too late", wire_v2_decode(at, datagram.length, &got), WIRE_MALFORMED);
        bytes_free(&datagram);
    }
    munmap(pages, 2 * page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_records_are_read),
        cmocka_unit_test(golden_signed_is_read),
        cmocka_unit_test(golden_empty_is_read),
        cmocka_unit_test(every_field),
        cmocka_unit_test(every_truncation_and_extension),
        cmocka_unit_test(both_versions),
        cmocka_unit_test(a_name_that_ends_too_late_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_text_visitor.c - the id of a visitor: UUID or XXH3-128, trimmed, the same however it was
 * sent. */
#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <core/text.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Write the XXH3-128 of bytes, seed 0, high half first. */
static void hash(const char *bytes, size_t length, uint8_t ret_id[16])
{
    XXH128_hash_t value = XXH3_128bits(bytes, length);
    for (int i = 0; i < 8; i++) {
        ret_id[i] = (uint8_t)(value.high64 >> (56 - 8 * i));
        ret_id[8 + i] = (uint8_t)(value.low64 >> (56 - 8 * i));
    }
}

static const struct {
    const char *text;
    const char *hex;    /* its id, if it is known */
    const char *hashed; /* or the text that is hashed; neither: it is no visitor */
} ids[] = {
    {GOLDEN_ID_TEXT, GOLDEN_ID_HEX, NULL},
    {GOLDEN_ID_TEXT, NULL, GOLDEN_ID_TEXT},
    {GOLDEN_VISITOR_TEXT, GOLDEN_VISITOR_HEX, NULL},
    {"9B2D6F2E-1C3A-4F5B-8D7E-0A1B2C3D4E5F", GOLDEN_VISITOR_HEX, NULL},
    {"9b2D6f2E-1c3A-4f5B-8d7E-0a1B2c3D4e5F", GOLDEN_VISITOR_HEX, NULL},
    {"00000000-0000-4000-8000-000000000001", GOLDEN_VISITOR_2_HEX, NULL},
    {"01234567-89ab-cdef-ABCD-EF9876543210", "0123456789abcdefabcdef9876543210", NULL},
    {"  " GOLDEN_VISITOR_TEXT "   ", GOLDEN_VISITOR_HEX, NULL},
    {" " GOLDEN_ID_TEXT, GOLDEN_ID_HEX, NULL},
    {GOLDEN_ID_TEXT " ", GOLDEN_ID_HEX, NULL},
    {GOLDEN_VISITOR_HEX, NULL, GOLDEN_VISITOR_HEX},
    {"{" GOLDEN_VISITOR_TEXT "}", NULL, "{" GOLDEN_VISITOR_TEXT "}"},
    {"urn:uuid:" GOLDEN_VISITOR_TEXT, NULL, "urn:uuid:" GOLDEN_VISITOR_TEXT},
    {GOLDEN_VISITOR_TEXT "0", NULL, GOLDEN_VISITOR_TEXT "0"},
    {"9b2d6f2e1-c3a-4f5b-8d7e-0a1b2c3d4e5f", NULL, "9b2d6f2e1-c3a-4f5b-8d7e-0a1b2c3d4e5f"},
    {"9b2d6f2e-1c3a-4f5b-8d7e0-a1b2c3d4e5f", NULL, "9b2d6f2e-1c3a-4f5b-8d7e0-a1b2c3d4e5f"},
    {"------------------------------------", NULL, "------------------------------------"},
    {"a b", NULL, "a b"},
    {"\ta", NULL, "\ta"},
    {"undefined1", NULL, "undefined1"},
    {"nul", NULL, "nul"},
    {"nulls", NULL, "nulls"},
    {"\"null\"", NULL, "\"null\""},
    {"nan ab", NULL, "nan ab"},
    {"NaN\tx", NULL, "NaN\tx"},
    {".an", NULL, ".an"},
    {"None", NULL, "None"},
    {"0", NULL, "0"},
    {"00000000000000000000000000000000", NULL, "00000000000000000000000000000000"},
    {"00000000-0000-0000-0000-00000000000", NULL, "00000000-0000-0000-0000-00000000000"},
    {"00000000-0000-0000-0000-000000000001", "00000000000000000000000000000001", NULL},
    {"10000000-0000-0000-0000-000000000000", "10000000000000000000000000000000", NULL},
    {"ffffffff-FFFF-ffff-ffff-ffffffffffff", "ffffffffffffffffffffffffffffffff", NULL},
    {"undefined", NULL, NULL},
    {"Undefined", NULL, NULL},
    {" UNDEFINED ", NULL, NULL},
    {"null", NULL, NULL},
    {"nUlL", NULL, NULL},
    {"NaN", NULL, NULL},
    {"nan  ", NULL, NULL},
    {"NAN", NULL, NULL},
    {"00000000-0000-0000-0000-000000000000", NULL, NULL},
    {"  00000000-0000-0000-0000-000000000000", NULL, NULL},
    {"Visitor-42", NULL, "Visitor-42"},
    {"\xff\xfe\x01", NULL, "\xff\xfe\x01"},
    {"x", NULL, "x"},
    {"", NULL, NULL},
    {" ", NULL, NULL},
    {"        ", NULL, NULL},
};

static void every_id(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(ids); i++) {
        struct bytes text = bytes_copy(ids[i].text, strlen(ids[i].text));
        uint8_t id[16] = "untouched......", expected[16] = "untouched......";
        bool is_id = ids[i].hex || ids[i].hashed;
        if (ids[i].hex) {
            struct bytes bytes = bytes_from_hex(ids[i].hex);
            memcpy(expected, bytes.bytes, sizeof(expected));
            bytes_free(&bytes);
        } else if (ids[i].hashed) {
            hash(ids[i].hashed, strlen(ids[i].hashed), expected);
        }
        if (text_visitor_id(text.bytes, text.length, id) != is_id)
            fail_msg("'%s' must be %s", ids[i].text, is_id ? "an id" : "refused");
        if (memcmp(id, expected, sizeof(id)) != 0)
            fail_msg("'%s': another id, or touched", ids[i].text);
        bytes_free(&text);
    }
}

/* Change any one byte of a UUID: its value if that is a hex digit, otherwise hashed. */
static void every_byte_of_a_uuid(void **state)
{
    (void)state;
    struct bytes text = bytes_copy(GOLDEN_VISITOR_TEXT, strlen(GOLDEN_VISITOR_TEXT));
    for (uint32_t place = 0; place < 36; place++) {
        char original = GOLDEN_VISITOR_TEXT[place];
        for (uint32_t byte = 0; byte < 256; byte++) {
            text.bytes[place] = (uint8_t)byte;
            bool is_edge = (place == 0 || place == 35) && byte == ' ';
            bool is_hex =
                original != '-' && byte != 0 && strchr("0123456789abcdefABCDEF", (int)byte);
            uint8_t id[16], expected[16];
            assert_true(text_visitor_id(text.bytes, text.length, id));
            if (is_hex || byte == (uint8_t)original) {
                char hex[33] = "";
                for (uint32_t i = 0; i < 36; i++) {
                    if (GOLDEN_VISITOR_TEXT[i] != '-')
                        strncat(hex, (const char *)text.bytes + i, 1);
                }
                struct bytes bytes = bytes_from_hex(hex);
                memcpy(expected, bytes.bytes, 16);
                bytes_free(&bytes);
            } else {
                hash((const char *)text.bytes + (is_edge && place == 0), 36 - is_edge, expected);
            }
            if (memcmp(id, expected, 16) != 0)
                fail_msg("byte 0x%02x at %u: another id", byte, place);
        }
        text.bytes[place] = (uint8_t)original;
    }
    bytes_free(&text);
}

static void lengths_of_ids(void **state)
{
    (void)state;
    for (uint32_t length = 0; length <= 700; length++) {
        struct bytes text = {malloc(length), length};
        memset(text.bytes, 'v', length);
        uint8_t id[16], expected[16];
        bool is_id = length >= 1 && length <= WIRE_ID_MAX;
        assert_int_equal(text_visitor_id(text.bytes, length, id), is_id);
        hash((const char *)text.bytes, length, expected);
        if (is_id)
            assert_memory_equal(id, expected, 16);
        bytes_free(&text);
    }
}

/* ---- in a datagram ----------------------------------------------------------------------- */

/* Check that the visitor `shown`, as written after `visitor=`, has the id of `id`, or is none if
 * that is NULL. */
static void expect_visitor(const char *shown, const char *id, size_t length)
{
    static char line[8192];
    int size = snprintf(line, sizeof(line), "PH1 visitor=%s site=a", shown);
    struct bytes datagram = bytes_copy(line, (size_t)size);
    struct wire_scratch scratch;
    struct wire_heartbeat got = {0};
    memset(&scratch, ' ', sizeof(scratch));
    enum wire_reason reason = text_decode(datagram.bytes, datagram.length, &scratch, &got);
    if (reason != (id ? WIRE_ACCEPTED : WIRE_VISITOR))
        fail_msg("visitor=%s: reason %d", shown, (int)reason);
    uint8_t expected[16];
    if (id && (!text_visitor_id((const uint8_t *)id, (uint32_t)length, expected) ||
               memcmp(got.visitor_ids, expected, 16) != 0))
        fail_msg("visitor=%s: another id", shown);
    bytes_free(&datagram);
}

static const struct {
    const char *shown;
    const char *id; /* NULL: no visitor */
} visitors[] = {
    {GOLDEN_ID_TEXT, GOLDEN_ID_TEXT},
    {"\"" GOLDEN_ID_TEXT "\"", GOLDEN_ID_TEXT},
    {"\"  " GOLDEN_ID_TEXT " \"", GOLDEN_ID_TEXT},
    {"\"\\u0020 visitor\\u002d42 \\u0020\"", GOLDEN_ID_TEXT},
    {"\"9B2D6F2E\\u002d1C3A-4F5B-8D7E-0A1B2C3D4E5F \"", GOLDEN_VISITOR_TEXT},
    {"\"\\t\"", "\t"},
    {"\xff\x01", "\xff\x01"},
    {"--", "--"},
    {"\" -\"", "-"}, /* the value is not `-`, and the visitor is the trimmed rest */
    {"\"- \"", "-"},
    {"\" \\u002d\"", "-"},
    {"\"\\u002d  \"", "-"},
    {"\"caf\\xc3\\xa9\"", "caf\xc3\xa9"},
    {"\"caf\\u00e9\"", "caf\xc3\xa9"},
    {"\"\\x9b2d\"", "\x9b"
                    "2d"},
    {"caf\\xc3\\xa9", "caf\\xc3\\xa9"},
    {"undefined", NULL},
    {"\"nu\\u006cl\"", NULL},
    {"\"\\x4eaN \"", NULL},
    {"\"00000000-0000-0000-0000-00000000000\\u0030\"", NULL},
    {"", NULL},
    {"-", NULL},
    {"\"\"", NULL},
    {"\"-\"", NULL},
    {"\"\\u002d\"", NULL},
    {"\" \"", NULL},
    {"\"\\u0020\"", NULL},
    {"\"\\u0020   \\u0020\"", NULL},
};

static void every_visitor(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(visitors); i++)
        expect_visitor(visitors[i].shown, visitors[i].id,
                       visitors[i].id ? strlen(visitors[i].id) : 0);
}

/* Spaces before, within and after, few and many, with an escape and without. */
static void runs_of_spaces(void **state)
{
    (void)state;
    static const int runs[] = {0, 1, 2, 130, 509, 510, 511, 512, 513, 600, 1000};
    static const char *const escaped[] = {"v", "\\u0076"};
    for (size_t before = 0; before < LENGTH(runs); before++) {
        for (size_t within = 0; within < LENGTH(runs); within++) {
            for (size_t after = 0; after < LENGTH(runs); after++) {
                for (size_t i = 0; i < LENGTH(escaped); i++) {
                    char shown[4096], id[2048];
                    snprintf(shown, sizeof(shown), "\"%*s%s%*sw%*s\"", runs[before], "", escaped[i],
                             runs[within], "", runs[after], "");
                    int length = snprintf(id, sizeof(id), "v%*sw", runs[within], "");
                    expect_visitor(shown, length <= WIRE_ID_MAX ? id : NULL, (size_t)length);
                    snprintf(shown, sizeof(shown), "\"%*s\\u0020%*s%*s\"", runs[before], "",
                             runs[within], "", runs[after], "");
                    expect_visitor(shown, NULL, 0);
                }
            }
        }
    }
}

static void the_same_in_text_and_native(void **state)
{
    (void)state;
    struct bytes native = bytes_from_hex(GOLDEN_LABELS_HEX);
    struct wire_scratch scratch, other_scratch;
    struct wire_heartbeat from_native = {0}, from_text = {0};
    const char *line = "PH1 site=EXAMPLE.com room=/pricing country=de source=news.example "
                       "visitor=9B2D6F2E-1c3a-4f5b-8d7e-0a1b2c3d4e5f";
    assert_int_equal(wire_v1_decode(native.bytes, native.length, &scratch, &from_native), 0);
    assert_int_equal(
        text_decode((const uint8_t *)line, (uint32_t)strlen(line), &other_scratch, &from_text), 0);
    assert_memory_equal(from_native.visitor_ids, from_text.visitor_ids, 16);
    assert_int_equal(from_native.site.length, from_text.site.length);
    assert_memory_equal(from_native.site.bytes, from_text.site.bytes, from_text.site.length);
    assert_int_equal(from_native.room.length, from_text.room.length);
    assert_memory_equal(from_native.room.bytes, from_text.room.bytes, from_text.room.length);
    assert_memory_equal(from_native.country, from_text.country, 2);
    bytes_free(&native);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_id),       cmocka_unit_test(every_byte_of_a_uuid),
        cmocka_unit_test(lengths_of_ids), cmocka_unit_test(every_visitor),
        cmocka_unit_test(runs_of_spaces), cmocka_unit_test(the_same_in_text_and_native),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

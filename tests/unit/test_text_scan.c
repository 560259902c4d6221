/* test_text_scan.c - the escapes of a text heartbeat's quoted values, against RFC 8259 section 7
 * and
 * `\xHH`, and the search that finds their ends. */
#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <core/text.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* The text between the quotes, and the bytes it stands for; NULL: malformed. */
static const struct {
    const char *escaped;
    const char *bytes;
    uint32_t length; /* if the bytes contain a zero */
} escapes[] = {
    {"\\\"", "\"", 0},
    {"\\\\", "\\", 0},
    {"\\/", "/", 0},
    {"\\b\\f\\n\\r\\t", "\b\f\n\r\t", 0},
    {"a\\\"b\\\\c", "a\"b\\c", 0},
    {"\\\\\\\"", "\\\"", 0},
    {"\\u0041", "A", 0},
    {"\\u0020\\u007e", " ~", 0},
    {"x\\u0000y", "x\0y", 3},
    {"\\u001f", "\x1f", 0},
    {"\\u007f", "\x7f", 0},
    {"\\u0080", "\xc2\x80", 0},
    {"\\u00e9\\u00E9", "\xc3\xa9\xc3\xa9", 0},
    {"\\u07ff", "\xdf\xbf", 0},
    {"\\u0800", "\xe0\xa0\x80", 0},
    {"\\u20AC", "\xe2\x82\xac", 0},
    {"\\ud7ff", "\xed\x9f\xbf", 0},
    {"\\ue000", "\xee\x80\x80", 0},
    {"\\uFfFf", "\xef\xbf\xbf", 0},
    {"\\ud800\\udc00", "\xf0\x90\x80\x80", 0},
    {"\\ud83d\\ude00", "\xf0\x9f\x98\x80", 0},
    {"\\uDBFF\\uDFFF", "\xf4\x8f\xbf\xbf", 0},
    {"\\ud83d\\ude00\\ud83d\\ude00", "\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 0},
    {"raw \xc3\xa9 \\u00e9 raw", "raw \xc3\xa9 \xc3\xa9 raw", 0},
    {"raw \xff \\t", "raw \xff \t", 0},
    {"raw\t\n\\t", "raw\t\n\t", 0},
    {"\\x41", "A", 0},
    {"\\x7a\\x7A", "zz", 0},
    {"\\xc3\\xa9\\xE2\\x82\\xAC", "\xc3\xa9\xe2\x82\xac", 0},
    {"x\\x00y", "x\0y", 3},
    {"\\xff\\x80", "\xff\x80", 0},
    {"\\x22\\x5c", "\"\\", 0},
    {"\\x5cn\\x5c\\x22", "\\n\\\"", 0},
    {"\\xc3\\u00e9", "\xc3\xc3\xa9", 0},
    {"\\x414", "A4", 0},

    {"\\", NULL, 0},
    {"\\a", NULL, 0},
    {"\\0", NULL, 0},
    {"\\'", NULL, 0},
    {"\\x", NULL, 0},
    {"\\x4", NULL, 0},
    {"\\x4g", NULL, 0},
    {"\\x 41", NULL, 0},
    {"\\X41", NULL, 0},
    {"\\x-1", NULL, 0},
    {"\\v", NULL, 0},
    {"\\ud83d\\xde00", NULL, 0},
    {"\\N", NULL, 0},
    {"\\U0041", NULL, 0},
    {"\\ ", NULL, 0},
    {"\\u", NULL, 0},
    {"\\u0", NULL, 0},
    {"\\u00", NULL, 0},
    {"\\u004", NULL, 0},
    {"\\u004g", NULL, 0},
    {"\\u004G", NULL, 0},
    {"\\u00:0", NULL, 0},
    {"\\u0/00", NULL, 0},
    {"\\u@000", NULL, 0},
    {"\\u00`0", NULL, 0},
    {"\\u\x10\x11\x12\x13", NULL, 0},
    {"\\u-041", NULL, 0},
    {"\\u 041", NULL, 0},
    {"\\u0x41", NULL, 0},
    {"\\ud800", NULL, 0},
    {"\\udbff", NULL, 0},
    {"\\udc00", NULL, 0},
    {"\\udfff", NULL, 0},
    {"\\ud800x", NULL, 0},
    {"\\ud800\\", NULL, 0},
    {"\\ud800\\n", NULL, 0},
    {"\\ud800\\u", NULL, 0},
    {"\\ud800\\udc0", NULL, 0},
    {"\\ud800\\u0041", NULL, 0},
    {"\\ud800\\ud800", NULL, 0},
    {"\\ud800\\ue000", NULL, 0},
    {"\\udc00\\ud800", NULL, 0},
    {"\\udc00\\udc00", NULL, 0},
    {"\\ud800udc00", NULL, 0},
    {"\\ud800\\Udc00", NULL, 0},
    {"\\ud800\\\\udc00", NULL, 0},
    {"\\ud800 \\udc00", NULL, 0},
};

/* Decode `before` key="value" `after` and return the reason; the id is the visitor's. */
static enum wire_reason decode(const char *before, const char *value, const char *after,
                               struct wire_scratch *scratch, struct wire_heartbeat *ret)
{
    char line[4096];
    int length = snprintf(line, sizeof(line), "%s\"%s\"%s", before, value, after);
    struct bytes datagram = bytes_copy(line, (size_t)length);
    enum wire_reason reason = text_decode(datagram.bytes, datagram.length, scratch, ret);
    bytes_free(&datagram);
    return reason;
}

static void expect_escape(size_t i, const char *before, const char *after)
{
    struct wire_scratch scratch;
    struct wire_heartbeat got = {0};
    bool is_visitor = strcmp(before + strlen(before) - strlen("visitor="), "visitor=") == 0;
    bool is_room = strcmp(before + strlen(before) - strlen("room="), "room=") == 0;
    bool is_good = escapes[i].bytes != NULL;
    enum wire_reason expected = is_good || !is_visitor ? WIRE_ACCEPTED : WIRE_MALFORMED;
    enum wire_reason reason = decode(before, escapes[i].escaped, after, &scratch, &got);
    if (reason != expected)
        fail_msg("%s\"%s\"%s: reason %d, not %d", before, escapes[i].escaped, after, (int)reason,
                 (int)expected);
    if (is_room && !is_good && (got.labels_invalid != 1 || got.room.length != 0))
        fail_msg("%s\"%s\"%s: the room is taken", before, escapes[i].escaped, after);
    if (!is_room && got.labels_invalid != 0)
        fail_msg("%s\"%s\"%s: a label is counted", before, escapes[i].escaped, after);
    if (reason != WIRE_ACCEPTED || !is_visitor)
        return;
    uint32_t length = escapes[i].length ? escapes[i].length : (uint32_t)strlen(escapes[i].bytes);
    uint8_t id[WIRE_VISITOR_SIZE];
    if (!text_visitor_id((const uint8_t *)escapes[i].bytes, length, id) ||
        memcmp(got.visitor_ids, id, sizeof(id)) != 0)
        fail_msg("%s\"%s\"%s: not the right bytes", before, escapes[i].escaped, after);
}

/* In a visitor, whose bytes may be any, and in an unknown key; at the end of the datagram, where
 * nothing follows, and in the middle. */
static void every_escape(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(escapes); i++) {
        expect_escape(i, "PH1 site=a visitor=", "");
        expect_escape(i, "PH1 visitor=", " site=a x=\"\\n\" y=123456789");
        expect_escape(i, "PH1 site=a visitor=v unknown=", "");
        expect_escape(i, "PH1 site=a visitor=v room=", "\n");
    }
}

static void escaped_names_are_names(void **state)
{
    (void)state;
    struct wire_scratch scratch;
    struct wire_heartbeat got = {0};
    const char *after = " site=\"a\\u002eB\" visitor=v source=\"\\\"\\ud83d\\ude00\\/\"";
    assert_int_equal(decode("PH1 room=", "/caf\\u00e9 \\\\", after, &scratch, &got), WIRE_ACCEPTED);
    assert_int_equal(got.room.length, 8);
    assert_memory_equal(got.room.bytes, "/caf\xc3\xa9 \\", 8);
    assert_int_equal(got.site.length, 3);
    assert_memory_equal(got.site.bytes, "a.b", 3);
    assert_int_equal(got.source.length, 6);
    assert_memory_equal(got.source.bytes, "\"\xf0\x9f\x98\x80/", 6);
    assert_int_equal(got.labels_invalid, 0);
}

/* A value longer than any name is still parsed to its end, and judged by its contents. */
static void bad_escapes_after_the_longest_name(void **state)
{
    (void)state;
    static const char *const keys[] = {"site", "visitor", "room",    "country",
                                       "kind", "event",   "unknown", "source"};
    for (size_t i = 0; i < LENGTH(keys); i++) {
        for (uint32_t length = 1; length < 600; length += 23) {
            char before[64], value[1024] = "\\t", good[1040], bad[1040];
            memset(value + 2, 'n', length);
            snprintf(before, sizeof(before), "PH1 %s=", keys[i]);
            snprintf(good, sizeof(good), "%s\\n", value);
            snprintf(bad, sizeof(bad), "%s\\x", value);
            bool is_visitor = strcmp(keys[i], "visitor") == 0;
            bool is_essential = strstr("site visitor kind event", keys[i]) != NULL;
            enum wire_reason badly = is_essential ? WIRE_MALFORMED : WIRE_VISITOR;
            const char *rest = strcmp(keys[i], "site") == 0 ? " visitor=v" : " site=a";
            struct wire_scratch scratch;
            struct wire_heartbeat got;
            assert_int_equal(decode(before, bad, rest, &scratch, &got), badly);
            enum wire_reason reason = decode(before, good, rest, &scratch, &got);
            bool breaks = strstr("site kind event", keys[i]) != NULL;
            enum wire_reason expected = breaks                        ? WIRE_MALFORMED
                                        : is_visitor && length <= 509 ? WIRE_ACCEPTED
                                                                      : WIRE_VISITOR;
            if (reason != expected)
                fail_msg("%s of %u bytes: reason %d, not %d", keys[i], length + 2, (int)reason,
                         (int)expected);
        }
    }
}

/* Every pair of bytes at every offset of a short datagram's tail. */
static void finding_either_of_two(void **state)
{
    (void)state;
    for (uint32_t length = 8; length < 28; length++) {
        struct bytes text = {malloc(length), length};
        const uint8_t *end = text.bytes + length;
        for (uint32_t begin = 0; begin <= length; begin++) {
            for (uint32_t place = 0; place <= length; place++) {
                for (uint32_t byte = 0; byte < 256; byte++) {
                    memset(text.bytes, '\\', begin);
                    memset(text.bytes + begin, (int)byte, length - begin);
                    if (place < length)
                        text.bytes[place] = place % 2 ? '"' : '\\';
                    uint32_t expected = begin;
                    while (expected < length && text.bytes[expected] != '"' &&
                           text.bytes[expected] != '\\')
                        expected++;
                    const uint8_t *found = text_find(text.bytes + begin, end, '"', '\\');
                    if (found != text.bytes + expected)
                        fail_msg("from %u, byte 0x%02x, at %u of %u: found at %td, not %u", begin,
                                 byte, place, length, found - text.bytes, expected);
                }
            }
        }
        bytes_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_escape),
        cmocka_unit_test(escaped_names_are_names),
        cmocka_unit_test(bad_escapes_after_the_longest_name),
        cmocka_unit_test(finding_either_of_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

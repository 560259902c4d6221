/* test_utf8.c - utf8.h against RFC 3629, for every code point and every short sequence. */
#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include <core/utf8.h>

/* The table of RFC 3629 section 4 (UTF8-octets), a row for each of its alternatives, with C0, DEL
 * and C1 taken out. */
static const struct {
    uint32_t size;
    uint8_t ranges[4][2];
} characters[] = {
    {1, {{0x20, 0x7e}}},
    {2, {{0xc2, 0xc2}, {0xa0, 0xbf}}},
    {2, {{0xc3, 0xdf}, {0x80, 0xbf}}},
    {3, {{0xe0, 0xe0}, {0xa0, 0xbf}, {0x80, 0xbf}}},
    {3, {{0xe1, 0xec}, {0x80, 0xbf}, {0x80, 0xbf}}},
    {3, {{0xed, 0xed}, {0x80, 0x9f}, {0x80, 0xbf}}},
    {3, {{0xee, 0xef}, {0x80, 0xbf}, {0x80, 0xbf}}},
    {4, {{0xf0, 0xf0}, {0x90, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}}},
    {4, {{0xf1, 0xf3}, {0x80, 0xbf}, {0x80, 0xbf}, {0x80, 0xbf}}},
    {4, {{0xf4, 0xf4}, {0x80, 0x8f}, {0x80, 0xbf}, {0x80, 0xbf}}},
};

static uint32_t expected_size(const uint8_t *bytes, uint32_t left)
{
    for (size_t row = 0; row < sizeof(characters) / sizeof(characters[0]); row++) {
        uint32_t size = characters[row].size, matched = 0;
        if (size > left)
            continue;
        while (matched < size && bytes[matched] >= characters[row].ranges[matched][0] &&
               bytes[matched] <= characters[row].ranges[matched][1])
            matched++;
        if (matched == size)
            return size;
    }
    return 0;
}

static bool expected_name(const uint8_t *bytes, uint32_t length)
{
    for (uint32_t i = 0; i < length;) {
        uint32_t size = expected_size(bytes + i, length - i);
        if (size == 0)
            return false;
        i += size;
    }
    return true;
}

static void check(const uint8_t *bytes, uint32_t length)
{
    bool expected = expected_name(bytes, length);
    if (utf8_is_name(bytes, length) == expected)
        return;
    for (uint32_t i = 0; i < length; i++)
        print_error("%02x", bytes[i]);
    fail_msg(": a name of %u bytes must be %s", length, expected ? "accepted" : "refused");
}

/* Every sequence of up to three bytes, and of four with the bytes at which the rules change. */
static void every_short_sequence(void **state)
{
    (void)state;
    static const uint8_t edges[] = {0x00, 0x1f, 0x20, 0x41, 0x7e, 0x7f, 0x80, 0x8f,
                                    0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xff};
    struct bytes sequence[4];
    for (uint32_t i = 0; i < 4; i++)
        sequence[i] = bytes_copy("    ", i + 1);
    for (uint32_t value = 0; value < 1u << 24; value++) {
        uint8_t bytes[3] = {(uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
        /* three bytes of which the first is plain add nothing to the other two alone */
        if (bytes[0] >= 0x20 && bytes[0] < 0x7f && bytes[0] != 'A')
            continue;
        for (uint32_t length = 1; length <= 3; length++) {
            if (length < 3 && (value & (length == 1 ? 0xffff : 0xff)) != 0)
                continue;
            memcpy(sequence[length - 1].bytes, bytes, length);
            check(sequence[length - 1].bytes, length);
        }
    }
    for (uint32_t first = 0xf0; first <= 0xff; first++) {
        for (uint32_t second = 0; second <= 0xff; second++) {
            for (size_t i = 0; i < sizeof(edges) * sizeof(edges); i++) {
                uint8_t bytes[4] = {(uint8_t)first, (uint8_t)second, edges[i / sizeof(edges)],
                                    edges[i % sizeof(edges)]};
                memcpy(sequence[3].bytes, bytes, 4);
                check(sequence[3].bytes, 4);
            }
        }
    }
    for (uint32_t i = 0; i < 4; i++)
        bytes_free(&sequence[i]);
}

static uint32_t encode(uint32_t code_point, uint8_t *bytes)
{
    static const uint8_t first[5] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    uint32_t size = code_point < 0x80 ? 1 : code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (uint32_t i = size - 1; i > 0; i--) {
        bytes[i] = (uint8_t)(0x80 | (code_point & 0x3f));
        code_point >>= 6;
    }
    bytes[0] = (uint8_t)(first[size] | code_point);
    return size;
}

static void every_code_point(void **state)
{
    (void)state;
    for (uint32_t code_point = 0; code_point < 0x120000; code_point++) {
        bool is_control = code_point < 0x20 || (code_point >= 0x7f && code_point <= 0x9f);
        bool is_surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
        bool expected = !is_control && !is_surrogate && code_point <= 0x10ffff;
        uint8_t bytes[16];
        uint32_t size = encode(code_point, bytes);
        if (utf8_is_name(bytes, size) != expected)
            fail_msg("U+%04X must be %s", code_point, expected ? "accepted" : "refused");
    }
}

/* Every byte value at every offset of names of every length that a fast path may treat
 * separately. */
static void every_byte_at_every_place(void **state)
{
    (void)state;
    for (uint32_t length = 0; length <= 40; length++) {
        struct bytes name = {malloc(length), length};
        memset(name.bytes, 'x', length);
        check(name.bytes, length);
        for (uint32_t place = 0; place < length; place++) {
            for (uint32_t byte = 0; byte < 256; byte++) {
                name.bytes[place] = (uint8_t)byte;
                check(name.bytes, length);
            }
            name.bytes[place] = 'x';
        }
        bytes_free(&name);
    }
}

/* Whole characters of each size anywhere in a name, complete and cut off by its end. */
static void characters_anywhere(void **state)
{
    (void)state;
    static const char *const samples[] = {
        "\xc3\xa9",     "\xc2\xa0",         "\xc2\x9f",         "\xe2\x82\xac",    "\xed\x9f\xbf",
        "\xed\xa0\x80", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80"};
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        for (uint32_t place = 0; place < 20; place++) {
            char text[64];
            int length = snprintf(text, sizeof(text), "%.*s%s%s", (int)place,
                                  "abcdefghijklmnopqrst", samples[i], "ABCDEFGHIJK");
            for (int cut = 0; cut <= length; cut++) {
                struct bytes name = bytes_copy(text, (size_t)cut);
                check(name.bytes, name.length);
                bytes_free(&name);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_sequence),
        cmocka_unit_test(every_code_point),
        cmocka_unit_test(every_byte_at_every_place),
        cmocka_unit_test(characters_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

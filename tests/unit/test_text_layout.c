/* test_text_layout.c - how wide a line of text is taken to be, and in which direction it runs. */
#include "../support/unit.h"

#include "picture.h"

#define EMOJI 1250

static void test_known(void **state)
{
    (void)state;
    assert_int_equal(text_width(""), 0);
    assert_int_equal(text_width("0123456789"), 6360);
    assert_int_equal(text_width("A~ "), 684 + 838 + 318);
    assert_int_equal(text_width("\u00a0\u00ff\u024f"), 318 + 592 + 592);
    assert_int_equal(text_width("\u0370\u04ff\u1e00\u1ffe\u2010\u20a0"),
                     654 + 592 + 684 + 500 + 361 + 877);
}

/* Characters that take no place of their own, one of each kind of script. */
static void test_nothing(void **state)
{
    static const char *const none[] = {
        "\u00ad", "\u0300", "\u036f", "\u0483", "\u0591",     "\u05c7",     "\u061c", "\u064b",
        "\u0670", "\u093c", "\u0e31", "\u0eb1", "\u1160",     "\u1ab0",     "\u1dc0", "\u200b",
        "\u200f", "\u2060", "\u20d0", "\u302a", "\u3099",     "\ua66f",     "\uaaed", "\ud7b0",
        "\ufb1e", "\ufe00", "\ufe2f", "\ufeff", "\U0001f3fb", "\U000e0041", "\u20dd", "\u06dc"};

    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        if (text_width(none[i]) != 0)
            fail_msg("character %zu is %u wide", i, text_width(none[i]));
    }
}

static void test_typical(void **state)
{
    static const struct {
        const char *text;
        uint32_t width;
    } typical[] = {
        {"漢", 1000},
        {"の", 1000},
        {"\u3000", 1000},
        {"\U00020000", 1000},
        {"한", 920},
        {"ｶ", 500},
        {"Ｗ", 1000},
        {"ع", 560},
        {"א", 600},
        {"ሀ", 850},
        {"\u0915", 620},
        {"→", 880},
        {"\U0001f600", EMOJI},
        {"⚡", EMOJI},
        {"\u2714", 880},
        {"\U00010000", 620},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(typical) / sizeof(typical[0]); i++) {
        if (text_width(typical[i].text) != typical[i].width)
            fail_msg("%s is %u wide", typical[i].text, text_width(typical[i].text));
    }
}

/* Several characters that are drawn as one emoji are as wide as one. */
static void test_emoji(void **state)
{
    (void)state;
    assert_int_equal(text_width("👩\u200d👩\u200d👧"), EMOJI);
    assert_int_equal(text_width("👍🏽"), EMOJI);
    assert_int_equal(text_width("🇩🇪"), EMOJI);
    assert_int_equal(text_width("❤\ufe0f"), EMOJI);
    assert_int_equal(text_width("👍\ufe0f"), EMOJI);
    assert_int_equal(text_width("\ufe0f"), 0);
    assert_int_equal(text_width("a\u200db"), 613 + 635);
}

/* All characters there are: none is wider than two. */
static void test_every_character(void **state)
{
    (void)state;
    for (uint32_t code = 0xa0; code <= 0x10ffff; code++) {
        char text[5] = {0};
        if (code >= 0xd800 && code <= 0xdfff)
            continue;
        if (code < 0x800) {
            text[0] = (char)(0xc0 | code >> 6);
            text[1] = (char)(0x80 | (code & 0x3f));
        } else if (code < 0x10000) {
            text[0] = (char)(0xe0 | code >> 12);
            text[1] = (char)(0x80 | (code >> 6 & 0x3f));
            text[2] = (char)(0x80 | (code & 0x3f));
        } else {
            text[0] = (char)(0xf0 | code >> 18);
            text[1] = (char)(0x80 | (code >> 12 & 0x3f));
            text[2] = (char)(0x80 | (code >> 6 & 0x3f));
            text[3] = (char)(0x80 | (code & 0x3f));
        }
        assert_true(text_width(text) <= 2000);
    }
}

static void test_invalid(void **state)
{
    (void)state;
    assert_int_equal(text_width("a\xff"
                                "b"),
                     613);
    assert_int_equal(text_width("a\xe6\xbc"), 613);
    assert_int_equal(text_width("\xed\xa0\x80"), 0);
    assert_false(text_is_right_to_left("\xff\u05d0"));
}

static void test_direction(void **state)
{
    static const char *const right[] = {"\u05d0",       "12 \u0645",  "(\u0645) a",  "👍\u05d0",
                                        "\u200b\u05d0", "\U00010800", "\U0001e900",  "\ufb1d",
                                        "€ \u05d0",     "\ufefb",     "\u0301\u05d0"};
    static const char *const left[] = {"", "42", "a\u05d0", "é\u05d0", "漢\u05d0", "Z", "д \u05d0"};

    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
        assert_true(text_is_right_to_left(right[i]));
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
        assert_false(text_is_right_to_left(left[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),           cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_typical),         cmocka_unit_test(test_emoji),
        cmocka_unit_test(test_every_character), cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_direction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

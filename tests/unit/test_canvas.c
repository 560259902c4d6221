/* Whatever is drawn stays in its cells. */
#include "../support/unit.h"

#include <locale.h>

#include "canvas.h"

static void open_canvas(struct canvas *canvas, unsigned columns)
{
    assert_int_equal(canvas_init(columns, 2, true, false, canvas), 0);
}

static void assert_row(const struct canvas *canvas, unsigned row, const char *expected)
{
    char *text = canvas_row(canvas, row);

    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

/* Draw text in the first `width` of ten columns, with a bar after them, and compare the row. */
static void assert_drawn(const char *text, unsigned width, const char *expected)
{
    struct canvas canvas;

    open_canvas(&canvas, 10);
    canvas_text(&canvas, 0, 10, 1, INK_PLAIN, "x"); /* outside */
    canvas_text(&canvas, 5, 0, 1, INK_PLAIN, "x");
    canvas_text(&canvas, 0, 0, width, INK_PLAIN, text);
    if (width < 10)
        canvas_text(&canvas, 0, width, 1, INK_PLAIN, "|");
    assert_row(&canvas, 0, expected);
    assert_row(&canvas, 1, "");
    canvas_free(&canvas);
}

static void test_text_is_cut(void **state)
{
    (void)state;
    assert_drawn("room", 6, "room  |");
    assert_drawn("a room", 6, "a room|");
    assert_drawn("a longer room", 6, "a lon…|");
    assert_drawn("a longer room", 10, "a longer …");
    assert_drawn("a longer room", 1, "…|");
    assert_drawn("", 3, "   |");
}

static void test_wide_characters_take_two_columns(void **state)
{
    (void)state;
    assert_drawn("日本", 4, "日本|");
    assert_drawn("日本語", 4, "日… |");
    assert_drawn("日本語", 5, "日本…|");
    assert_drawn("a日", 2, "a…|");
    assert_drawn("日", 1, "…|");
    assert_drawn("😀b", 4, "😀b |");
}

static void test_combining_marks_stay_with_their_character(void **state)
{
    (void)state;
    assert_drawn("e\u0301a", 3, "e\u0301a |");
    assert_drawn("\u0301a", 3, "a  |");
    assert_drawn("e\u0301\u0301\u0301\u0301\u0301a", 3, "e\u0301\u0301a |");
}

static void test_what_is_not_printable_is_shown_as_such(void **state)
{
    (void)state;
    assert_drawn("a\033[31mb", 10, "a?[31mb");
    assert_drawn("a\nb\r\tc", 10, "a?b??c");
    assert_drawn("a\xff\xc3", 10, "a??");
    assert_drawn("\x9b\x31m", 10, "?1m");
    assert_drawn("\xc2\x9bm", 10, "??m"); /* invalid UTF-8: byte by byte */
}

static void test_right_to_left_is_fenced(void **state)
{
    (void)state;
    assert_drawn("שלום", 5, "\u200eשלום\u200e |");
    assert_drawn("שלום עולם", 5, "\u200eשלום…\u200e|");
    assert_drawn("a ש", 4, "\u200ea ש\u200e |");
    assert_drawn("سلام", 5, "\u200eسلام\u200e |");
}

static void test_half_a_wide_character_is_none(void **state)
{
    struct canvas canvas;

    (void)state;
    open_canvas(&canvas, 10);
    canvas_text(&canvas, 0, 0, 10, INK_PLAIN, "日本語");
    canvas_text(&canvas, 0, 1, 1, INK_PLAIN, "x");
    assert_row(&canvas, 0, " x本語");
    canvas_text(&canvas, 0, 2, 1, INK_PLAIN, "y");
    assert_row(&canvas, 0, " xy 語");
    canvas_free(&canvas);
}

static void test_ascii(void **state)
{
    struct canvas canvas;

    (void)state;
    assert_int_equal(canvas_init(6, 1, false, false, &canvas), 0);
    canvas_text(&canvas, 0, 0, 6, INK_PLAIN, "café 日本");
    assert_row(&canvas, 0, "caf? ~");
    canvas_free(&canvas);
}

static void test_colours(void **state)
{
    struct canvas canvas;

    (void)state;
    assert_int_equal(canvas_init(6, 1, true, true, &canvas), 0);
    canvas_text(&canvas, 0, 1, 6, INK_BAD, "no");
    canvas_put(&canvas, 0, 3, INK_GRAPH, INK_BAND, "▁");
    assert_row(&canvas, 0, " \033[0;31mno\033[0;36;44m▁\033[0m");
    canvas_free(&canvas);
}

static void test_each_ink_has_its_colour(void **state)
{
    struct canvas canvas;

    (void)state;
    assert_int_equal(canvas_init(9, 1, true, true, &canvas), 0);
    for (unsigned ink = INK_PLAIN; ink <= INK_TITLE; ink++)
        canvas_text(&canvas, 0, ink, 1, (enum ink)ink, "x");
    assert_row(&canvas, 0,
               "x\033[0;1mx\033[0;2mx\033[0;36mx\033[0;34mx\033[0;32mx\033[0;33mx\033[0;31mx"
               "\033[0;7mx\033[0m");
    canvas_free(&canvas);
}

static void test_a_background_ends_with_its_cell(void **state)
{
    struct canvas canvas;

    (void)state;
    assert_int_equal(canvas_init(3, 1, true, true, &canvas), 0);
    canvas_put(&canvas, 0, 0, INK_GRAPH, INK_BAND, "▁");
    canvas_put(&canvas, 0, 1, INK_GRAPH, INK_PLAIN, "█");
    assert_row(&canvas, 0, "\033[0;36;44m▁\033[0;36m█\033[0m");
    canvas_free(&canvas);
}

static void test_a_title_fills_its_row(void **state)
{
    struct canvas canvas;

    (void)state;
    assert_int_equal(canvas_init(6, 1, true, true, &canvas), 0);
    canvas_text(&canvas, 0, 1, 5, INK_PLAIN, "ab");
    canvas_ink(&canvas, 0, INK_TITLE);
    assert_row(&canvas, 0, "\033[0;7m ab   \033[0m");
    canvas_free(&canvas);
}

static void test_alignment(void **state)
{
    struct canvas canvas;

    (void)state;
    open_canvas(&canvas, 10);
    canvas_right(&canvas, 0, 2, 5, INK_PLAIN, "42");
    canvas_right(&canvas, 1, 2, 3, INK_PLAIN, "123456");
    assert_row(&canvas, 0, "     42");
    assert_row(&canvas, 1, "  12…");
    canvas_free(&canvas);
}

/* Draw random bytes at random places: a row never has more columns than the canvas. */
static void test_random_text(void **state)
{
    static const char *const pieces[] = {"a",      "日",   "\u0301", "ש",  "😀",
                                         "\033",   "\xff", "\u202e", " ",  "é",
                                         "\u200d", "\n",   "ﷺ",      "🇩🇪", "\xe2\x82"};
    uint64_t random = random_seed("test_random_text");

    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        char text[256] = "";
        struct canvas canvas;
        open_canvas(&canvas, 12);
        for (unsigned i = 0; i < 6; i++) {
            text[0] = '\0';
            for (uint64_t n = random_next(&random) % 20; n > 0; n--)
                strcat(text, pieces[random_next(&random) % LENGTH(pieces)]);
            canvas_text(&canvas, 0, (unsigned)(random_next(&random) % 14),
                        (unsigned)(random_next(&random) % 14), INK_PLAIN, text);
        }
        char *row = canvas_row(&canvas, 0);
        assert_null(strpbrk(row, "\033\n\xff"));
        if (canvas_width(&canvas, row) > 12)
            fail_msg("'%s' takes %u columns", row, canvas_width(&canvas, row));
        free(row);
        canvas_free(&canvas);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_cut),
        cmocka_unit_test(test_wide_characters_take_two_columns),
        cmocka_unit_test(test_combining_marks_stay_with_their_character),
        cmocka_unit_test(test_what_is_not_printable_is_shown_as_such),
        cmocka_unit_test(test_right_to_left_is_fenced),
        cmocka_unit_test(test_half_a_wide_character_is_none),
        cmocka_unit_test(test_ascii),
        cmocka_unit_test(test_colours),
        cmocka_unit_test(test_each_ink_has_its_colour),
        cmocka_unit_test(test_a_background_ends_with_its_cell),
        cmocka_unit_test(test_a_title_fills_its_row),
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_random_text),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Fields of comma-separated values conform to RFC 4180, and texts in JSON to RFC 8259, whatever
 * they contain. */
#include "../support/unit.h"

#include <locale.h>

#include "show.h"

static void assert_field(const char *name, bool show, const char *expected)
{
    char *text = NULL, line[512];
    size_t size = 0;
    struct csv csv = {.out = open_memstream(&text, &size)};

    assert_non_null(csv.out);
    csv_integer(&csv, 1);
    csv_name(&csv, name, show);
    csv_number(&csv, 2.345);
    csv_end_line(&csv);
    csv_text(&csv, "next");
    csv_end_line(&csv);
    assert_int_equal(fclose(csv.out), 0);
    snprintf(line, sizeof(line), "1,%s,2.35\r\nnext\r\n", expected);
    assert_string_equal(text, line);
    free(text);
}

static void test_names(void **state)
{
    (void)state;
    assert_field(NULL, false, "");
    assert_field("", false, "");
    assert_field("/room", false, "/room");
    assert_field("a,b", false, "\"a,b\"");
    assert_field("a\"b", false, "\"a\"\"b\"");
    assert_field("a\r\nb", false, "\"a\r\nb\"");
    assert_field("a\rb", false, "\"a\rb\"");
    assert_field("a\nb", false, "\"a\nb\"");
    assert_field(" a", false, "\" a\"");
    assert_field("/שלום", false, "/שלום");
    assert_field("/😀", true, "/😀");
}

static void test_formulas_are_text(void **state)
{
    (void)state;
    assert_field("=1+1", false, "'=1+1");
    assert_field("+1", false, "'+1");
    assert_field("-1", false, "'-1");
    assert_field("@a,b", false, "\"'@a,b\"");
    assert_field("  =1", false, "'  =1");
    assert_field("＝1", false, "'＝1");
    assert_field("－1", true, "'－1");
    assert_field("a=1", false, "a=1");
}

static void test_on_a_terminal(void **state)
{
    (void)state;
    assert_field("/\u202e", true, "/\\u{202E}");
    assert_field("/\u202e", false, "/\u202e");
}

static void test_texts_in_json(void **state)
{
    static const char *const cases[][2] = {
        {"/run/é", "/run/é"},
        {"/run/\xff", "/run/\\xff"},
        {"/é\n\xa9: no", "/\\xc3\\xa9\\x0a\\xa9: no"},
    };
    json_t *text = json_text("");

    (void)state;
    assert_true(json_is_null(text));
    json_decref(text);
    for (size_t i = 0; i < LENGTH(cases); i++) {
        text = json_text(cases[i][0]);
        assert_string_equal(json_string_value(text), cases[i][1]);
        json_decref(text);
    }
}

/* An engine gone bad may say any number. */
static void test_numbers_in_json(void **state)
{
    static const uint64_t cases[][2] = {{0, 0},
                                        {INT64_MAX, INT64_MAX},
                                        {INT64_MAX + UINT64_C(1), INT64_MAX},
                                        {UINT64_MAX, INT64_MAX}};

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        json_t *number = json_of_number(cases[i][0]);
        assert_true(json_integer_value(number) == (json_int_t)cases[i][1]);
        json_decref(number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),           cmocka_unit_test(test_formulas_are_text),
        cmocka_unit_test(test_on_a_terminal),   cmocka_unit_test(test_texts_in_json),
        cmocka_unit_test(test_numbers_in_json),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

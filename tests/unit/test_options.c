/* test_options.c - options.h: values of every kind, from the command line, a file and the
 * environment; what is wrong in one line. */
#include "options_fixture.h"

/* ---- values ------------------------------------------------------------------------------ */

static void every_kind_has_its_value(void **state)
{
    (void)state;
    const struct target *target = expect_run(
        parse("--segment=/x/y", "--path", "a", "--site", "A.Example", "--site=b", "--workers", "64",
              "--window", "2h", "--seed", "18446744073709551615", "--rate", "2.5", "--colour",
              "blue", "--json", "--even", "8", "--sum=1", "--sum=2"));

    assert_string_equal(target->segment, "/x/y");
    assert_string_equal(target->path, "a");
    assert_int_equal(target->sites.count, 2);
    assert_string_equal(target->sites.items[0], "a.example");
    assert_string_equal(target->sites.items[1], "b");
    assert_int_equal(target->workers, 64);
    assert_int_equal(target->window_s, 7200);
    assert_true(target->seed == UINT64_MAX);
    assert_true(target->rate == 2.5);
    assert_int_equal(target->colour, BLUE);
    assert_true(target->json);
    assert_false(target->table);
    assert_int_equal(target->even, 8);
    assert_int_equal(target->sum, 3);
}

static void what_is_not_given_has_its_fallback(void **state)
{
    (void)state;
    const struct target *target = expect_run(parse(NULL));

    assert_string_equal(target->segment, PRESENCE_DEFAULT_SEGMENT);
    assert_null(target->path);
    assert_int_equal(target->workers, 4);
    assert_int_equal(target->colour, GREEN);
    assert_int_equal(answer.use.given, 0);
    setenv("PRESENCE_SEGMENT", "/from/environment", 1);
    assert_string_equal(expect_run(parse(NULL))->segment, "/from/environment");
    assert_string_equal(expect_run(parse("--segment", "/x"))->segment, "/x");
    assert_true(option_given(&answer.use, "segment"));
    assert_false(option_given(&answer.use, "workers"));
    setenv("PRESENCE_SEGMENT", "", 1);
    assert_string_equal(expect_run(parse(NULL))->segment, PRESENCE_DEFAULT_SEGMENT);
}

static void wrong_values_say_what_is_allowed(void **state)
{
    (void)state;
    expect_wrong(parse("--workers", "x"), "--workers takes a whole number from 1 to 64, not 'x'");
    expect_wrong(parse("--workers", "0"), "--workers takes a whole number from 1 to 64, not '0'");
    expect_wrong(parse("--workers=-1"), "--workers takes a whole number from 1 to 64, not '-1'");
    expect_wrong(parse("--workers=65"), "--workers takes a whole number from 1 to 64, not '65'");
    expect_wrong(
        parse("--seed=18446744073709551616"),
        "--seed takes a whole number from 0 to 18446744073709551615, not '18446744073709551616'");
    expect_wrong(parse("--rate", "nan"), "--rate takes a number from 0.5 to 1000000000, not 'nan'");
    expect_wrong(parse("--rate", "0.4"), "--rate takes a number from 0.5 to 1000000000, not '0.4'");
    expect_wrong(parse("--window=0"),
                 "--window takes a duration from 1 s to 7 d, such as 90, 90s, 5m or 1h, not '0'");
    expect_wrong(parse("--window=8d"),
                 "--window takes a duration from 1 s to 7 d, such as 90, 90s, 5m or 1h, not '8d'");
    expect_wrong(parse("--window=5mm"),
                 "--window takes a duration from 1 s to 7 d, such as 90, 90s, 5m or 1h, not '5mm'");
    expect_wrong(parse("--colour", "RED"), "--colour takes red, green or blue, not 'RED'");
    expect_wrong(parse("--path="), "--path takes 1 to 10 bytes, not ''");
    expect_wrong(parse("--path=12345678901"), "--path takes 1 to 10 bytes, not '12345678901'");
    expect_wrong(parse("--site", "a b"), "--site takes a name without spaces, not 'a b'");
    expect_wrong(parse("--segment="),
                 "--segment takes the path of the collector's segment, not ''");
    expect_wrong(parse("--even", "7"), "--even takes an even number, not '7'");
    expect_wrong(parse("--even", "1000"), "--even: No such file or directory");
    expect_wrong(parse("--path", "a\nb", "--seed", "\xc3\xbc"),
                 "--seed takes a whole number from 0 to 18446744073709551615, not '\\xc3\\xbc'");
}

static void only_repeatable_options_are_given_twice(void **state)
{
    (void)state;
    expect_wrong(parse("--workers=5", "--workers=6"), "--workers is given twice");
    expect_wrong(parse("--even=2", "--ev=2"), "--even is given twice");
    expect_wrong(parse("--config=x", "--config=x"), "--config is given twice");
    expect_wrong(parse("--path", "a", "--path", "a"), "--path is given twice");
    expect_wrong(parse("--colour=red", "--even=2", "--colour", "red"), "--colour is given twice");
    expect_run(parse("--json", "--json"));
    expect_wrong(parse("--site=a", "--site=b", "--site=c", "--site=d", "--site=e"),
                 "--site can be given at most 4 times");
    expect_wrong(parse("--sum=1", "--sum=1", "--sum=1", "--sum=1"),
                 "--sum can be given at most 3 times");
}

static void secrets_are_not_shown(void **state)
{
    (void)state;
    assert_string_equal(expect_run(parse("--key", "7:abcd"))->key, "7:abcd");
    assert_string_equal(answer.argv[2], "7:****");
    expect_wrong(parse("--key=secret7"), "--key takes a key of 6 bytes");
    assert_string_equal(answer.argv[1], "--key=*******");
    parse("--workers=0", "--key=abcdef");
    assert_string_equal(answer.argv[2], "--key=******");
}

/* ---- the command line and the file ------------------------------------------------------- */

static void wrong_words_are_named(void **state)
{
    (void)state;
    expect_wrong(parse("--frobnicate"), "no option '--frobnicate'; see presence-test --help");
    expect_wrong(parse("-x"), "no option '-x'; see presence-test --help");
    expect_wrong(parse("--workers"), "--workers needs a value; see presence-test --help");
    expect_wrong(parse("--json=yes"), "--json takes no value; see presence-test --help");
    expect_wrong(parse("--help=yes"), "--help takes no value; see presence-test --help");
    expect_wrong(parse("--s", "1"), "'--s' is ambiguous: --segment, --site, --seed, --sum");
    expect_wrong(parse("--w=1"), "'--w' is ambiguous: --workers, --window");
    expect_wrong(parse("x"), "unexpected argument 'x'; see presence-test --help");
    expect_wrong(parse("--json", "--", "--help"),
                 "unexpected argument '--help'; see presence-test --help");
    expect_wrong(parse("--threads=2"), "--threads is now called --workers");
    assert_int_equal(expect_run(parse("--wo", "2"))->workers, 2);
}

static void the_command_line_wins_over_the_file(void **state)
{
    const char *path = write_file(*state, "# a comment\n[any]\nworkers = 5\nsite = a\nsite = B\n"
                                          "json = yes\nsegment = /a b ; a comment\nsum = 4\n");
    const struct target *target =
        expect_run(parse("--site=c", "--config", path, "--segment=/c", "--sum=5"));

    assert_string_equal(target->segment, "/c");
    assert_int_equal(target->workers, 5);
    assert_true(target->json);
    assert_int_equal(target->sum, 9);
    assert_int_equal(target->sites.count, 3);
    assert_string_equal(target->sites.items[1], "b");
    assert_string_equal(target->sites.items[2], "c");
    assert_true(option_given(&answer.use, "json"));
    assert_string_equal(expect_run(parse("--config", path))->segment, "/a b");
}

static void wrong_files_are_named(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"max-vistors = 5\n", "%s: no option 'max-vistors'; see presence-test --help"},
        {"config = /etc/other\n", "%s: no option 'config'; see presence-test --help"},
        {"A load = 1\n", "%s: no option 'A load'; see presence-test --help"},
        {"workers = 2\nseed\n", "%s:2: not a NAME = VALUE line"},
        {"threads = 2\n", "--threads is now called --workers"},
        {"workers = 2\n[again]\nworkers = 2\n", "--workers is given twice"},
        {"json = yes\njson = no\n", "--json is given twice"},
        {"table = yes\n", "%s: 'table' is for the command line only: give it there"},
        {"json = 1\n", "--json takes yes or no, not '1'"},
        {"workers = x\nworkers = y\nseed\n",
         "--workers takes a whole number from 1 to 64, not 'x'"},
    };
    char message[512];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *path = write_file(*state, cases[i].text);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(message, sizeof(message), cases[i].message, path);
#pragma GCC diagnostic pop
        expect_wrong(parse("--config", path), message);
    }
    expect_wrong(parse("--config", "/nowhere/x"),
                 "cannot read the configuration file /nowhere/x: No such file or directory");
    expect_wrong(parse("--config", "/"), "cannot read the configuration file /: Is a directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_kind_has_its_value),
        TEST(what_is_not_given_has_its_fallback),
        TEST(wrong_values_say_what_is_allowed),
        TEST(only_repeatable_options_are_given_twice),
        TEST(secrets_are_not_shown),
        TEST(wrong_words_are_named),
        TEST(the_command_line_wins_over_the_file),
        TEST(wrong_files_are_named),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}

/* test_options.c - options.h: values of every kind, from the command line, a file and the
 * environment; --help and --version; commands; what is wrong in one line. */
#include "../support/scratch.h"

#include <errno.h>
#include <sys/mman.h>

#include "common/options.h"

enum colour { RED = 1, GREEN, BLUE };

struct target {
    char *segment, *path;
    struct option_list sites;
    uint32_t workers, window_s;
    uint64_t seed;
    double rate;
    enum colour colour;
    bool json, table;
    unsigned even, sum, sum_count;
    char key[8];
};

static const char *const colours[] = {[RED] = "red", [GREEN] = "green", [BLUE] = "blue", NULL};

static int check_lower(char *value)
{
    for (; *value; value++) {
        if (*value == ' ')
            return -EINVAL;
        *value = (char)(*value | 0x20);
    }
    return 0;
}

static int parse_even(void *value, const char *text)
{
    unsigned number = (unsigned)atoi(text);

    if (number % 2)
        return -EINVAL;
    if (number == 1000)
        return -ENOENT;
    *(unsigned *)value = number;
    return 0;
}

static int parse_sum(void *value, const char *text)
{
    struct target *target = value;

    if (target->sum_count == 3)
        return -ENOSPC;
    target->sum_count++;
    target->sum += (unsigned)atoi(text);
    return 0;
}

static int parse_key(void *value, const char *text)
{
    if (strlen(text) != 6)
        return -EINVAL;
    strcpy(value, text);
    return 0;
}

static const struct option_entry entries[] = {
    OPTION_SEGMENT(struct target, segment),
    {"path", OPTION_TEXT(struct target, path), .max = 10, .argument = "FILE", .help = "a file"},
    {"site", OPTION_LIST(struct target, sites), .max = 4, .check = check_lower, .argument = "NAME",
     .expected = "a name without spaces", .help = "only this site"},
    {"workers", OPTION_UINT32(struct target, workers), .min = 1, .max = 64, .argument = "N",
     .help = "receiving threads", .fallback = "4"},
    {"window", OPTION_DURATION(struct target, window_s), .min = 1, .max = 604800, .argument = "5m",
     .help = "how long", .suggestions = "1m 5m", .commands = 1},
    {"seed", OPTION_UINT64(struct target, seed), .max = UINT64_MAX, .argument = "N",
     .help = "where to begin"},
    {OPTION_HEADING("A load")},
    {"rate", OPTION_DECIMAL(struct target, rate), .decimal_min = 0.5, .decimal_max = 1e9,
     .argument = "R", .help = "heartbeats a second"},
    {"colour", OPTION_WORD(struct target, colour, colours), .min = RED, .argument = "COLOUR",
     .help = "red, green or blue", .fallback = "green", .commands = 2},
    {"json", OPTION_FLAG(struct target, json), .help = "print JSON"},
    {"table", OPTION_FLAG(struct target, table), .help = "print a table", .commands = 3,
     .line_only = true},
    {"even", OPTION_PARSED(struct target, even, parse_even), .argument = "N",
     .expected = "an even number", .help = "a number"},
    {"sum", OPTION_PARSED_INTO(parse_sum), .max = 3, .repeatable = true, .argument = "N",
     .help = "numbers"},
    {"key", OPTION_PARSED(struct target, key, parse_key), .secret = true, .argument = "KEY",
     .expected = "a key of 6 bytes", .help = "a key"},
    {OPTION_RENAMED("threads", "workers")},
};

const struct option_table options_table = {
    .program = "presence-test",
    .purpose = "Test options.",
    OPTION_ENTRIES(entries),
    .read_file = options_read_file,
};

static const struct option_command commands[] = {
    {"count", "SITE [ROOM]", "how many visitors there are", "", 1, 2},
    {"stats", "", "counters", "All of them.\nIn lines.", 0, 0},
};

static const struct option_table command_table = {
    .program = "presence-test",
    .usage = "presence-test [OPTION]... COMMAND",
    .purpose = "Test commands.",
    .notes = "Exit status: 0 fine.\n",
    OPTION_ENTRIES(entries),
    OPTION_COMMANDS(commands),
    .read_file = options_read_file,
};

/* ---- parsing, with what it prints -------------------------------------------------------- */

struct answer {
    const struct option_table *table;
    enum option_verdict verdict;
    struct target target;
    struct option_use use;
    int argc;
    char *argv[40];
    char out[8192], err[8192];
};

static int divert(FILE *stream, int *ret_before)
{
    int capture = memfd_create("capture", MFD_CLOEXEC);

    assert_true(capture >= 0);
    fflush(stream);
    *ret_before = dup(fileno(stream));
    dup2(capture, fileno(stream));
    return capture;
}

static void restore(FILE *stream, int before, int capture, char *text, size_t capacity)
{
    fflush(stream);
    dup2(before, fileno(stream));
    close(before);
    ssize_t length = pread(capture, text, capacity - 1, 0);
    assert_true(length >= 0);
    text[length] = '\0';
    close(capture);
}

static struct answer answer;

static void release_answer(void)
{
    if (answer.table)
        options_free(answer.table, &answer.target);
    for (int i = 1; i < answer.argc; i++)
        free(answer.argv[i]);
    memset(&answer, 0, sizeof(answer));
}

/* Parse words that end with NULL. The answer is good until the next. */
static struct answer *parse_with(const struct option_table *table, const char *const *words)
{
    int out, err;

    release_answer();
    answer.table = table;
    answer.argv[0] = program_invocation_short_name = (char *)(uintptr_t) "presence-test";
    for (answer.argc = 1; words[answer.argc - 1]; answer.argc++) {
        assert_in_range(answer.argc, 1, 38);
        answer.argv[answer.argc] = strdup(words[answer.argc - 1]);
    }
    int captured_out = divert(stdout, &out), captured_err = divert(stderr, &err);
    answer.verdict = options_parse(table, answer.argc, answer.argv, &answer.target, &answer.use);
    restore(stderr, err, captured_err, answer.err, sizeof(answer.err));
    restore(stdout, out, captured_out, answer.out, sizeof(answer.out));
    return &answer;
}

#define parse(...)         parse_with(&options_table, (const char *const[]){__VA_ARGS__, NULL})
#define parse_command(...) parse_with(&command_table, (const char *const[]){__VA_ARGS__, NULL})

static struct target *expect_run(struct answer *got)
{
    assert_string_equal(got->err, "");
    assert_string_equal(got->out, "");
    assert_int_equal(got->verdict, OPTION_RUN);
    return &got->target;
}

static void expect_wrong(struct answer *got, const char *message)
{
    char line[1024];

    snprintf(line, sizeof(line), "presence-test: %s\n", message);
    assert_string_equal(got->err, line);
    assert_string_equal(got->out, "");
    assert_int_equal(got->verdict, OPTION_WRONG);
    assert_null(got->target.segment); /* nothing is left to release */
    assert_null(got->target.sites.items);
}

static int prepare(void **state)
{
    struct scratch *scratch = malloc(sizeof(*scratch));

    assert_non_null(scratch);
    unsetenv("PRESENCE_SEGMENT");
    scratch_open(scratch);
    *state = scratch;
    return 0;
}

static int clean_up(void **state)
{
    release_answer();
    scratch_close(*state);
    free(*state);
    return 0;
}

static const char *write_file(const struct scratch *scratch, const char *text)
{
    FILE *file = fopen(scratch->path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    return scratch->path;
}

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

/* ---- help and commands ------------------------------------------------------------------- */

static void expect_done(struct answer *got, const char *begin)
{
    assert_int_equal(got->verdict, OPTION_DONE);
    assert_string_equal(got->err, "");
    if (strncmp(got->out, begin, strlen(begin)) != 0)
        fail_msg("'%s' does not begin '%s'", got->out, begin);
    for (const char *line = got->out; *line; line = strchr(line, '\n') + 1)
        if (strcspn(line, "\n") > 80)
            fail_msg("a line of %zu characters: %.60s...", strcspn(line, "\n"), line);
}

static void help_and_version_answer(void **state)
{
    (void)state;
    expect_done(parse("--help", "--workers=x", "--config=/nowhere/x"),
                "Usage: presence-test [OPTION]...\n\nTest options.\n\n"
                "  --segment PATH   the collector's segment ($PRESENCE_SEGMENT, or\n"
                "                   /dev/shm/presence/segment)\n");
    assert_non_null(strstr(answer.out, "  --site NAME      only this site; repeatable\n"));
    assert_non_null(strstr(answer.out, "  --workers N      receiving threads (4)\n"));
    assert_non_null(strstr(answer.out, "\n\nA load:\n  --rate R "));
    assert_non_null(strstr(answer.out, "  --config FILE    "));
    assert_null(strstr(answer.out, "threads\n"));
    assert_null(strstr(answer.out, "--threads"));
    expect_done(parse("-h"), "Usage: presence-test [OPTION]...\n");
    expect_done(parse("--workers=1", "-h", "--workers=2"), "Usage: presence-test [OPTION]...\n");
    expect_done(parse("-hh"), "Usage: presence-test [OPTION]...\n");
    expect_wrong(parse("-hx"), "no option '-x'; see presence-test --help");
    expect_wrong(parse("--path", "-h", "--", "-h"),
                 "unexpected argument '-h'; see presence-test --help");
    expect_done(parse("--version"), "presence-test " PRESENCE_VERSION "\n");
}

static void commands_have_their_arguments_and_options(void **state)
{
    (void)state;
    expect_run(parse_command("--window", "5m", "count", "site", "--table", "room"));
    assert_int_equal(answer.use.command, 0);
    assert_string_equal(answer.argv[answer.use.arguments], "site");
    assert_string_equal(answer.argv[answer.use.arguments + 1], "room");
    expect_run(parse_command("--json", "stats"));
    assert_int_equal(answer.use.command, 1);
    assert_int_equal(answer.use.arguments, answer.argc);
    expect_wrong(parse_command("count"), "count takes SITE [ROOM]; see presence-test help count");
    expect_wrong(parse_command("count", "a", "b", "c"),
                 "count takes SITE [ROOM]; see presence-test help count");
    expect_wrong(parse_command("stats", "a"),
                 "stats takes no argument; see presence-test help stats");
    expect_wrong(parse_command("stats", "--window=5m"),
                 "stats has no option --window; see presence-test help stats");
    expect_wrong(parse_command("--json"), "a command is missing; see presence-test --help");
    expect_wrong(parse_command("cuont"), "no command 'cuont'; see presence-test --help");
    expect_wrong(parse_command("help", "x"), "no command 'x'; see presence-test --help");
}

static void commands_are_explained(void **state)
{
    (void)state;
    expect_done(parse_command("help"),
                "Usage: presence-test [OPTION]... COMMAND\n\nTest commands.\n\nCommands:\n"
                "  count   SITE [ROOM]  how many visitors there are\n");
    assert_non_null(strstr(answer.out, "\nExit status: 0 fine.\n"));
    assert_non_null(strstr(answer.out, "--colour"));
    expect_done(parse_command("help", "count"), "Usage: presence-test count SITE [ROOM] [OPTION]..."
                                                "\n\nShow how many visitors there are.\n\n"
                                                "Options:\n");
    assert_non_null(strstr(answer.out, "--window"));
    assert_null(strstr(answer.out, "--colour"));
    expect_done(parse_command("stats", "--help"),
                "Usage: presence-test stats [OPTION]...\n\nShow counters.\nAll of them.\nIn "
                "lines.\n\nOptions:\n");
    assert_null(strstr(answer.out, "--window"));
    expect_done(parse_command("stats", "-h"), "Usage: presence-test stats [OPTION]...\n");
    expect_done(parse_command("-h"), "Usage: presence-test [OPTION]... COMMAND\n");
    expect_done(parse_command("--version", "count"), "presence-test " PRESENCE_VERSION "\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, clean_up)

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
        TEST(help_and_version_answer),
        TEST(commands_have_their_arguments_and_options),
        TEST(commands_are_explained),
    };
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}

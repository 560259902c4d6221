/* options_fixture.h - a table with options of every kind, and what parsing by it gives and prints.
 */
#ifndef PRESENCE_TESTS_OPTIONS_FIXTURE_H
#define PRESENCE_TESTS_OPTIONS_FIXTURE_H

#include "../support/capture.h"
#include "../support/scratch.h"

#include <errno.h>

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

static inline int check_lower(char *value)
{
    for (; *value; value++) {
        if (*value == ' ')
            return -EINVAL;
        *value = (char)(*value | 0x20);
    }
    return 0;
}

static inline int parse_even(void *value, const char *text)
{
    unsigned number = (unsigned)atoi(text);

    if (number % 2)
        return -EINVAL;
    if (number == 1000)
        return -ENOENT;
    *(unsigned *)value = number;
    return 0;
}

static inline int parse_sum(void *value, const char *text)
{
    struct target *target = value;

    if (target->sum_count == 3)
        return -ENOSPC;
    target->sum_count++;
    target->sum += (unsigned)atoi(text);
    return 0;
}

static inline int parse_key(void *value, const char *text)
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
     .expected = "a key of 6 bytes", .help = "a key", .variable = "PRESENCE_TEST_KEY"},
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

static struct answer answer;

static inline void release_answer(void)
{
    if (answer.table)
        options_free(answer.table, &answer.target);
    for (int i = 1; i < answer.argc; i++)
        free(answer.argv[i]);
    memset(&answer, 0, sizeof(answer));
}

/* Parse words that end with NULL. The answer is good until the next. */
static inline struct answer *parse_with(const struct option_table *table, const char *const *words)
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

static inline struct target *expect_run(struct answer *got)
{
    assert_string_equal(got->err, "");
    assert_string_equal(got->out, "");
    assert_int_equal(got->verdict, OPTION_RUN);
    return &got->target;
}

static inline void expect_wrong(struct answer *got, const char *message)
{
    char line[1024];

    snprintf(line, sizeof(line), "presence-test: %s\n", message);
    assert_string_equal(got->err, line);
    assert_string_equal(got->out, "");
    assert_int_equal(got->verdict, OPTION_WRONG);
    assert_null(got->target.segment); /* nothing is left to release */
    assert_null(got->target.sites.items);
}

static inline int prepare(void **state)
{
    struct scratch *scratch = malloc(sizeof(*scratch));

    assert_non_null(scratch);
    unsetenv("PRESENCE_SEGMENT");
    scratch_open(scratch);
    *state = scratch;
    return 0;
}

static inline int clean_up(void **state)
{
    release_answer();
    scratch_close(*state);
    free(*state);
    return 0;
}

static inline const char *write_file(const struct scratch *scratch, const char *text)
{
    FILE *file = fopen(scratch->path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    return scratch->path;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, clean_up)

#endif

/* What the tests of config.h share: reading a command line, with what that prints. */
#ifndef PRESENCE_TESTS_CONFIG_FIXTURE_H
#define PRESENCE_TESTS_CONFIG_FIXTURE_H

#include "../support/capture.h"
#include "../support/scratch.h"

#include <errno.h>

#include "config.h"

/* What came of one reading, and what was printed. */
struct answer {
    enum option_verdict verdict;
    struct config config;
    char out[8192], err[8192];
};

/* Read a command line of up to 40 words that ends with NULL. The answer is good until the next. */
static inline struct answer *read_words(const char *const *words)
{
    static struct answer answer;
    char *argv[42] = {(char *)(uintptr_t) "presenced"};
    int argc = 1, out, err;

    for (; words[argc - 1]; argc++) {
        assert_in_range(argc, 1, 40);
        argv[argc] = strdup(words[argc - 1]);
    }
    config_free(&answer.config);
    memset(&answer, 0, sizeof(answer));
    program_invocation_short_name = argv[0]; /* messages begin with it */
    int captured_out = divert(stdout, &out), captured_err = divert(stderr, &err);
    answer.verdict = config_parse(argc, argv, &answer.config);
    restore(stderr, err, captured_err, answer.err, sizeof(answer.err));
    restore(stdout, out, captured_out, answer.out, sizeof(answer.out));
    for (int i = 1; i < argc; i++)
        free(argv[i]);
    return &answer;
}

#define read_line(...) read_words((const char *const[]){__VA_ARGS__, NULL})

static inline struct config *expect_run(struct answer *answer, const char *what)
{
    if (answer->verdict != OPTION_RUN)
        fail_msg("%s: verdict %d: %s", what, (int)answer->verdict, answer->err);
    assert_string_equal(answer->out, "");
    assert_string_equal(answer->err, "");
    return &answer->config;
}

/* One line that names the program, and what is wrong. */
static inline void expect_wrong(const struct answer *answer, const char *what, const char *named)
{
    const char *end = strchr(answer->err, '\n');

    if (answer->verdict != OPTION_WRONG)
        fail_msg("%s: verdict %d", what, (int)answer->verdict);
    assert_string_equal(answer->out, "");
    if (!end || end[1] != '\0')
        fail_msg("%s: not one line: %s", what, answer->err);
    if (strncmp(answer->err, "presenced: ", 11) != 0 || !strstr(answer->err, named))
        fail_msg("%s: '%s' is not named in: %s", what, named, answer->err);
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
    scratch_close(*state);
    free(*state);
    return 0;
}

/* A configuration file; its path. */
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

/* test_config.c - config.h: options, right and wrong, from the command line and from a file. */
#include "../support/scratch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mman.h>

#include "config.h"
#include <presence/presence.h>

/* What came of one reading, and what was printed. */
struct answer {
    enum config_verdict verdict;
    struct config config;
    char out[8192], err[8192];
};

/* Let a standard stream go to a file in memory until its text is taken. */
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

/* Read a command line of up to 40 words that ends with NULL. The answer is good until the next. */
static struct answer *read_words(const char *const *words)
{
    static struct answer answer;
    char *argv[42] = {(char *)(uintptr_t) "presenced"};
    int argc = 1, out, err;

    for (; words[argc - 1]; argc++) {
        assert_in_range(argc, 1, 40);
        argv[argc] = strdup(words[argc - 1]);
    }
    memset(&answer, 0, sizeof(answer));
    int captured_out = divert(stdout, &out), captured_err = divert(stderr, &err);
    answer.verdict = config_read(argc, argv, &answer.config);
    restore(stderr, err, captured_err, answer.err, sizeof(answer.err));
    restore(stdout, out, captured_out, answer.out, sizeof(answer.out));
    for (int i = 1; i < argc; i++)
        free(argv[i]);
    return &answer;
}

#define read_line(...) read_words((const char *const[]){__VA_ARGS__, NULL})

static struct config *expect_run(struct answer *answer, const char *what)
{
    if (answer->verdict != CONFIG_RUN)
        fail_msg("%s: verdict %d: %s", what, (int)answer->verdict, answer->err);
    assert_string_equal(answer->out, "");
    assert_string_equal(answer->err, "");
    return &answer->config;
}

/* One line that names the program, and what is wrong. */
static void expect_wrong(const struct answer *answer, const char *what, const char *named)
{
    const char *end = strchr(answer->err, '\n');

    if (answer->verdict != CONFIG_WRONG)
        fail_msg("%s: verdict %d", what, (int)answer->verdict);
    assert_string_equal(answer->out, "");
    if (!end || end[1] != '\0')
        fail_msg("%s: not one line: %s", what, answer->err);
    if (strncmp(answer->err, "presenced: ", 11) != 0 || !strstr(answer->err, named))
        fail_msg("%s: '%s' is not named in: %s", what, named, answer->err);
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
    scratch_close(*state);
    free(*state);
    return 0;
}

/* A configuration file; its path. */
static const char *write_file(const struct scratch *scratch, const char *text)
{
    FILE *file = fopen(scratch->path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
    return scratch->path;
}

static void defaults_are_those_of_the_design(void **state)
{
    (void)state;
    const struct config *config = expect_run(read_words((const char *const[]){NULL}), "nothing");
    long half = sysconf(_SC_NPROCESSORS_ONLN) / 2;

    assert_int_equal(config->listen_count, 1);
    assert_string_equal(config->listen[0].text, "127.0.0.1:9514");
    const struct sockaddr_in *address = (const void *)&config->listen[0].address;
    assert_int_equal(config->listen[0].length, sizeof(*address));
    assert_int_equal(address->sin_family, AF_INET);
    assert_int_equal(ntohs(address->sin_port), 9514);
    assert_int_equal(ntohl(address->sin_addr.s_addr), INADDR_LOOPBACK);
    assert_string_equal(config->segment, "/dev/shm/presence");
    assert_int_equal(config->settings.max_visitors, 1000000);
    assert_int_equal(config->settings.max_scopes, 16384);
    assert_int_equal(config->settings.max_window, 3600);
    assert_int_equal(config->settings.warm_up, 90);
    assert_int_equal(config->settings.max_histories, 4096);
    assert_int_equal(config->settings.max_events, 16384);
    assert_int_equal(config->workers, half < 1 ? 1 : half > 4 ? 4 : half);
    assert_int_equal(config->engine, RECEIVE_AUTO);
}

/* Numbers, by option: what is the least and the most, and how it is read. */

static uint64_t max_visitors_of(const struct config *config)
{
    return config->settings.max_visitors;
}

static uint64_t max_scopes_of(const struct config *config)
{
    return config->settings.max_scopes;
}

static uint64_t max_window_of(const struct config *config)
{
    return config->settings.max_window;
}

static uint64_t warm_up_of(const struct config *config)
{
    return config->settings.warm_up;
}

static uint64_t max_histories_of(const struct config *config)
{
    return config->settings.max_histories;
}

static uint64_t workers_of(const struct config *config)
{
    return config->workers;
}

static const struct number_option {
    const char *name;
    uint64_t least, most;
    uint64_t (*value)(const struct config *config);
} numbers[] = {
    {"max-visitors", 1, SEGMENT_VISITORS_MAX, max_visitors_of},
    {"max-scopes", 1, SEGMENT_SCOPES_MAX, max_scopes_of},
    {"max-window", 1, 3600, max_window_of},
    {"warm-up", 0, 3600, warm_up_of},
    {"max-histories", 0, SEGMENT_HISTORIES_MAX, max_histories_of},
    {"workers", 1, SEGMENT_WORKERS_MAX, workers_of},
};

/* Try a value both ways: on the command line and in a file. */
static void check_number(const struct scratch *scratch, const struct number_option *option,
                         const char *value, bool right, uint64_t expected)
{
    char word[200], line[200], named[200];

    snprintf(word, sizeof(word), "--%s=%s", option->name, value);
    snprintf(line, sizeof(line), "%s = %s\n", option->name, value);
    for (unsigned from_file = 0; from_file < 2; from_file++) {
        struct answer *answer =
            from_file ? read_line("--config", write_file(scratch, line)) : read_line(word);
        if (right) {
            if (option->value(expect_run(answer, word)) != expected)
                fail_msg("%s is read as %llu", word,
                         (unsigned long long)option->value(&answer->config));
            continue;
        }
        expect_wrong(answer, word, option->name);
        snprintf(named, sizeof(named), "from %llu to %llu", (unsigned long long)option->least,
                 (unsigned long long)option->most);
        expect_wrong(answer, word, named);
        if (!from_file)
            expect_wrong(answer, word, value);
    }
    assert_int_equal(unlink(scratch->path), 0);
}

static void numbers_are_whole_and_within_bounds(void **state)
{
    static const char *const wrong[] = {"",
                                        "-1",
                                        "+1",
                                        "1.5",
                                        "0x10",
                                        "1e3",
                                        "ten",
                                        "10k",
                                        "1 2",
                                        "1,00",
                                        "--help",
                                        "18446744073709551616",
                                        "99999999999999999999999"};
    char text[32];

    for (size_t i = 0; i < LENGTH(numbers); i++) {
        const struct number_option *option = &numbers[i];
        for (size_t j = 0; j < LENGTH(wrong); j++)
            check_number(*state, option, wrong[j], false, 0);
        const uint64_t right[] = {option->least, option->least + 1, option->most - 1, option->most};
        for (size_t j = 0; j < LENGTH(right); j++) {
            snprintf(text, sizeof(text), "%llu", (unsigned long long)right[j]);
            check_number(*state, option, text, true, right[j]);
            snprintf(text, sizeof(text), "000%llu", (unsigned long long)right[j]);
            check_number(*state, option, text, true, right[j]);
        }
        snprintf(text, sizeof(text), "%llu", (unsigned long long)option->most + 1);
        check_number(*state, option, text, false, 0);
        if (option->least > 0)
            check_number(*state, option, "0", false, 0);
    }
}

static void addresses_are_numeric_and_add_up(void **state)
{
    struct scratch *scratch = *state;
    static const char *const right[] = {"0.0.0.0:1", "127.0.0.1:65535", "[::1]:9514", "[::]:1",
                                        "10.1.2.3:0"};
    static const char *const wrong[] = {
        "",
        "localhost:9514",
        "127.0.0.1",
        "127.0.0.1:",
        ":9514",
        "127.0.0.1:65536",
        "127.0.0.1:x",
        "::1:9514",
        "[::1]",
        "127.0.0.1:9514x",
        "127.0.0.1:-1",
        "[0000:0000:0000:0000:0000:0000:0000:0001]:000000000000009514"};
    const char *words[40] = {NULL};

    for (size_t i = 0; i < LENGTH(right); i++) {
        const struct config *config = expect_run(read_line("--listen", right[i]), right[i]);
        assert_int_equal(config->listen_count, 1); /* the default is gone */
        assert_string_equal(config->listen[0].text, right[i]);
        assert_int_equal(config->listen[0].address.ss_family,
                         right[i][0] == '[' ? AF_INET6 : AF_INET);
    }
    for (size_t i = 0; i < LENGTH(wrong); i++)
        expect_wrong(read_line("--listen", wrong[i]), wrong[i], "--listen");

    /* Those of the file come first. */
    write_file(scratch, "listen = 127.0.0.1:1\nlisten = 127.0.0.1:2\n");
    const struct config *config = expect_run(
        read_line("--listen=127.0.0.1:3", "--config", scratch->path, "--listen", "[::1]:4"),
        "both");
    assert_int_equal(config->listen_count, 4);
    assert_string_equal(config->listen[0].text, "127.0.0.1:1");
    assert_string_equal(config->listen[1].text, "127.0.0.1:2");
    assert_string_equal(config->listen[2].text, "127.0.0.1:3");
    assert_string_equal(config->listen[3].text, "[::1]:4");

    /* Sixteen at most. */
    for (unsigned i = 0; i < 16; i++)
        words[i] = "--listen=127.0.0.1:9514";
    assert_int_equal(expect_run(read_words(words), "16 addresses")->listen_count, 16);
    words[16] = "--listen=127.0.0.1:9514";
    expect_wrong(read_words(words), "17 addresses", "at most 16");
    assert_int_equal(unlink(scratch->path), 0);
}

static void the_segment_has_a_path(void **state)
{
    struct scratch *scratch = *state;
    char longest[4097] = {0};

    setenv("PRESENCE_SEGMENT", "/dev/shm/from-environment", 1);
    assert_string_equal(expect_run(read_words((const char *const[]){NULL}), "environment")->segment,
                        "/dev/shm/from-environment");
    write_file(scratch, "segment = /dev/shm/from-file\n");
    assert_string_equal(expect_run(read_line("--config", scratch->path), "file")->segment,
                        "/dev/shm/from-file");
    assert_string_equal(
        expect_run(read_line("--segment", "/dev/shm/x", "--config", scratch->path), "all")->segment,
        "/dev/shm/x");
    setenv("PRESENCE_SEGMENT", "", 1);
    assert_string_equal(expect_run(read_words((const char *const[]){NULL}), "empty")->segment,
                        "/dev/shm/presence");
    unsetenv("PRESENCE_SEGMENT");
    expect_wrong(read_line("--segment", ""), "an empty path", "--segment");
    memset(longest, 'x', 4095);
    assert_string_equal(expect_run(read_line("--segment", longest), "a long path")->segment,
                        longest);
    longest[4095] = 'x';
    expect_wrong(read_line("--segment", longest), "too long a path", "--segment");
    assert_int_equal(unlink(scratch->path), 0);
}

/* Lines of a file have a limit: beyond it they are refused, not cut. */
static void long_paths_in_files_are_not_cut(void **state)
{
    struct scratch *scratch = *state;

    for (unsigned length = 1; length < 300; length++) {
        char text[400] = "segment = /dev/shm/";
        const char *path = text + strlen("segment = ");
        memset(text + strlen(text), 'x', length);
        struct answer *answer = read_line("--config", write_file(scratch, text));
        if (answer->verdict == CONFIG_RUN)
            assert_string_equal(answer->config.segment, path);
        else
            expect_wrong(answer, text, scratch->path);
        assert_true(answer->verdict == CONFIG_RUN || length > 150);
    }
    assert_int_equal(unlink(scratch->path), 0);
}

static void engines_have_names(void **state)
{
    (void)state;
    assert_int_equal(expect_run(read_line("--receive=auto"), "auto")->engine, RECEIVE_AUTO);
    assert_int_equal(expect_run(read_line("--receive=io_uring"), "io_uring")->engine,
                     RECEIVE_IO_URING);
    assert_int_equal(expect_run(read_line("--receive=recvmmsg"), "recvmmsg")->engine,
                     RECEIVE_RECVMMSG);
    expect_wrong(read_line("--receive=epoll"), "epoll", "auto, io_uring or recvmmsg");
    expect_wrong(read_line("--receive="), "no engine", "--receive");
    expect_wrong(read_line("--receive=AUTO"), "AUTO", "'AUTO'");
}

static void files_set_options_and_the_command_line_wins(void **state)
{
    struct scratch *scratch = *state;
    write_file(scratch, "# a comment\n; another\n\n[presenced]\nmax-visitors = 5000\r\n"
                        "max-scopes=10\nmax-window : 600\nwarm-up = 5\nworkers = 3 ; a comment\n"
                        "receive = recvmmsg\nsegment = /dev/shm/a b\nlisten = [::1]:7\n");
    const struct config *config = expect_run(read_line("--config", scratch->path), "a file");

    assert_int_equal(config->settings.max_visitors, 5000);
    assert_int_equal(config->settings.max_scopes, 10);
    assert_int_equal(config->settings.max_window, 600);
    assert_int_equal(config->settings.warm_up, 5);
    assert_int_equal(config->workers, 3);
    assert_int_equal(config->engine, RECEIVE_RECVMMSG);
    assert_string_equal(config->segment, "/dev/shm/a b");
    assert_int_equal(config->listen_count, 1);
    assert_string_equal(config->listen[0].text, "[::1]:7");

    /* Wherever --config stands. */
    config = expect_run(
        read_line("--max-visitors=6000", "--config", scratch->path, "--workers", "2"), "both");
    assert_int_equal(config->settings.max_visitors, 6000);
    assert_int_equal(config->workers, 2);
    assert_int_equal(config->settings.max_scopes, 10);
    /* The last of several wins. */
    config = expect_run(read_line("--workers=5", "--workers=6"), "twice");
    assert_int_equal(config->workers, 6);
    write_file(scratch, "");
    expect_run(read_line("--config", scratch->path), "an empty file");
    assert_int_equal(unlink(scratch->path), 0);
}

static void wrong_files_are_told(void **state)
{
    struct scratch *scratch = *state;
    static const struct {
        const char *text, *named;
    } cases[] = {
        {"max-vistors = 5\n", "max-vistors"},
        {"config = /etc/other\n", "config"},
        {"help = 1\n", "help"},
        {"max-visitors\n", ":1:"},
        {"workers = 2\nmax-visitors\n", ":2:"},
        {"workers = 2\nmax-visitors =\n", "max-visitors"},
        {"workers = 2\n  max-scopes = 5\n", "'max-scopes = 5'"}, /* a continued line */
        {"[unclosed\n", ":1:"},
        {"receive = epoll\n", "epoll"},
    };

    for (size_t i = 0; i < LENGTH(cases); i++)
        expect_wrong(read_line("--config", write_file(scratch, cases[i].text)), cases[i].text,
                     cases[i].named);
    assert_int_equal(unlink(scratch->path), 0);
    expect_wrong(read_line("--config", scratch->path), "a missing file", "No such file");
    expect_wrong(read_line("--config", scratch->path), "a missing file", scratch->path);
    expect_wrong(read_line("--config", ""), "no file", "cannot read");
}

static void directories_are_no_files(void **state)
{
    struct scratch *scratch = *state;

    expect_wrong(read_line("--config", scratch->directory), "a directory", scratch->directory);
}

static void several_mistakes_are_one_line(void **state)
{
    struct scratch *scratch = *state;
    struct answer *answer =
        read_line("--config", write_file(scratch, "workers = x\nworkers = y\nmax-vistors = 5\n"));

    assert_int_equal(unlink(scratch->path), 0);
    expect_wrong(answer, "a file with three mistakes", "'x'");
}

static void wrong_command_lines_are_told(void **state)
{
    (void)state;
    expect_wrong(read_line("--frobnicate"), "an unknown option", "--frobnicate");
    expect_wrong(read_line("-x"), "a short option", "'x'");
    expect_wrong(read_line("--workers"), "a missing value", "--workers");
    expect_wrong(read_line("--help=yes"), "a value too much", "--help");
    expect_wrong(read_line("127.0.0.1:9514"), "an argument", "127.0.0.1:9514");
    expect_wrong(read_line("--workers", "2", "3"), "an argument after an option", "'3'");
    expect_wrong(read_line("--", "--help"), "an argument after --", "--help");
}

/* The beginning of a name will do when it is the beginning of one only. */
static void ambiguous_names_are_told(void **state)
{
    (void)state;
    expect_run(read_line("--max-v", "5"), "--max-v");
    expect_wrong(read_line("--max", "5"), "--max", "--max");
    expect_wrong(read_line("--w", "5"), "--w", "--w");
}

static void help_and_version_answer(void **state)
{
    struct scratch *scratch = *state;
    static const char *const options[] = {
        "--listen",  "--segment", "--max-visitors", "--max-scopes", "--max-window", "--warm-up",
        "--workers", "--receive", "--config",       "--help",       "--version"};
    struct answer *answer = read_line("--help");

    assert_int_equal(answer->verdict, CONFIG_DONE);
    assert_string_equal(answer->err, "");
    assert_memory_equal(answer->out, "Usage: presenced", 16);
    for (size_t i = 0; i < LENGTH(options); i++)
        if (!strstr(answer->out, options[i]))
            fail_msg("--help does not mention %s", options[i]);
    assert_non_null(strstr(answer->out, "PRESENCE_SEGMENT"));
    for (const char *line = answer->out; *line; line = strchr(line, '\n') + 1)
        if (strcspn(line, "\n") > 100)
            fail_msg("a line of %zu characters: %.60s...", strcspn(line, "\n"), line);

    answer = read_line("--version");
    assert_int_equal(answer->verdict, CONFIG_DONE);
    assert_string_equal(answer->err, "");
    assert_string_equal(answer->out, "presenced " PRESENCE_VERSION "\n");

    /* Whatever else is wrong. */
    answer = read_line("--workers=x", "--config", scratch->path, "--help");
    assert_int_equal(answer->verdict, CONFIG_DONE);
    assert_string_equal(answer->err, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, clean_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_those_of_the_design),
        TEST(numbers_are_whole_and_within_bounds),
        TEST(addresses_are_numeric_and_add_up),
        TEST(the_segment_has_a_path),
        TEST(long_paths_in_files_are_not_cut),
        TEST(engines_have_names),
        TEST(files_set_options_and_the_command_line_wins),
        TEST(wrong_files_are_told),
        TEST(directories_are_no_files),
        TEST(several_mistakes_are_one_line),
        TEST(wrong_command_lines_are_told),
        TEST(ambiguous_names_are_told),
        TEST(help_and_version_answer),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}

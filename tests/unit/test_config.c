/* test_config.c - config.h: valid and wrong options on the command line. */
#include "config_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <presence/presence.h>

static void defaults(void **state)
{
    (void)state;
    const struct config *config = expect_run(read_words((const char *const[]){NULL}), "nothing");
    long half = sysconf(_SC_NPROCESSORS_ONLN) / 2;

    assert_int_equal(config->endpoints.listen_count, 1);
    assert_string_equal(config->endpoints.listen[0].text, "127.0.0.1:9514");
    const struct sockaddr_in *address = (const void *)&config->endpoints.listen[0].address;
    assert_int_equal(config->endpoints.listen[0].length, sizeof(*address));
    assert_int_equal(address->sin_family, AF_INET);
    assert_int_equal(ntohs(address->sin_port), 9514);
    assert_int_equal(ntohl(address->sin_addr.s_addr), INADDR_LOOPBACK);
    assert_string_equal(config->segment, "/dev/shm/presence/segment");
    assert_int_equal(config->settings.max_entries, 1000000);
    assert_int_equal(config->settings.max_scopes, 16384);
    assert_int_equal(config->settings.max_window, 3600);
    assert_int_equal(config->settings.warm_up, 90);
    assert_int_equal(config->settings.max_histories, 1024);
    assert_int_equal(config->settings.max_streams, 1024);
    assert_int_equal(config->settings.max_events, 16384);
    assert_int_equal(config->endpoints.workers, half < 1 ? 1 : half > 4 ? 4 : half);
    assert_int_equal(config->engine, RECEIVE_AUTO);
}

/* Numbers by option: minimum, maximum, and where they are stored. */

static uint64_t max_entries_of(const struct config *config)
{
    return config->settings.max_entries;
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

static uint64_t max_streams_of(const struct config *config)
{
    return config->settings.max_streams;
}

static uint64_t workers_of(const struct config *config)
{
    return config->endpoints.workers;
}

static const struct number_option {
    const char *name;
    uint64_t least, most;
    uint64_t (*value)(const struct config *config);
} numbers[] = {
    {"max-entries", 1, SEGMENT_ENTRIES_MAX, max_entries_of},
    {"max-scopes", 1, SEGMENT_SCOPES_MAX, max_scopes_of},
    {"max-window", 1, 3600, max_window_of},
    {"warm-up", 0, 3600, warm_up_of},
    {"max-histories", 0, SEGMENT_HISTORIES_MAX, max_histories_of},
    {"max-streams", 0, SEGMENT_STREAMS_MAX, max_streams_of},
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

/* The ring has a power of two of events: the least that has all that were asked for. */
static void events_are_rounded_up(void **state)
{
    static const struct {
        const char *word;
        uint32_t expected;
    } cases[] = {
        {"0", 0},
        {"1", EVENTS_MIN},
        {"63", 64},
        {"64", 64},
        {"65", 128},
        {"1023", 1024},
        {"1024", 1024},
        {"1025", 2048},
        {"524289", 1048576},
        {"1048575", 1048576},
        {"1048576", 1048576},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_int_equal(
            expect_run(read_line("--events", cases[i].word), cases[i].word)->settings.max_events,
            cases[i].expected);
    expect_wrong(read_line("--events", "1048577"), "too many events", "1048576");
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
        assert_int_equal(config->endpoints.listen_count, 1); /* it replaces the default */
        assert_string_equal(config->endpoints.listen[0].text, right[i]);
        assert_int_equal(config->endpoints.listen[0].address.ss_family,
                         right[i][0] == '[' ? AF_INET6 : AF_INET);
    }
    for (size_t i = 0; i < LENGTH(wrong); i++)
        expect_wrong(read_line("--listen", wrong[i]), wrong[i], "--listen");

    /* The file's come first. */
    write_file(scratch, "listen = 127.0.0.1:1\nlisten = 127.0.0.1:2\n");
    const struct config *config = expect_run(
        read_line("--listen=127.0.0.1:3", "--config", scratch->path, "--listen", "[::1]:4"),
        "both");
    assert_int_equal(config->endpoints.listen_count, 4);
    assert_string_equal(config->endpoints.listen[0].text, "127.0.0.1:1");
    assert_string_equal(config->endpoints.listen[1].text, "127.0.0.1:2");
    assert_string_equal(config->endpoints.listen[2].text, "127.0.0.1:3");
    assert_string_equal(config->endpoints.listen[3].text, "[::1]:4");

    /* At most sixteen. */
    for (unsigned i = 0; i < 16; i++)
        words[i] = "--listen=127.0.0.1:9514";
    assert_int_equal(expect_run(read_words(words), "16 addresses")->endpoints.listen_count, 16);
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
                        "/dev/shm/presence/segment");
    unsetenv("PRESENCE_SEGMENT");
    expect_wrong(read_line("--segment", ""), "an empty path", "--segment");
    memset(longest, 'x', 4095);
    assert_string_equal(expect_run(read_line("--segment", longest), "a long path")->segment,
                        longest);
    longest[4095] = 'x';
    expect_wrong(read_line("--segment", longest), "too long a path", "--segment");
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

static void wrong_command_lines_are_refused(void **state)
{
    (void)state;
    expect_wrong(read_line("--frobnicate"), "an unknown option", "--frobnicate");
    expect_wrong(read_line("-x"), "a short option", "'-x'");
    expect_wrong(read_line("--workers"), "a missing value", "--workers");
    expect_wrong(read_line("--help=yes"), "a value too much", "--help");
    expect_wrong(read_line("127.0.0.1:9514"), "an argument", "127.0.0.1:9514");
    expect_wrong(read_line("--workers", "2", "3"), "an argument after an option", "'3'");
    expect_wrong(read_line("--", "--help"), "an argument after --", "--help");
}

/* A name may be abbreviated if that is unambiguous. */
static void ambiguous_names_are_refused(void **state)
{
    (void)state;
    expect_run(read_line("--max-e", "5"), "--max-e");
    expect_wrong(read_line("--max", "5"), "--max", "--max");
    expect_wrong(read_line("--w", "5"), "--w", "--w");
}

static void help_and_version_answer(void **state)
{
    struct scratch *scratch = *state;
    static const char *const options[] = {
        "--listen",  "--segment", "--max-entries", "--max-scopes", "--max-window", "--warm-up",
        "--workers", "--receive", "--config",      "--help",       "--version"};
    struct answer *answer = read_line("--help");

    assert_int_equal(answer->verdict, OPTION_DONE);
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
    assert_int_equal(answer->verdict, OPTION_DONE);
    assert_string_equal(answer->err, "");
    assert_string_equal(answer->out, "presenced " PRESENCE_VERSION "\n");

    /* --help answers even if another option is wrong. */
    answer = read_line("--workers=x", "--config", scratch->path, "--help");
    assert_int_equal(answer->verdict, OPTION_DONE);
    assert_string_equal(answer->err, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults),
        TEST(numbers_are_whole_and_within_bounds),
        TEST(events_are_rounded_up),
        TEST(addresses_are_numeric_and_add_up),
        TEST(the_segment_has_a_path),
        TEST(engines_have_names),
        TEST(wrong_command_lines_are_refused),
        TEST(ambiguous_names_are_refused),
        TEST(help_and_version_answer),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}

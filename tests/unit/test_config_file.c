/* test_config_file.c - config.h: options from a file. */
#include "config_fixture.h"

static void files_set_options_and_the_command_line_wins(void **state)
{
    struct scratch *scratch = *state;
    write_file(scratch, "# a comment\n; another\n\n[presenced]\nmax-entries = 5000\r\n"
                        "max-scopes=10\nmax-window : 600\nwarm-up = 5\nworkers = 3 ; a comment\n"
                        "receive = recvmmsg\nsegment = /dev/shm/a b\nlisten = [::1]:7\n");
    const struct config *config = expect_run(read_line("--config", scratch->path), "a file");

    assert_int_equal(config->settings.max_entries, 5000);
    assert_int_equal(config->settings.max_scopes, 10);
    assert_int_equal(config->settings.max_window, 600);
    assert_int_equal(config->settings.warm_up, 5);
    assert_int_equal(config->endpoints.workers, 3);
    assert_int_equal(config->engine, RECEIVE_RECVMMSG);
    assert_string_equal(config->segment, "/dev/shm/a b");
    assert_int_equal(config->endpoints.listen_count, 1);
    assert_string_equal(config->endpoints.listen[0].text, "[::1]:7");

    /* The command line wins wherever --config stands. */
    config = expect_run(
        read_line("--max-entries=6000", "--config", scratch->path, "--workers", "2"), "both");
    assert_int_equal(config->settings.max_entries, 6000);
    assert_int_equal(config->endpoints.workers, 2);
    assert_int_equal(config->settings.max_scopes, 10);
    expect_wrong(read_line("--workers=5", "--workers=6"), "twice", "--workers is given twice");
    write_file(scratch, "");
    expect_run(read_line("--config", scratch->path), "an empty file");
    assert_int_equal(unlink(scratch->path), 0);
}

/* Too long lines are refused, not cut. */
static void long_paths_in_files_are_not_cut(void **state)
{
    struct scratch *scratch = *state;

    for (unsigned length = 1; length < 300; length++) {
        char text[400] = "segment = /dev/shm/";
        const char *path = text + strlen("segment = ");
        memset(text + strlen(text), 'x', length);
        struct answer *answer = read_line("--config", write_file(scratch, text));
        if (answer->verdict == OPTION_RUN)
            assert_string_equal(answer->config.segment, path);
        else
            expect_wrong(answer, text, scratch->path);
        assert_true(answer->verdict == OPTION_RUN || length > 150);
    }
    assert_int_equal(unlink(scratch->path), 0);
}

static void wrong_files_are_refused(void **state)
{
    struct scratch *scratch = *state;
    static const struct {
        const char *text, *named;
    } cases[] = {
        {"max-vistors = 5\n", "max-vistors"},
        {"config = /etc/other\n", "config"},
        {"help = 1\n", "help"},
        {"max-entries\n", ":1:"},
        {"workers = 2\nmax-entries\n", ":2:"},
        {"workers = 2\nmax-entries =\n", "max-entries"},
        {"workers = 2\n  max-scopes = 5\n", "given twice"}, /* a continued line */
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

static void directories_are_refused(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_set_options_and_the_command_line_wins),
        TEST(long_paths_in_files_are_not_cut),
        TEST(wrong_files_are_refused),
        TEST(directories_are_refused),
        TEST(several_mistakes_are_one_line),
    };
    return cmocka_run_group_tests_name("config_file", tests, NULL, NULL);
}

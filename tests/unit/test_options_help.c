/* test_options_help.c - options.h: --help and --version, and commands with their own options. */
#include "options_fixture.h"

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
    assert_non_null(strstr(answer.out, "  --sum N          numbers; repeatable\n"));
    assert_non_null(strstr(answer.out, "  --key KEY        a key ($PRESENCE_TEST_KEY)\n"));
    assert_non_null(strstr(answer.out, "\n\nA load:\n  --rate R "));
    assert_non_null(strstr(answer.out, "  --config FILE    "));
    assert_non_null(strstr(answer.out, "\n\nExit status: 0 stopped by a signal, 1 failure, 2 wrong "
                                       "usage.\n"));
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
                "  count   SITE [ROOM]  how many visitors there are\n"
                "  stats                counters\n"
                "  help    [COMMAND]    explain a command\n\nOptions:\n");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(help_and_version_answer),
        TEST(commands_have_their_arguments_and_options),
        TEST(commands_are_explained),
    };
    return cmocka_run_group_tests_name("options help", tests, NULL, NULL);
}

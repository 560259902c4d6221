#include "presencectl.h"

#include "program.h"

static enum option_verdict parse(int argc, char **argv)
{
    struct options options = {0};
    struct option_use use;
    enum option_verdict verdict = options_parse(&options_table, argc, argv, &options, &use);

    if (verdict != OPTION_RUN)
        return verdict;
    const struct option_command *command = &options_table.commands[use.command];
    check_range(use.command, 0, options_table.command_count - 1);
    check_range(argc - (int)use.arguments, command->arguments_min, command->arguments_max);
    check_range(options.window_s, 0, 3600);
    fuzz_check(options.step_s % 60 == 0);
    int64_t since = since_seconds(&options.since, 60, 1767225600);
    fuzz_check(options.since.kind != SINCE_NUMBER || since <= 1767225600);
    options_free(&options_table, &options);
    return OPTION_RUN;
}

const struct program program_ctl = {&options_table, parse};

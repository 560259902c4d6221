#include "options.h"

#include "program.h"

static enum option_verdict parse(int argc, char **argv)
{
    struct options options = {0};
    struct option_use use;
    enum option_verdict verdict = options_parse(&options_table, argc, argv, &options, &use);

    if (verdict != OPTION_RUN)
        return verdict;
    if (!engine_options_check(&options.engine, &use, false))
        verdict = OPTION_WRONG;
    fuzz_check(*options.database && *options.segment);
    options_free(&options_table, &options);
    return verdict;
}

const struct program program_recorder = {&options_table, parse};

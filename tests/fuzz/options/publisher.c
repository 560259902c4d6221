#include "options.h"

#include <engine/engine_address.h>

#include "program.h"

static enum option_verdict parse(int argc, char **argv)
{
    char problem[ENGINE_URL_PROBLEM_SIZE];
    struct engine_address address;
    struct options options;
    enum option_verdict verdict = options_read(argc, argv, &options);

    if (verdict != OPTION_RUN)
        return verdict;
    fuzz_check(engine_address_parse(options.engine.url, &address, problem) == 0);
    fuzz_check(*options.group);
    check_range(options.shards, 1, UINT32_MAX);
    check_range(options.shard, 1, options.shards);
    check_range(options.window_count, 0, SCAN_WINDOWS_MAX);
    for (unsigned i = 0; i < options.window_count; i++)
        check_range(options.windows_s[i], 1, 3600);
    options_release(&options);
    return OPTION_RUN;
}

const struct program program_publisher = {&options_table, parse};

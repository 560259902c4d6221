#include "options.h"

#include "program.h"

static enum option_verdict parse(int argc, char **argv)
{
    struct options options;
    enum option_verdict verdict = options_read(argc, argv, &options);

    if (verdict != OPTION_RUN)
        return verdict;
    check_range(options.window_count, 1, OPTIONS_WINDOWS_MAX);
    for (unsigned i = 0; i < options.window_count; i++)
        check_range(options.windows[i], 0, 3600);
    fuzz_check(options.telemetry_path[0] == '/');
    options_free(&options_table, &options);
    return OPTION_RUN;
}

const struct program program_exporter = {&options_table, parse};

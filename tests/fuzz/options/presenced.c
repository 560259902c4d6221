#include "config.h"

#include "program.h"

static enum option_verdict parse(int argc, char **argv)
{
    struct config config;
    enum option_verdict verdict = config_parse(argc, argv, &config);

    if (verdict != OPTION_RUN)
        return verdict;
    check_range(config.endpoints.workers, 1, 64);
    check_range(config.settings.max_entries, 1, UINT64_MAX);
    check_range(config.settings.max_scopes, 1, UINT32_MAX);
    check_range(config.settings.max_window, 1, 3600);
    check_range(config.settings.warm_up, 0, 3600);
    check_range(config.allow.count, 0, NETWORKS_MAX);
    fuzz_check(config.settings.max_events == 0 ||
               (config.settings.max_events >= 64 &&
                (config.settings.max_events & (config.settings.max_events - 1)) == 0));
    fuzz_check(*config.segment);
    config_free(&config);
    return OPTION_RUN;
}

const struct program program_presenced = {&options_table, parse};

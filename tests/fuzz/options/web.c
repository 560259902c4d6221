#include "options.h"

#include <common/place.h>

#include "program.h"

static void check(const struct options *options)
{
    char kept[PLACE_SITE_MAX + 1];

    check_list(&options->listen, UINT32_MAX);
    check_list(&options->to, OPTIONS_LISTED_MAX);
    check_list(&options->origins, OPTIONS_LISTED_MAX);
    check_list(&options->sites, OPTIONS_LISTED_MAX);
    check_range(options->proxy_count, 0, OPTIONS_LISTED_MAX);
    for (unsigned i = 0; i < options->sites.count; i++)
        fuzz_check(place_parse_site(options->sites.items[i], kept) &&
                   strcmp(options->sites.items[i], kept) == 0);
    for (unsigned i = 0; i < options->aliases.count; i++) {
        const char *alias = options->aliases.items[i], *equals = strchr(alias, '=');
        char id[PLACE_SITE_MAX + 1] = "";
        fuzz_check(equals && equals - alias <= PLACE_SITE_MAX);
        memcpy(id, alias, (size_t)(equals - alias));
        const char *site = options_find_alias(options, id);
        fuzz_check(site && strcmp(site, equals + 1) == 0);
        fuzz_check(options_allow(&options->sites, site));
    }
}

static enum option_verdict parse(int argc, char **argv)
{
    static struct options options;
    struct option_use use;

    options = (struct options){0};
    enum option_verdict verdict = options_parse(&options_table, argc, argv, &options, &use);
    if (verdict != OPTION_RUN)
        return verdict;
    if (!engine_options_check(&options.engine, &use, false) ||
        options_check(&options) == OPTION_WRONG)
        verdict = OPTION_WRONG;
    else
        check(&options);
    options_free(&options_table, &options);
    return verdict;
}

const struct program program_web = {&options_table, parse};

#include "options.h"

#include "program.h"

static enum option_verdict parse(int argc, char **argv)
{
    struct options options;
    struct address address;
    enum option_verdict verdict = options_read(argc, argv, -1, &options);

    if (verdict != OPTION_RUN)
        return verdict;
    check_range(options.hold_ms, 1, 1000);
    check_range(options.allow.count, 0, NETWORKS_MAX);
    check_range(options.group_count, 1, GROUPS_MAX);
    for (unsigned i = 0; i < options.group_count; i++) {
        const struct group *group = &options.groups[i];
        fuzz_check(*group->name);
        check_range(group->shards, 1, SHARDS_MAX);
        for (unsigned j = 0; j < group->shards; j++)
            fuzz_check(address_split_peer(group->addresses[j], &address) == 0);
        for (unsigned j = 0; j < i; j++)
            fuzz_check(strcmp(group->name, options.groups[j].name) != 0);
    }
    fuzz_check(groups_check_change(options.groups, options.group_count, options.groups,
                                   options.group_count));
    options_release(&options);
    return OPTION_RUN;
}

const struct program program_relay = {&options_table, parse};

#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/place.h"
#include "common/time_text.h"

static int check_group(char *group)
{
    return engine_is_group(group) ? 0 : -EINVAL;
}

/* Parse a number of at most three digits. Returns what follows, or NULL. */
static const char *parse_number(const char *text, uint32_t *ret)
{
    size_t digits = strspn(text, "0123456789");

    if (digits < 1 || digits > 3)
        return NULL;
    *ret = (uint32_t)strtoul(text, NULL, 10);
    return text + digits;
}

static int parse_shard(void *target, const char *text)
{
    struct options *options = target;
    uint32_t shard, shards;
    const char *rest = parse_number(text, &shard);

    if (!rest || *rest != '/')
        return -EINVAL;
    rest = parse_number(rest + 1, &shards);
    if (!rest || *rest || shard < 1 || shard > shards || shards > ENGINE_SHARDS_MAX)
        return -EINVAL;
    options->shard = shard;
    options->shards = shards;
    return 0;
}

static int add_window(void *target, const char *text)
{
    struct options *options = target;
    uint64_t seconds;
    int r = duration_parse(text, &seconds);

    if (r == 0 && (seconds < 1 || seconds > PLACE_WINDOW_MAX))
        r = -EINVAL;
    if (r == 0 && options->window_count == SCAN_WINDOWS_MAX)
        r = -ENOSPC;
    if (r == 0)
        options->windows_s[options->window_count++] = (uint32_t)seconds;
    return r;
}

static const struct option_entry entries[] = {
    OPTION_ENGINE(struct options, engine),
    {"group", OPTION_TEXT(struct options, group), .check = check_group, .argument = "NAME",
     .expected = "1 to 63 letters, digits and _.-", .example = "A",
     .help = "the group that the collector belongs to",
     .details = "A group is a complete copy: readers never add two of them up. Give it the name "
                "that presence-relay's --to has for it."},
    {"shard", OPTION_PARSED_INTO(parse_shard), .argument = "K/N", .fallback = "1/1",
     .expected = "K/N, such as 1/3: K from 1 to N, N up to 64",
     .help = "the collector is the K-th of the group's N",
     .details = "Its place in the list of presence-relay's --to. All publishers of a group must "
                "give the same N."},
    OPTION_SEGMENT(struct options, segment,
                   .details = "The publisher waits for it while it is missing."),
    {"window", OPTION_PARSED_INTO(add_window), .max = SCAN_WINDOWS_MAX, .repeatable = true,
     .argument = "5m", .expected = "1 s to 1 h, such as 90, 90s, 5m or 1h", .example = "5m",
     .help = "publish counts of the last so many seconds (90 or 90s), minutes (5m) or hours (1h)",
     .suggestions = "1m 5m 10m 30m 1h",
     .details = "Readers can ask for no others. Above 480 seconds it is rounded up to whole "
                "minutes. One that is longer than the collector counts is left out. Default: the "
                "collector's default window, 5m."},
};

const struct option_table options_table = {
    .program = "presence-publisher",
    .purpose = "Write what a collector counts into Redis or Valkey, where the counts of many\n"
               "collectors become one.",
    .read_file = options_read_file,
    OPTION_ENTRIES(entries),
};

/* Check that what has no default was given. */
static enum option_verdict check(const struct options *options, const struct option_use *use)
{
    if (!options->engine.url)
        return option_wrong("engine", "say which Redis or Valkey to write into, such as "
                                      "--engine redis://localhost");
    if (!options->group)
        return option_wrong("group", "say which group the collector belongs to, such as "
                                     "--group A");
    return engine_options_check(&options->engine, use, true) ? OPTION_RUN : OPTION_WRONG;
}

enum option_verdict options_read(int argc, char **argv, struct options *ret)
{
    struct options options = {0};
    struct option_use use;
    enum option_verdict verdict = options_parse(&options_table, argc, argv, &options, &use);

    if (verdict != OPTION_RUN)
        return verdict;
    verdict = check(&options, &use);
    if (verdict == OPTION_RUN)
        *ret = options;
    else
        options_release(&options);
    return verdict;
}

void options_release(struct options *options)
{
    options_free(&options_table, options);
    *options = (struct options){0};
}

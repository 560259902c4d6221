/* groups_status.c - the commands about the groups themselves: status with --engine, and forget. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/engine_json.h"
#include "groups.h"
#include "show.h"

#define CLOCK_OFF_S 10 /* a fresh count that is so far from our time is of a wrong clock */

/* True if the shard's publisher has said what can be parsed. */
static bool is_described(const struct engine_shard_state *shard)
{
    return shard->problem != ENGINE_SHARD_ABSENT && shard->problem != ENGINE_SHARD_UNREADABLE;
}

/* ---- JSON -------------------------------------------------------------------------------- */

static void print_json(const struct engine_state *state, const struct answer *answer)
{
    json_t *object = json_object();

    json_object_set_new(object, "groups", engine_build_groups(state));
    json_set_marks(object, *answer);
    json_print(object);
}

/* ---- tables ------------------------------------------------------------------------------ */

struct cell {
    char text[96];
};

static struct cell show_loss(const struct engine_shard_state *shard)
{
    struct engine_loss loss = engine_shard_loss(&shard->shard);
    struct cell cell;
    double percent = loss.expected ? 100.0 * (double)loss.lost / (double)loss.expected : 0.0;

    snprintf(cell.text, sizeof(cell.text), "%" PRId64 " of %" PRIu64 " (%.1f %%)", loss.lost,
             loss.expected, percent);
    return cell;
}

static struct cell show_streams(const struct engine_shard_state *shard)
{
    const struct {
        unsigned count;
        const char *name;
    } faults[] = {
        {shard->streams_losing, "losing"},
        {shard->streams_silent, "silent"},
        {shard->streams_missing, "missing"},
    };
    struct cell cell;
    int length = snprintf(cell.text, sizeof(cell.text), "%zu", shard->shard.stream_count);

    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        if (faults[i].count)
            length += snprintf(cell.text + length, sizeof(cell.text) - (size_t)length, ", %u %s",
                               faults[i].count, faults[i].name);
    return cell;
}

static void add_shard(struct libscols_table *table, const struct engine_group *group,
                      uint32_t index)
{
    const struct engine_shard_state *shard = &group->shards[index];
    char number[32], state[64], visitors[24];
    bool described = is_described(shard);

    snprintf(number, sizeof(number), "%" PRIu32 " of %" PRIu32, index + 1, group->shard_count);
    snprintf(state, sizeof(state), "%s%s", engine_shard_word(shard->problem),
             shard->shard.warming ? " [warming]" : "");
    snprintf(visitors, sizeof(visitors), "%" PRIu64, shard->visitors);
    table_line(table, (const char *const[]){group->name, number, state,
                                            described ? show_host(shard).text : "-",
                                            described ? show_age(shard->age_ms).text : "-",
                                            visitors, described ? show_loss(shard).text : "-",
                                            described ? show_streams(shard).text : "-"});
}

static void add_group(struct libscols_table *table, const struct engine_group *group)
{
    char number[32], state[64], visitors[24];

    snprintf(number, sizeof(number), "all %" PRIu32, group->shard_count);
    snprintf(state, sizeof(state), "%s%s%s", group->whole ? "whole" : "not whole",
             group->warming ? " [warming]" : "", group->partial ? " [partial]" : "");
    snprintf(visitors, sizeof(visitors), "%" PRIu64, engine_group_visitors(group));
    table_line(table, (const char *const[]){group->name, number, state, "", "", visitors, "", ""});
    for (uint32_t i = 0; i < group->shard_count; i++)
        add_shard(table, group, i);
}

static void print_table(const struct engine_state *state)
{
    static const struct {
        const char *heading;
        enum column_flags flags;
    } columns[] = {
        {"GROUP", COLUMN_LEFT},         {"SHARD", COLUMN_LEFT},   {"STATE", COLUMN_LEFT},
        {"HOST", COLUMN_LEFT},          {"AGE", COLUMN_RIGHT},    {"VISITORS", COLUMN_RIGHT},
        {"LOST IN 30 S", COLUMN_RIGHT}, {"STREAMS", COLUMN_LEFT},
    };
    struct libscols_table *table = table_new();

    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
        table_column(table, columns[i].heading, columns[i].flags);
    for (size_t i = 0; i < state->count; i++)
        add_group(table, &state->groups[i]);
    table_print(table);
}

/* ---- status ------------------------------------------------------------------------------ */

/* Report each group that is not whole, and each that lacks visitors. The answer may be none the
 * worse for it, but somebody has to mend it. */
static void report_groups(const struct engine_state *state)
{
    for (size_t i = 0; i < state->count; i++) {
        const struct engine_group *group = &state->groups[i];
        bool lacks = !group->whole;
        if (!lacks && !group->partial && !group->warming)
            continue;
        char *why = lacks ? group_describe_lack(group) : group_describe_incomplete(group);
        report("%s%s", lacks ? "not whole: " : group->partial ? "partial: " : "warming: ", why);
        free(why);
    }
}

/* Report each shard whose machine has another time than ours: the number is right, but when it was
 * so is not. The counts of one that is not fresh may be old, but not of the future. */
static void report_clocks(const struct engine_state *state, int64_t now)
{
    for (size_t i = 0; i < state->count; i++) {
        const struct engine_group *group = &state->groups[i];
        for (uint32_t k = 0; k < group->shard_count; k++) {
            const struct engine_shard_state *shard = &group->shards[k];
            int64_t ahead_s = shard->shard.as_of - (now - (int64_t)(shard->age_ms / 1000));
            bool behind = ahead_s <= -CLOCK_OFF_S && shard->problem == ENGINE_SHARD_FINE;
            if (!is_described(shard) || (ahead_s < CLOCK_OFF_S && !behind))
                continue;
            report("clock: that of %s (group %s, shard %" PRIu32
                   ") is %s%s %s this machine's: the time "
                   "of the answer may be wrong; set both by NTP",
                   show_host(shard).text, group->name, k + 1,
                   shard->problem == ENGINE_SHARD_FINE ? "" : "at least ",
                   show_duration((uint64_t)llabs(ahead_s)).text, behind ? "behind" : "ahead of");
        }
    }
}

int groups_status(struct engine_reader *reader, const struct options *options, char **arguments)
{
    struct engine_list sites = {.limit = 1}; /* for how fresh the answers are */
    struct engine_poll poll = {.lists = &sites, .list_count = 1, .visitors = true};
    int status = groups_poll(reader, options, &poll);

    (void)arguments;
    if (status != EXIT_FINE)
        return status;
    const struct engine_state *state = engine_reader_state(reader);
    struct answer answer = answer_of_groups(&sites.reading);
    engine_list_free(&sites);
    if (options->json)
        print_json(state, &answer);
    else
        print_table(state);
    report_groups(state);
    report_clocks(state, time(NULL));
    if (!answer.stale)
        return EXIT_FINE;
    report("stale: no group is whole; this is the status as of %s", show_time(answer.as_of).text);
    return EXIT_STALE;
}

/* ---- forget ------------------------------------------------------------------------------ */

static const struct engine_group *find_group(const struct engine_state *state, const char *name)
{
    for (size_t i = 0; i < state->count; i++)
        if (strcmp(state->groups[i].name, name) == 0)
            return &state->groups[i];
    return NULL;
}

/* Report by whom a shard of the group is published. */
static void report_busy(const struct engine_state *state, const char *name)
{
    const struct engine_group *group = find_group(state, name);
    const char *host = "some machine";
    struct shown_name shown;

    for (uint32_t i = group ? group->shard_count : 0; i-- > 0;) {
        const struct engine_shard_state *shard = &group->shards[i];
        if (!is_described(shard) || shard->age_ms > ENGINE_OWNER_MS)
            continue;
        shown = show_host(shard);
        host = shown.text;
    }
    report("cannot forget group %s: presence-publisher on %s is still publishing it; stop it first",
           name, host);
}

/* Report that there is no such group, and which ones there are. */
static void report_no_group(const struct engine_state *state, const char *name)
{
    char *names = groups_list(state);

    report("no group %s is published, but %s", name, names);
    free(names);
}

/* Report why a group can't be forgotten. Returns EXIT_FAILED. */
static int report_unforgotten(struct engine_reader *reader, const struct options *options,
                              const char *name, int error)
{
    struct engine_poll poll = {0};

    if (error != -EBUSY && error != -ENOENT)
        return groups_report_problem(options, engine_reader_problem(reader));
    if (groups_poll(reader, options, &poll) != EXIT_FINE) /* which has reported that it is empty */
        return EXIT_FAILED;
    if (error == -EBUSY)
        report_busy(engine_reader_state(reader), name);
    else
        report_no_group(engine_reader_state(reader), name);
    return EXIT_FAILED;
}

int groups_forget(struct engine_reader *reader, const struct options *options, char **arguments)
{
    const char *name = arguments[0];
    uint64_t keys;

    if (!engine_is_group(name)) {
        report("GROUP must be 1 to %d letters, digits, '_', '.' and '-'", ENGINE_GROUP_MAX);
        return EXIT_USAGE;
    }
    int r = engine_reader_forget(reader, name, groups_deadline(), &keys);
    if (r < 0)
        return report_unforgotten(reader, options, name, r);
    if (options->json)
        json_print(json_pack("{s:s, s:I}", "group", name, "keys", (json_int_t)keys));
    else
        printf("forgot group %s: %" PRIu64 " key%s\n", name, keys, plural_of(keys));
    return EXIT_FINE;
}

/* groups_text.c - clauses about groups and shards. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text_stream.h"
#include "common/time_text.h"
#include "groups.h"

#define IDS_MAX 3 /* of streams in one clause */

/* ---- parts ------------------------------------------------------------------------------- */

/* Begin and end a text. Ending it exits if out of memory. */
struct text {
    struct text_stream stream;
    FILE *out;
    unsigned parts;
};

static void text_exit(void)
{
    report("out of memory");
    exit(EXIT_FAILED);
}

static void text_begin(struct text *text)
{
    *text = (struct text){0};
    text->out = text_stream_open(&text->stream);
    if (!text->out)
        text_exit();
}

static char *text_end(struct text *text)
{
    char *bytes = text_stream_close(&text->stream, NULL);

    if (!bytes)
        text_exit();
    return bytes;
}

/* Write what separates a part from the one before. */
static void text_separate(struct text *text, const char *separator)
{
    if (text->parts++)
        fputs(separator, text->out);
}

struct shown_name show_host(const struct engine_shard_state *shard)
{
    return show_name(*shard->shard.host ? shard->shard.host : "?");
}

struct shown_duration show_age(uint64_t age_ms)
{
    struct shown_duration shown;

    if (age_ms >= 10000)
        return show_duration(age_ms / 1000);
    snprintf(shown.text, sizeof(shown.text), "%" PRIu64 ".%" PRIu64 " s", age_ms / 1000,
             age_ms % 1000 / 100);
    return shown;
}

/* ---- shards that are not fresh ----------------------------------------------------------- */

static void write_problem(FILE *out, const struct engine_shard_state *shard)
{
    struct shown_name host = show_host(shard);

    switch (shard->problem) {
    case ENGINE_SHARD_ABSENT:
        fputs("never published, or not for two hours", out);
        break;
    case ENGINE_SHARD_SILENT:
        fprintf(out, "the publisher on %s has been silent for %s", host.text,
                show_age(shard->age_ms).text);
        break;
    case ENGINE_SHARD_STALE:
        fprintf(out, "the collector on %s is stale, or its publisher has ended, since %s",
                host.text, show_time(shard->shard.as_of).text);
        break;
    case ENGINE_SHARD_DISAGREES:
        fprintf(out, "the publisher on %s was told of %" PRIu32 " shard%s", host.text,
                shard->shard.shards, plural_of(shard->shard.shards));
        break;
    case ENGINE_SHARD_UNREADABLE:
        fputs("written by another version, or damaged; update this program and the publisher", out);
        break;
    case ENGINE_SHARD_EVICTED:
        fprintf(out, "the engine evicted counts of %s; set its maxmemory-policy to noeviction",
                host.text);
        break;
    case ENGINE_SHARD_FINE:
        break;
    }
}

static void write_lack(FILE *out, const struct engine_group *group)
{
    unsigned parts = 0;

    fprintf(out, "group %s lacks", group->name);
    for (uint32_t i = 0; i < group->shard_count; i++) {
        if (group->shards[i].problem == ENGINE_SHARD_FINE)
            continue;
        fprintf(out, "%s shard %" PRIu32 " of %" PRIu32 " (", parts++ ? "," : "", i + 1,
                group->shard_count);
        write_problem(out, &group->shards[i]);
        fputc(')', out);
    }
}

char *group_describe_lack(const struct engine_group *group)
{
    struct text text;

    text_begin(&text);
    write_lack(text.out, group);
    return text_end(&text);
}

char *groups_describe_lacks(const struct engine_state *state)
{
    struct text text;

    text_begin(&text);
    for (size_t i = 0; i < state->count; i++) {
        if (state->groups[i].whole)
            continue;
        text_separate(&text, "; ");
        write_lack(text.out, &state->groups[i]);
    }
    return text_end(&text);
}

/* ---- groups that lack visitors ----------------------------------------------------------- */

/* Write the ids of the streams that a shard lacks in this way, or some of them. */
static void write_ids(FILE *out, const struct engine_shard_state *shard, enum engine_lack_kind kind,
                      unsigned count)
{
    unsigned written = 0;

    fprintf(out, "stream%s", plural_of(count));
    for (size_t i = 0; i < shard->lack_count && written < IDS_MAX; i++) {
        if (shard->lacks[i].kind != kind)
            continue;
        fprintf(out, "%s %016" PRIx64,
                written == 0           ? ""
                : written + 1 == count ? " and"
                                       : ",",
                shard->lacks[i].stream);
        written++;
    }
    if (count > written)
        fprintf(out, " and %u more", count - written);
}

/* Write why visitors of a shard may be missing, as far as it is known. */
static void write_lacks(struct text *text, const struct engine_group *group, uint32_t index)
{
    const struct engine_shard_state *shard = &group->shards[index];
    struct shown_name host = show_host(shard);
    const struct {
        enum engine_lack_kind kind;
        unsigned count;
        const char *one, *many;
    } lacks[] = {
        {ENGINE_STREAM_LOSING, shard->streams_losing, "loses over 1 % on its way to",
         "lose over 1 % on their way to"},
        {ENGINE_STREAM_SILENT, shard->streams_silent, "goes on elsewhere and is silent in",
         "go on elsewhere and are silent in"},
        {ENGINE_STREAM_MISSING, shard->streams_missing, "goes on elsewhere and never came to",
         "go on elsewhere and never came to"},
    };

    for (size_t i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++) {
        if (!lacks[i].count)
            continue;
        text_separate(text, ", ");
        write_ids(text->out, shard, lacks[i].kind, lacks[i].count);
        fprintf(text->out, " %s shard %" PRIu32 " of %" PRIu32 " (%s)",
                lacks[i].count == 1 ? lacks[i].one : lacks[i].many, index + 1, group->shard_count,
                host.text);
    }
    if (shard->shard.warming) {
        text_separate(text, ", ");
        fprintf(text->out, "the collector of shard %" PRIu32 " of %" PRIu32 " (%s) warms up",
                index + 1, group->shard_count, host.text);
    }
}

static void write_incomplete(FILE *out, const struct engine_group *group)
{
    struct text text = {.out = out};

    fprintf(out, "group %s: ", group->name);
    for (uint32_t i = 0; i < group->shard_count; i++)
        write_lacks(&text, group, i);
    if (!text.parts)
        fputs("a limit of a collector left visitors out; presencectl status at its collectors "
              "says which",
              out);
}

char *group_describe_incomplete(const struct engine_group *group)
{
    struct text text;

    text_begin(&text);
    write_incomplete(text.out, group);
    return text_end(&text);
}

char *groups_describe_incomplete(const struct engine_state *state)
{
    struct text text;

    text_begin(&text);
    for (size_t i = 0; i < state->count; i++) {
        if (!state->groups[i].whole)
            continue;
        text_separate(&text, "; ");
        write_incomplete(text.out, &state->groups[i]);
    }
    return text_end(&text);
}

/* ---- lists ------------------------------------------------------------------------------- */

char *groups_list(const struct engine_state *state)
{
    struct text text;

    text_begin(&text);
    for (size_t i = 0; i < state->count; i++) {
        text_separate(&text, i + 1 == state->count ? " and " : ", ");
        fputs(state->groups[i].name, text.out);
    }
    return text_end(&text);
}

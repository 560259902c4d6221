/* engine_model.h - what publishers may have written, with all that can be wrong with it: random,
 * and written into the engine of engine_fake.h. */
#ifndef PRESENCE_TESTS_ENGINE_MODEL_H
#define PRESENCE_TESTS_ENGINE_MODEL_H

#include <engine/engine_keys.h>
#include <engine/engine_shard.h>

#include "engine_fake.h"

#define MODEL_GROUPS  4
#define MODEL_SHARDS  4
#define MODEL_SITES   2
#define MODEL_LABELS  5
#define MODEL_STREAMS 4
#define MODEL_WINDOWS 3

static const uint32_t model_windows[MODEL_WINDOWS] = {60, 300, 600};
static const char *const model_sites[MODEL_SITES] = {"a.example", "b.example"};
static const struct {
    enum presence_kind kind;
    const char *name;
} model_labels[MODEL_LABELS] = {
    {PRESENCE_ROOM, "/"},     {PRESENCE_ROOM, "/a"},          {PRESENCE_ROOM, "b"},
    {PRESENCE_COUNTRY, "DE"}, {PRESENCE_SOURCE, "c.example"},
};

/* A count's field: none, a number, or something else. */
struct model_count {
    bool there, damaged;
    uint64_t number;
};

enum model_epoch { MODEL_EPOCH_RIGHT, MODEL_EPOCH_OTHER, MODEL_EPOCH_NONE };

struct model_site {
    struct model_count own;
    enum model_epoch epoch; /* of the site's own hash; none: there is no such key */
    struct model_count labels[MODEL_LABELS];
    bool refused[4];     /* by kind */
    const char *partial; /* NULL: no mark */
    int64_t heard_at;    /* 0: not quiet */
};

struct model_shard {
    bool exists, damaged;
    unsigned version, shards;
    bool window[MODEL_WINDOWS]; /* published */
    bool stale, unknown, warming, full;
    int64_t as_of;
    long long pttl;
    struct engine_stream streams[MODEL_STREAMS];
    size_t stream_count;
    enum model_epoch epoch[MODEL_WINDOWS]; /* of the hash of sites */
    struct model_site sites[MODEL_WINDOWS][MODEL_SITES];
};

struct model_group {
    char name[24];
    uint32_t shard_count;
    struct model_shard shards[MODEL_SHARDS];
};

struct model {
    struct model_group groups[MODEL_GROUPS];
    size_t group_count;
    unsigned faults; /* out of 100 */
    uint64_t *random;
};

static inline uint64_t model_below(struct model *model, uint64_t bound)
{
    return random_next(model->random) % bound;
}

/* True now and then: less often in a model with few faults. */
static inline bool model_fault(struct model *model)
{
    return model_below(model, 100) < model->faults;
}

static inline struct model_count model_draw_count(struct model *model)
{
    struct model_count count = {.there = model_below(model, 3) > 0};

    count.damaged = count.there && model_fault(model) && model_below(model, 4) == 0;
    count.number = 1 + model_below(model, 4);
    if (model_below(model, 40) == 0)
        count.number = UINT64_MAX - model_below(model, 3);
    return count;
}

static inline enum model_epoch model_draw_epoch(struct model *model)
{
    if (!model_fault(model) || model_below(model, 2))
        return MODEL_EPOCH_RIGHT;
    return model_below(model, 2) ? MODEL_EPOCH_OTHER : MODEL_EPOCH_NONE;
}

static inline void model_draw_site(struct model *model, struct model_shard *shard,
                                   struct model_site *site)
{
    static const char *const partial[] = {"n", "r", "c", "s", "rs", "nr", "1", ""};

    site->own = model_draw_count(model);
    site->epoch = model_draw_epoch(model);
    if (!site->own.there && model_below(model, 2))
        site->epoch = MODEL_EPOCH_NONE;
    for (size_t i = 0; i < MODEL_LABELS; i++)
        site->labels[i] = model_draw_count(model);
    for (size_t i = 1; i < 4; i++)
        site->refused[i] = model_fault(model);
    if (model_fault(model))
        site->partial = partial[model_below(model, LENGTH(partial))];
    if (model_below(model, 2))
        site->heard_at = shard->as_of - (int64_t)model_below(model, 200) + 10;
}

static inline void model_draw_stream(struct model *model, struct engine_stream *stream)
{
    stream->id = 1 + model_below(model, 3);
    stream->target = (uint16_t)model_below(model, 3);
    stream->age_s = model_fault(model) ? model_below(model, 9) : 0;
    stream->heartbeats = model_below(model, 3);
    stream->expected = 200 + model_below(model, 2);
    stream->expected_before = model_fault(model) ? 0 : 100 + model_below(model, 2);
    stream->lost = model_fault(model) ? (int64_t)model_below(model, 4) : 0;
    stream->lost_before = model_fault(model) ? (int64_t)model_below(model, 3) - 1 : 0;
}

static inline void model_draw_shard(struct model *model, uint32_t shards, struct model_shard *shard)
{
    static const unsigned windows[] = {3, 3, 3, 1, 2, 5, 4};
    unsigned published = windows[model_below(model, 3)];

    if (model_fault(model))
        published = windows[model_below(model, LENGTH(windows))];
    shard->exists = !model_fault(model);
    shard->damaged = model_fault(model) && model_fault(model);
    shard->version = model_fault(model) && model_fault(model) ? 2 : 1;
    shard->shards = model_fault(model) && model_fault(model) ? shards + 1 : shards;
    for (size_t i = 0; i < MODEL_WINDOWS; i++)
        shard->window[i] = published >> i & 1;
    shard->stale = model_fault(model);
    shard->unknown = model_fault(model);
    shard->warming = model_fault(model);
    shard->full = model_fault(model);
    shard->as_of = FAKE_NOW - (int64_t)model_below(model, 4);
    shard->pttl = ENGINE_LIFETIME_MS - (long long)model_below(model, 1000);
    if (model_fault(model))
        shard->pttl = ENGINE_LIFETIME_MS - 3998 - (long long)model_below(model, 5);
    if (model_fault(model) && model_fault(model))
        shard->pttl = model_below(model, 2) ? -1 : ENGINE_LIFETIME_MS + 1;
    shard->stream_count = model_below(model, MODEL_STREAMS + 1);
    for (size_t i = 0; i < shard->stream_count; i++)
        model_draw_stream(model, &shard->streams[i]);
    for (size_t i = 0; i < MODEL_WINDOWS; i++) {
        shard->epoch[i] = model_draw_epoch(model);
        for (size_t j = 0; j < MODEL_SITES; j++)
            model_draw_site(model, shard, &shard->sites[i][j]);
    }
}

/* Draw everything. `faults` of 100 things are wrong. */
static inline void model_draw(struct model *model, unsigned faults, uint64_t *random)
{
    *model = (struct model){.faults = faults, .random = random};
    model->group_count = 1 + model_below(model, MODEL_GROUPS);
    for (size_t i = 0; i < model->group_count; i++) {
        struct model_group *group = &model->groups[i];
        snprintf(group->name, sizeof(group->name), "g%zu", i);
        group->shard_count = 1 + (uint32_t)model_below(model, MODEL_SHARDS);
        for (uint32_t j = 0; j < group->shard_count; j++)
            model_draw_shard(model, group->shard_count, &group->shards[j]);
    }
}

/* ---- into the engine --------------------------------------------------------------------- */

static inline void model_write_count(const char *key, const char *field,
                                     const struct model_count *count)
{
    char value[32];

    snprintf(value, sizeof(value), count->damaged ? "%lluk" : "%llu",
             (unsigned long long)count->number);
    if (count->there)
        fake_set(key, field, value);
}

static inline void model_write_epoch(const char *key, enum model_epoch epoch)
{
    if (epoch != MODEL_EPOCH_NONE)
        fake_set(key, "", epoch == MODEL_EPOCH_RIGHT ? "00000000000000e1" : "00000000000000e2");
}

static inline void model_write_site(const char *key, const struct model_site *site)
{
    static const char *const refused[] = {"", "?r", "?c", "?s"};
    char value[32];

    if (site->epoch == MODEL_EPOCH_NONE)
        return;
    model_write_epoch(key, site->epoch);
    for (size_t i = 0; i < MODEL_LABELS; i++) {
        char field[ENGINE_FIELD_MAX];
        engine_field(model_labels[i].kind, "", model_labels[i].name, field);
        model_write_count(key, field, &site->labels[i]);
    }
    for (size_t i = 1; i < 4; i++) {
        if (site->refused[i])
            fake_set(key, refused[i], "1");
    }
    if (site->partial)
        fake_set(key, "?p", site->partial);
    snprintf(value, sizeof(value), "%lld", (long long)site->heard_at);
    if (site->heard_at)
        fake_set(key, "?q", value);
    fake_set(key, "r/x//y", "9"); /* none of these can be names */
    fake_set(key, "r", "9");
    fake_set(key, "r\xff", "9");
    fake_set_bytes(key, "r/\0z", 4, "9");
    fake_set(key, "cde", "9");
    fake_set(key, "cXX", "9");
    fake_set(key, "sUPPER.example", "9");
    fake_set(key, "z", "9");
}

static inline void model_write_state(const char *key, const struct model_shard *shard)
{
    char text[64] = "";
    char *streams;
    size_t length;

    snprintf(text, sizeof(text), "%u", shard->version);
    fake_set(key, "version", text);
    fake_set(key, "epoch", "00000000000000e1");
    snprintf(text, sizeof(text), "%u", shard->shards);
    fake_set(key, "shards", text);
    text[0] = '\0';
    for (size_t i = 0; i < MODEL_WINDOWS; i++) {
        if (shard->window[i])
            snprintf(text + strlen(text), 16, "%s%u", *text ? " " : "", model_windows[i]);
    }
    fake_set(key, "windows", text);
    fake_set(key, "stale", shard->stale ? "1" : "0");
    fake_set(key, "unknown", shard->unknown ? "1" : "0");
    fake_set(key, "warming", shard->warming ? "1" : "0");
    snprintf(text, sizeof(text), "%lld", (long long)shard->as_of);
    fake_set(key, "as_of", shard->damaged ? "now" : text);
    fake_set(key, "segment", "s");
    fake_set(key, "host", "h");
    engine_shard_format_streams(shard->streams, shard->stream_count, &streams, &length);
    fake_set(key, "streams", streams);
    free(streams);
    fake_set(key, "streams_full", shard->full ? "1" : "0");
    fake_expire(key, shard->pttl);
}

static inline void model_write_shard(const char *group, uint32_t number,
                                     const struct model_shard *shard)
{
    char key[ENGINE_KEY_MAX];

    engine_key_shard(group, number, key);
    if (shard->exists)
        model_write_state(key, shard);
    for (size_t i = 0; i < MODEL_WINDOWS; i++) {
        engine_key_sites(group, number, model_windows[i], key);
        model_write_epoch(key, shard->epoch[i]);
        for (size_t j = 0; j < MODEL_SITES; j++)
            model_write_count(key, model_sites[j], &shard->sites[i][j].own);
        fake_set(key, "Not.Lower", "9");
        for (size_t j = 0; j < MODEL_SITES; j++) {
            engine_key_site(group, number, model_windows[i], model_sites[j], key);
            model_write_site(key, &shard->sites[i][j]);
        }
    }
}

static inline void model_write(const struct model *model)
{
    fake_clear();
    for (size_t i = 0; i < model->group_count; i++) {
        const struct model_group *group = &model->groups[i];
        char shards[8];
        snprintf(shards, sizeof(shards), "%u", group->shard_count);
        fake_set(ENGINE_KEY_GROUPS, group->name, shards);
        for (uint32_t j = 0; j < group->shard_count; j++)
            model_write_shard(group->name, j + 1, &group->shards[j]);
    }
    fake_set(ENGINE_KEY_GROUPS, "no group", "2");
    fake_set(ENGINE_KEY_GROUPS, "none", "0");
    fake_set(ENGINE_KEY_GROUPS, "many", "65");
    fake_set(ENGINE_KEY_GROUPS, "", "1");
}

#endif

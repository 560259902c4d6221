#include "engine_listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/place.h"

/* A count in a shard. */
struct row {
    const char *name; /* in the reply */
    const redisReply *value;
    size_t shard; /* index into all of them */
};

/* An answer for a name. */
struct total {
    const char *name;
    uint64_t count;
    bool partial;
};

struct listing {
    enum presence_kind kind;
    size_t shard_count;
    struct engine_scope *absent; /* of each shard: a name that it doesn't have */
    struct engine_scope *scopes; /* of each shard: the name that is being answered for */
    struct row *rows;
    size_t row_count;
    struct total *totals;
    size_t total_count;
};

void engine_listing_ask(struct engine_request *request, const char *group, uint32_t shard,
                        uint32_t window_s, const struct engine_list *list)
{
    char key[ENGINE_KEY_MAX];

    engine_key_sites(group, shard, window_s, key);
    if (!list->site) {
        engine_request_add(request, "HGETALL", key, NULL);
        return;
    }
    engine_request_add(request, "HMGET", key, ENGINE_MARK_EPOCH, list->site, NULL);
    engine_key_site(group, shard, window_s, list->site, key);
    engine_request_add(request, "HGETALL", key, NULL);
}

/* Return the name of a field, or NULL if it is none in the form in which names are kept. */
static const char *parse_name(const redisReply *field, enum presence_kind kind)
{
    struct engine_text text = engine_reply_text(field);
    char given[PRESENCE_NAME_MAX + 2], kept[PRESENCE_NAME_MAX + 1];
    size_t prefix = kind == PRESENCE_SITE ? 0 : 1;
    bool valid = false;

    if (!engine_text_copy(text, given, sizeof(given)) || text.length <= prefix ||
        (prefix && given[0] != ENGINE_LETTERS[kind]))
        return NULL;
    if (kind == PRESENCE_SITE)
        valid = place_parse_site(given, kept);
    else if (kind == PRESENCE_ROOM)
        valid = place_parse_room(given + 1, kept);
    else if (kind == PRESENCE_COUNTRY)
        valid = place_parse_country(given + 1, kept);
    else
        valid = place_parse_source(given + 1, kept);
    return valid && strcmp(given + prefix, kept) == 0 ? text.bytes + prefix : NULL;
}

static size_t count_fields(const redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ARRAY ? reply->elements / 2 : 0;
}

static void add_rows(struct listing *listing, const redisReply *hash, size_t shard)
{
    for (size_t i = 0; i < count_fields(hash); i++) {
        const char *name = parse_name(hash->element[2 * i], listing->kind);
        if (name)
            listing->rows[listing->row_count++] =
                (struct row){name, hash->element[2 * i + 1], shard};
    }
}

/* Load a shard's replies: what an absent name is there, and all counts, if they can be believed. */
static void load_shard(struct listing *listing, const struct engine_shard *shard, size_t index,
                       redisReply *const *replies, bool of_site)
{
    const redisReply *sites = replies[0], *hash = of_site ? replies[1] : sites;
    struct engine_marks marks = engine_scope_find_marks(hash, listing->kind);
    struct engine_scope *absent = &listing->absent[index];

    if (of_site) {
        if (engine_scope_load_marks(shard, listing->kind, sites, &marks, absent))
            add_rows(listing, hash, index);
        return;
    }
    *absent = (struct engine_scope){
        .refused = shard->unknown,
        .evicted = !engine_text_is(marks.epoch, shard->epoch),
    };
    if (!absent->evicted)
        add_rows(listing, hash, index);
}

static int compare_rows(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    int by_name = strcmp(a->name, b->name);

    return by_name ? by_name : (a->shard > b->shard) - (a->shard < b->shard);
}

/* Answer for the name of the first of `count` rows, which are all of that name. */
static void add_total(struct listing *listing, const struct engine_state *state, uint32_t window_s,
                      int64_t now, const struct row *rows, size_t count, bool *evicted)
{
    struct engine_reading reading;

    memcpy(listing->scopes, listing->absent, listing->shard_count * sizeof(*listing->scopes));
    for (size_t i = 0; i < count; i++) {
        struct engine_scope *scope = &listing->scopes[rows[i].shard];
        scope->exists = engine_scope_load_count(rows[i].value, scope, &scope->count);
        evicted[rows[i].shard] |= scope->evicted;
    }
    engine_answer(state, listing->scopes, window_s, now, &reading);
    if (reading.exists)
        listing->totals[listing->total_count++] =
            (struct total){rows->name, reading.count, reading.partial};
}

static int compare_totals(const void *left, const void *right)
{
    const struct total *a = left, *b = right;

    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* Copy the busiest into the list. */
static int copy_entries(const struct listing *listing, struct engine_list *list)
{
    size_t length = listing->total_count;

    if (list->limit && list->limit < length)
        length = list->limit;
    struct engine_entry *entries = calloc(length + 1, sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    for (size_t i = 0; i < length; i++) {
        const struct total *total = &listing->totals[i];
        entries[i].count = total->count;
        entries[i].partial = total->partial;
        memcpy(entries[i].name, total->name, strlen(total->name));
    }
    list->entries = entries;
    list->length = length;
    list->total = listing->total_count;
    return 0;
}

/* Answer for the site itself, or without a site for none: that says how fresh the list is. */
static void answer_site(struct listing *listing, const struct engine_state *state,
                        redisReply *const *replies, uint32_t window_s, int64_t now,
                        struct engine_list *list)
{
    struct engine_reading absent;
    size_t index = 0;

    engine_answer(state, listing->absent, window_s, now, &absent);
    list->partial = absent.partial;
    list->reading = absent;
    if (!list->site)
        return;
    for (size_t i = 0; i < state->count; i++) {
        const struct engine_group *group = &state->groups[i];
        for (uint32_t j = 0; j < group->shard_count; j++, index++) {
            const redisReply *sites = replies[index * ENGINE_SCOPE_COMMANDS];
            const redisReply *hash = replies[index * ENGINE_SCOPE_COMMANDS + 1];
            struct engine_scope *scope = &listing->scopes[index];
            struct engine_marks marks = engine_scope_find_marks(hash, PRESENCE_SITE);
            engine_scope_load_marks(&group->shards[j].shard, PRESENCE_SITE, sites, &marks, scope);
            scope->exists =
                scope->has_site &&
                engine_scope_load_count(engine_reply_element(sites, 1), scope, &scope->count);
        }
    }
    engine_answer(state, listing->scopes, window_s, now, &list->reading);
}

/* Answer for all names, and take the busiest. */
static int answer_names(struct listing *listing, const struct engine_state *state,
                        uint32_t window_s, int64_t now, struct engine_list *list, bool *evicted)
{
    const struct row *rows = listing->rows;

    qsort(listing->rows, listing->row_count, sizeof(*rows), compare_rows);
    for (size_t first = 0, next; first < listing->row_count; first = next) {
        for (next = first;
             next < listing->row_count && strcmp(rows[next].name, rows[first].name) == 0;)
            next++;
        add_total(listing, state, window_s, now, &rows[first], next - first, evicted);
    }
    qsort(listing->totals, listing->total_count, sizeof(*listing->totals), compare_totals);
    return copy_entries(listing, list);
}

int engine_listing_make(const struct engine_state *state, redisReply *const *replies,
                        uint32_t window_s, int64_t now, struct engine_list *list, bool *evicted)
{
    size_t commands = list->site ? ENGINE_SCOPE_COMMANDS : 1, index = 0, fields = 0;
    struct listing listing = {.kind = list->site ? list->kind : PRESENCE_SITE};
    int r = -ENOMEM;

    listing.shard_count = engine_state_shards(state);
    for (size_t i = 0; i < listing.shard_count; i++)
        fields += count_fields(replies[(i + 1) * commands - 1]);
    listing.absent = calloc(listing.shard_count + 1, sizeof(*listing.absent));
    listing.scopes = calloc(listing.shard_count + 1, sizeof(*listing.scopes));
    listing.rows = calloc(fields + 1, sizeof(*listing.rows));
    listing.totals = calloc(fields + 1, sizeof(*listing.totals));
    if (!listing.absent || !listing.scopes || !listing.rows || !listing.totals)
        goto finish;
    for (size_t i = 0; i < state->count; i++) {
        const struct engine_group *group = &state->groups[i];
        for (uint32_t j = 0; j < group->shard_count; j++, index++) {
            if (!engine_shard_has(group, j, window_s))
                continue;
            load_shard(&listing, &group->shards[j].shard, index, &replies[index * commands],
                       list->site);
            evicted[index] |= listing.absent[index].evicted;
        }
    }
    answer_site(&listing, state, replies, window_s, now, list);
    r = answer_names(&listing, state, window_s, now, list, evicted);
finish:
    free(listing.totals);
    free(listing.rows);
    free(listing.scopes);
    free(listing.absent);
    return r;
}

void engine_list_free(struct engine_list *list)
{
    free(list->entries);
    list->entries = NULL;
    list->length = list->total = 0;
}

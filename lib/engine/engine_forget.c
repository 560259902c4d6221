/* engine_forget.c - remove a group's keys: what engine_reader_forget declares. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine_groups.h"
#include "engine_transaction.h"

/* What the keys of a group are found by. */
struct forgotten {
    struct engine_reader *reader;
    const char *group;
    int64_t deadline_ns;
    uint64_t connections; /* so many had been made when the owners were watched */
    struct {
        uint32_t shard, window_s;
    } windows[ENGINE_SHARDS_MAX * ENGINE_WINDOWS_MAX]; /* that shards publish */
    size_t window_count;
};

/* Watch the owners of all shards that there could be, and read the states' windows. */
static void ask_shards(struct engine_request *request, const char *group)
{
    char key[ENGINE_KEY_MAX];

    engine_request_clear(request);
    engine_request_begin(request, 1 + ENGINE_SHARDS_MAX);
    engine_request_text(request, "WATCH");
    for (uint32_t k = 1; k <= ENGINE_SHARDS_MAX; k++) {
        engine_key_owner(group, k, key);
        engine_request_text(request, key);
    }
    engine_request_add(request, "HEXISTS", ENGINE_KEY_GROUPS, group, NULL);
    for (uint32_t k = 1; k <= ENGINE_SHARDS_MAX; k++) {
        engine_key_owner(group, k, key);
        engine_request_add(request, "EXISTS", key, NULL);
        engine_key_shard(group, k, key);
        engine_request_add(request, "HGET", key, engine_shard_fields[SHARD_FIELD_WINDOWS], NULL);
    }
}

static void load_windows(struct forgotten *forgotten, uint32_t shard, struct engine_text windows)
{
    for (unsigned i = 0; windows.bytes && i < ENGINE_WINDOWS_MAX; i++) {
        uint64_t window_s;
        if (!engine_text_number(engine_text_cut(&windows, ' '), PLACE_WINDOW_MAX, &window_s))
            return;
        forgotten->windows[forgotten->window_count].shard = shard;
        forgotten->windows[forgotten->window_count++].window_s = (uint32_t)window_s;
    }
}

static int find_shards(struct forgotten *forgotten)
{
    struct engine_reader *reader = forgotten->reader;
    redisReply **replies;

    ask_shards(&reader->request, forgotten->group);
    size_t count = reader->request.commands;
    int r = engine_transaction_call(reader, forgotten->deadline_ns, &replies);
    if (r < 0)
        return r;
    if (replies[1]->type != REDIS_REPLY_INTEGER || replies[1]->integer == 0)
        r = engine_reader_fail(reader, -ENOENT, "it has no such group");
    for (uint32_t k = 1; r == 0 && k <= ENGINE_SHARDS_MAX; k++) {
        const redisReply *owner = replies[2 * k];
        if (owner->type != REDIS_REPLY_INTEGER || owner->integer != 0)
            r = engine_reader_fail(reader, -EBUSY,
                                   "a shard of the group is still being published: stop its "
                                   "presence-publisher first");
        load_windows(forgotten, k, engine_reply_text(replies[2 * k + 1]));
    }
    engine_replies_free(replies, count);
    return r;
}

/* Read all sites in all windows; `*ret`, one reply for each, is to be freed. */
static int find_sites(struct forgotten *forgotten, redisReply ***ret)
{
    struct engine_request *request = &forgotten->reader->request;

    engine_request_clear(request);
    request->same_connection = true; /* that watches */
    for (size_t i = 0; i < forgotten->window_count; i++) {
        char key[ENGINE_KEY_MAX];
        engine_key_sites(forgotten->group, forgotten->windows[i].shard,
                         forgotten->windows[i].window_s, key);
        engine_request_add(request, "HKEYS", key, NULL);
    }
    return engine_transaction_call(forgotten->reader, forgotten->deadline_ns, ret);
}

static void add_delete(struct engine_request *request, const char *key)
{
    engine_request_add(request, "UNLINK", key, NULL);
}

/* Add a command for each key of a window's sites, and for the window's own. */
static void delete_window(struct forgotten *forgotten, size_t index, const redisReply *sites)
{
    struct engine_request *request = &forgotten->reader->request;
    uint32_t shard = forgotten->windows[index].shard;
    uint32_t window_s = forgotten->windows[index].window_s;
    char key[ENGINE_KEY_MAX];

    for (size_t i = 0; sites->type == REDIS_REPLY_ARRAY && i < sites->elements; i++) {
        char site[PLACE_SITE_MAX + 1];
        if (!engine_text_copy(engine_reply_text(sites->element[i]), site, sizeof(site)) || !*site)
            continue;
        engine_key_site(forgotten->group, shard, window_s, site, key);
        add_delete(request, key);
    }
    engine_key_sites(forgotten->group, shard, window_s, key);
    add_delete(request, key);
}

/* Remove everything in one transaction, unless a publisher has come since the owners were watched.
 */
static int delete_all(struct forgotten *forgotten, redisReply *const *sites, uint64_t *ret_keys)
{
    struct engine_reader *reader = forgotten->reader;
    struct engine_transaction transaction;
    uint64_t keys = 0;

    engine_transaction_begin(reader);
    reader->request.same_connection = true;
    engine_request_add(&reader->request, "HDEL", ENGINE_KEY_GROUPS, forgotten->group, NULL);
    for (uint32_t k = 1; k <= ENGINE_SHARDS_MAX; k++) {
        char key[ENGINE_KEY_MAX];
        engine_key_shard(forgotten->group, k, key);
        add_delete(&reader->request, key);
    }
    for (size_t i = 0; i < forgotten->window_count; i++)
        delete_window(forgotten, i, sites[i]);
    int r = engine_transaction_run(reader, forgotten->deadline_ns, &transaction);
    if (r == -ECANCELED)
        return engine_reader_fail(reader, -EBUSY,
                                  "a publisher of the group has just started: stop it first");
    if (r < 0)
        return r;
    for (size_t i = 1; i < transaction.count; i++)
        keys += transaction.replies[i]->type == REDIS_REPLY_INTEGER &&
                transaction.replies[i]->integer == 1;
    engine_transaction_free(&transaction);
    *ret_keys = keys;
    return 0;
}

int engine_reader_forget(struct engine_reader *reader, const char *group, int64_t deadline_ns,
                         uint64_t *ret_keys)
{
    struct forgotten forgotten = {
        .reader = reader,
        .group = group,
        .deadline_ns = deadline_ns,
    };
    redisReply **sites = NULL;

    reader->problem = "";
    if (!engine_is_group(group))
        return engine_reader_fail(reader, -ENOENT, "it has no such group");
    int r = find_shards(&forgotten);
    if (r == 0 && forgotten.window_count > 0)
        r = find_sites(&forgotten, &sites);
    if (r == 0)
        r = delete_all(&forgotten, sites, ret_keys);
    if (sites)
        engine_replies_free(sites, forgotten.window_count);
    if (r < 0)
        engine_link_reset(reader->link); /* it watches no longer */
    return r;
}

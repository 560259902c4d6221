#include "leftovers.h"

#include <stdlib.h>
#include <string.h>

#include "common/place.h"
#include "engine/engine_groups.h"

#define KEYS_MAX       512 /* of one command */
#define STATE_COMMANDS 2

/* Parse the windows of a state, such as "60 300": what is no window of ours ends them. */
static unsigned parse_windows(const char *text, uint32_t ret[ENGINE_WINDOWS_MAX])
{
    unsigned count = 0;
    char *end;

    while (count < ENGINE_WINDOWS_MAX) {
        unsigned long window = strtoul(text, &end, 10);
        if (end == text || window < 1 || window > PLACE_WINDOW_MAX)
            break;
        ret[count++] = (uint32_t)window;
        text = end;
    }
    return count;
}

static void ask_state(const struct transaction *transaction, struct engine_request *request)
{
    char key[ENGINE_KEY_MAX];

    engine_key_shard(transaction->group, transaction->shard, key);
    engine_request_begin(request, 2 + SHARD_FIELD_COUNT);
    engine_request_text(request, "HMGET");
    engine_request_text(request, key);
    for (size_t i = 0; i < SHARD_FIELD_COUNT; i++)
        engine_request_text(request, engine_shard_fields[i]);
    engine_request_add(request, "PTTL", key, NULL);
}

int leftovers_load(const struct transaction *transaction, int64_t deadline_ns,
                   struct leftovers *ret)
{
    struct leftovers leftovers = {0};
    struct engine_request request = {0};
    char key[ENGINE_KEY_MAX];

    leftovers.count = parse_windows(transaction->look.windows, leftovers.windows);
    for (unsigned i = 0; i < leftovers.count; i++) {
        engine_key_sites(transaction->group, transaction->shard, leftovers.windows[i], key);
        engine_request_add(&request, "HKEYS", key, NULL);
    }
    ask_state(transaction, &request);
    request.same_connection = true;
    int r = engine_link_call(transaction->link, &request, deadline_ns, &leftovers.sites);
    engine_request_free(&request);
    if (r < 0)
        return r;
    redisReply *const *state = &leftovers.sites[leftovers.count];
    r = engine_groups_load(state[0], state[1], transaction->shards, &leftovers.state);
    if (r < 0)
        leftovers_free(&leftovers);
    else
        *ret = leftovers;
    return r;
}

/* Add the key of a site's reply to a command; of what is no site, the list's own. */
static void add_key(const struct leftovers *leftovers, unsigned window, const redisReply *site,
                    struct transaction *transaction)
{
    char name[PLACE_SITE_MAX + 1], key[ENGINE_KEY_MAX];
    bool is_name = site->type == REDIS_REPLY_STRING && site->len > 0 &&
                   site->len <= PLACE_SITE_MAX && !memchr(site->str, '\0', site->len);

    if (is_name) {
        memcpy(name, site->str, site->len);
        name[site->len] = '\0';
        engine_key_site(transaction->group, transaction->shard, leftovers->windows[window], name,
                        key);
    } else {
        engine_key_sites(transaction->group, transaction->shard, leftovers->windows[window], key);
    }
    engine_request_text(&transaction->request, key);
}

void leftovers_add(const struct leftovers *leftovers, struct transaction *transaction)
{
    for (unsigned window = 0; window < leftovers->count; window++) {
        const redisReply *sites = leftovers->sites[window];
        size_t count = sites->type == REDIS_REPLY_ARRAY ? sites->elements : 0;
        for (size_t first = 0; first < count; first += KEYS_MAX) {
            size_t keys = count - first < KEYS_MAX ? count - first : KEYS_MAX;
            engine_request_begin(&transaction->request, 1 + keys);
            engine_request_text(&transaction->request, "UNLINK");
            for (size_t i = first; i < first + keys; i++)
                add_key(leftovers, window, sites->element[i], transaction);
        }
    }
}

void leftovers_inherit(const struct leftovers *leftovers, const char *segment,
                       struct stream_figures *figures)
{
    const struct engine_shard *shard = &leftovers->state.shard;

    if (strcmp(shard->segment, segment) == 0)
        stream_figures_inherit(figures, shard->streams, shard->stream_count,
                               leftovers->state.age_ms / 1000);
}

void leftovers_free(struct leftovers *leftovers)
{
    if (leftovers->sites)
        engine_replies_free(leftovers->sites, leftovers->count + STATE_COMMANDS);
    engine_shard_free(&leftovers->state.shard);
    *leftovers = (struct leftovers){0};
}

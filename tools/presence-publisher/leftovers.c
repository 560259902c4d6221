#include "leftovers.h"

#include <stdlib.h>
#include <string.h>

#include "common/place.h"

#define KEYS_MAX 512 /* of one command */

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

int leftovers_load(const struct transaction *transaction, int64_t deadline_ns,
                   struct leftovers *ret)
{
    struct leftovers leftovers = {0};
    struct engine_request request = {0};
    char key[ENGINE_KEY_MAX];
    int r = 0;

    leftovers.count = parse_windows(transaction->look.windows, leftovers.windows);
    for (unsigned i = 0; i < leftovers.count; i++) {
        engine_key_sites(transaction->group, transaction->shard, leftovers.windows[i], key);
        engine_request_add(&request, "HKEYS", key, NULL);
    }
    request.same_connection = true;
    if (leftovers.count)
        r = engine_link_call(transaction->link, &request, deadline_ns, &leftovers.sites);
    engine_request_free(&request);
    if (r == 0)
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

void leftovers_free(struct leftovers *leftovers)
{
    if (leftovers->sites)
        engine_replies_free(leftovers->sites, leftovers->count);
    *leftovers = (struct leftovers){0};
}

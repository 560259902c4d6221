/* engine_listing.h - list all sites, or a site's rooms, countries or sources: each name that a
 * shard has gets its own answer (R9). Any thread. */
#ifndef PRESENCE_ENGINE_LISTING_H
#define PRESENCE_ENGINE_LISTING_H

#include "engine_scope.h"

/* Add the commands for a list in one shard: ENGINE_SCOPE_COMMANDS of a site's labels, one of all
 * sites. */
void engine_listing_ask(struct engine_request *request, const char *group, uint32_t shard,
                        uint32_t window_s, const struct engine_list *list);

/* Make a list of the replies, `replies` being those of all shards one after the other, and set
 * `evicted` of each shard whose counts are gone. Sites have no marks yet. `now` is Unix seconds.
 * Release the entries with engine_list_free. Errors: -ENOMEM. */
int engine_listing_make(const struct engine_state *state, redisReply *const *replies,
                        uint32_t window_s, int64_t now, struct engine_list *list, bool *evicted);

#endif

/* engine_scope.h - what the hashes of a shard say about a scope: which commands ask, and what their
 * replies mean. Any thread. */
#ifndef PRESENCE_ENGINE_SCOPE_H
#define PRESENCE_ENGINE_SCOPE_H

#include "engine_answer.h"
#include "engine_groups.h"

/* Add HGETALL {presence}:groups, and for each shard HMGET and PTTL of its state. */
void engine_scope_ask_states(struct engine_request *request, const struct engine_state *state);

/* Add the commands for one scope in one shard; there are ENGINE_SCOPE_COMMANDS. */
#define ENGINE_SCOPE_COMMANDS 2
void engine_scope_ask(struct engine_request *request, const char *group, uint32_t shard,
                      uint32_t window_s, enum presence_kind kind, const char *site,
                      const char *name);

/* Load what the two replies say. */
void engine_scope_load(const struct engine_shard *shard, enum presence_kind kind,
                       const redisReply *sites, const redisReply *site, struct engine_scope *ret);

/* Load a count. False: there is none, or it is damaged, which `scope` then says. */
bool engine_scope_load_count(const redisReply *reply, struct engine_scope *scope, uint64_t *ret);

/* The fields of a site's hash that are no counts. */
struct engine_marks {
    struct engine_text epoch, refused, partial, last_heartbeat;
};

/* Find the marks in the reply to HGETALL of a site's hash. */
struct engine_marks engine_scope_find_marks(const redisReply *reply, enum presence_kind kind);

/* Load everything about a scope but its own count, as if it had none. `sites` is the reply to HMGET
 * of the epoch and the site's count. False: the site has no hash, so that it has no labels. */
bool engine_scope_load_marks(const struct engine_shard *shard, enum presence_kind kind,
                             const redisReply *sites, const struct engine_marks *marks,
                             struct engine_scope *ret);

#endif

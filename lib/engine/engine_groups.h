/* engine_groups.h - the groups and the states of their shards, as the engine replies. Replies are
 * hostile: they may have any type, length and bytes. Any thread. */
#ifndef PRESENCE_ENGINE_GROUPS_H
#define PRESENCE_ENGINE_GROUPS_H

#include "engine_reader.h"

/* Return the bytes of a reply, or none if it is no string. They live as long as the reply. */
struct engine_text engine_reply_text(const redisReply *reply);

/* Return an array's element, or NULL if the reply is no array, or has no such one. */
const redisReply *engine_reply_element(const redisReply *reply, size_t index);

/* Parse the reply to HGETALL {presence}:groups: the groups by name, their shards still zero. What
 * is no name or no number of shards is skipped. Release `*ret` with engine_state_free. Errors:
 * -EPROTO it is no hash; -EMSGSIZE over ENGINE_GROUPS_MAX; -ENOMEM. */
int engine_groups_parse(const redisReply *reply, struct engine_state *ret);

/* True if both have the same groups, with as many shards. */
bool engine_groups_are_same(const struct engine_state *a, const struct engine_state *b);

/* Copy the groups with their shards, but none of the shards' states. Errors: -ENOMEM. */
int engine_groups_copy(const struct engine_state *state, struct engine_state *ret);

/* Fill in a shard of a group with `shard_count` from the replies to HMGET (all fields of the state,
 * in the order of engine_shard_fields) and PTTL. Errors: -ENOMEM. */
int engine_groups_load(const redisReply *fields, const redisReply *pttl, uint32_t shard_count,
                       struct engine_shard_state *ret);

/* Find out what fresh shards lack, once all are loaded, and mark the groups. Errors: -ENOMEM. */
int engine_groups_judge(struct engine_state *state);

void engine_state_free(struct engine_state *state);

#endif

/* engine_json.h - JSON of groups of collectors and their shards, the same in all programs. */
#ifndef PRESENCE_ENGINE_JSON_H
#define PRESENCE_ENGINE_JSON_H

#include <jansson.h>

#include "engine_reader.h"

/* Return the word for a shard's state: "fresh", "absent", "silent", "stale", "disagrees",
 * "unreadable" or "evicted". */
const char *engine_shard_word(enum engine_shard_problem problem);

/* Build an array of an object for each group. What is not known of a shard is null; visitors are 0
 * unless the poll asked for them. Any thread. */
json_t *engine_build_groups(const struct engine_state *state);

#endif

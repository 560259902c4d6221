/* engine_answer.h - the one answer that R9 makes of all shards of all groups. No connection, no
 * clock: what was read goes in, the answer comes out. Any thread. */
#ifndef PRESENCE_ENGINE_ANSWER_H
#define PRESENCE_ENGINE_ANSWER_H

#include "engine_reader.h"

/* What the hashes of one shard say about one scope. Zeroed: nobody is there, nor was refused. */
struct engine_scope {
    uint64_t count;   /* with `exists` */
    bool exists;      /* it has a number */
    bool refused;     /* without a number it is unknown (R6) */
    bool partial;     /* its number is a lower bound */
    bool has_site;    /* its site has a number */
    bool quiet;       /* the site's last heartbeat was over 60 s before the tick */
    bool evicted;     /* counts are gone, or damaged: don't believe the shard */
    int64_t heard_at; /* Unix seconds of that heartbeat; with `quiet` */
};

/* Return the number of shards in all groups. Arrays of scopes have so many, in the order of the
 * groups and their shards. */
size_t engine_state_shards(const struct engine_state *state);

/* True if a shard's state is there, can be believed, and publishes the window, fresh or not. */
bool engine_shard_has(const struct engine_group *group, uint32_t shard, uint32_t window_s);

/* Answer for a scope and window; `scopes` NULL: for none, that is how fresh an answer would be.
 * `now` is Unix seconds, for the age of what is stale. */
void engine_answer(const struct engine_state *state, const struct engine_scope *scopes,
                   uint32_t window_s, int64_t now, struct engine_reading *ret);

#endif

/* engine_poll.h - one attempt of a poll: which commands it sends, and what their replies answer. No
 * connection and no clock. Any thread. */
#ifndef PRESENCE_ENGINE_POLL_H
#define PRESENCE_ENGINE_POLL_H

#include "engine_reader.h"

struct engine_attempt {
    struct engine_poll *poll;   /* gets the answers */
    int64_t now;                /* Unix seconds */
    uint32_t default_window_s;  /* that was asked for where a window is 0; then what it should be */
    struct engine_state state;  /* as found */
    size_t shard_count;         /* in it */
    redisReply *const *replies; /* those that are still to be loaded */
    bool *evicted;              /* by shard: counts of it are gone */
};

/* Add the commands of a poll, by the groups and windows that are known from the attempt before. */
void engine_poll_ask(struct engine_request *request, const struct engine_state *known,
                     uint32_t default_window_s, const struct engine_poll *poll);

/* Answer by the replies to these commands, one for each. With any error lists may have entries that
 * are to be freed. Errors: -ESTALE the groups are others than were known when asking, or other
 * windows are wanted: ask again by `attempt->state`; -ENODATA no shard has a state; -EPROTO the
 * registry is no hash; -EMSGSIZE; -ENOMEM. Always release `attempt->state`. */
int engine_poll_answer(struct engine_attempt *attempt, const struct engine_state *asked,
                       redisReply *const *replies);

#endif

/* leftovers.h - find what the last publisher of a shard has left behind: the keys of sites, and
 * what it knew of streams. One thread at a time. */
#ifndef PRESENCE_PUBLISHER_LEFTOVERS_H
#define PRESENCE_PUBLISHER_LEFTOVERS_H

#include "engine/engine_link.h"
#include "engine/engine_reader.h"
#include "stream_figures.h"
#include "transaction.h"

/* The names of sites that have counts, by window, and the state. Zeroed: none. */
struct leftovers {
    uint32_t windows[ENGINE_WINDOWS_MAX];
    unsigned count;
    redisReply **sites;              /* by window, then those of the state */
    struct engine_shard_state state; /* zero if there is none */
};

/* Ask the engine, within the connection of the last look, for the state, and for the sites of the
 * windows that the look has found. Release them with leftovers_free. Errors: as engine_link_call.
 */
int leftovers_load(const struct transaction *transaction, int64_t deadline_ns,
                   struct leftovers *ret);

/* Add commands that delete their keys, and those of their lists. */
void leftovers_add(const struct leftovers *leftovers, struct transaction *transaction);

/* Let the figures go on from the last publisher's, if that read the same segment. */
void leftovers_inherit(const struct leftovers *leftovers, const char *segment,
                       struct stream_figures *figures);

void leftovers_free(struct leftovers *leftovers);

#endif

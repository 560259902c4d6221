/* leftovers.h - find the keys of sites that the last publisher of a shard has left behind. One
 * thread at a time. */
#ifndef PRESENCE_PUBLISHER_LEFTOVERS_H
#define PRESENCE_PUBLISHER_LEFTOVERS_H

#include "engine/engine_link.h"
#include "transaction.h"

/* The names of sites that have counts, by window. Zeroed: none. */
struct leftovers {
    uint32_t windows[ENGINE_WINDOWS_MAX];
    unsigned count;
    redisReply **sites; /* by window */
};

/* Ask the engine, within the connection of the last look, for the sites of the windows that this
 * has found. Release them with leftovers_free. Errors: as engine_link_call. */
int leftovers_load(const struct transaction *transaction, int64_t deadline_ns,
                   struct leftovers *ret);

/* Add commands that delete their keys, and those of their lists. */
void leftovers_add(const struct leftovers *leftovers, struct transaction *transaction);

void leftovers_free(struct leftovers *leftovers);

#endif

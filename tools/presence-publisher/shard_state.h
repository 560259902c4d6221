/* shard_state.h - commands that write the state of a shard (engine_shard.h). One thread at a time.
 */
#ifndef PRESENCE_PUBLISHER_SHARD_STATE_H
#define PRESENCE_PUBLISHER_SHARD_STATE_H

#include "presence/scan.h"
#include "stream_figures.h"
#include "transaction.h"

/* What the state says beside what the transaction knows. */
struct shard_state {
    const char *epoch, *segment;
    const struct scan *scan;
    const struct stream_figures *figures;
    bool streams_full;
};

/* Add commands that write the state as a whole. Errors: -ENOMEM. */
int shard_state_add(struct transaction *transaction, const struct shard_state *state);

/* Add commands that mark the state as stale, if there was one when the transaction looked. */
void shard_state_add_stale(struct transaction *transaction);

#endif

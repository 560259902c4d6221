/* relay.h - receive heartbeats and pass them on, in the worker's thread. */
#ifndef PRESENCE_RELAY_RELAY_H
#define PRESENCE_RELAY_RELAY_H

#include "receive/worker.h"
#include "routes.h"

struct relay;

/* Open a relay that holds heartbeats for at most `hold_ms` and counts what arrives in `counts`,
 * which outlives it. It owns `routes` from then on. Errors: those of decoder_open. */
int relay_open(const struct networks *allowed, uint32_t hold_ms, struct routes *routes,
               struct decoder_counts *counts, struct relay **ret);

/* Send what is queued, and free everything. No worker may be running. NULL is fine. */
void relay_close(struct relay *relay);

/* Return what a worker needs. */
struct worker_handler relay_handler(struct relay *relay);

/* Go on with other routes: those in use send what is queued and are closed. Any thread but the
 * worker's. Wake its receiver afterwards. */
void relay_replace_routes(struct relay *relay, struct routes *routes);

#endif

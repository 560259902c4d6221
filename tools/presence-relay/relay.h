/* relay.h - receive heartbeats and pass them on, in the worker's thread. */
#ifndef PRESENCE_RELAY_RELAY_H
#define PRESENCE_RELAY_RELAY_H

#include "receive/worker.h"
#include "routes.h"

struct relay;

/* The settings of a relay that SIGHUP changes. */
struct relay_setup {
    struct routes *routes; /* NULL: those that are in use */
    struct networks allowed;
    uint32_t hold_ms;
};

/* Open a setup that does what the options say, signs with `key` unless its id is 0, and records in
 * `accounts`. Without `with_routes` the routes in use stay. Errors, with a line in the log: those
 * of routes_open; -ENOMEM. */
int relay_setup_open(const struct options *options, const struct key *key,
                     struct accounts *accounts, bool with_routes, struct relay_setup **ret);

/* Send what is queued, and free everything. NULL is fine. */
void relay_setup_close(struct relay_setup *setup);

/* Open a relay that counts what arrives in `counts`, which outlive it. It owns `setup`, which has
 * routes, from then on. Errors: those of decoder_open. */
int relay_open(struct relay_setup *setup, struct decoder_counts *counts, struct relay **ret);

/* Send what is queued. No worker may be running. */
void relay_flush(struct relay *relay);

/* Send what is queued, and free everything. No worker may be running. NULL is fine. */
void relay_close(struct relay *relay);

/* Return what a worker needs. */
struct worker_handler relay_handler(struct relay *relay);

/* Go on with another setup before the next datagram. Routes that it replaces send what is queued
 * first, and are closed. The relay owns it from now on. One thread at a time, not the worker's;
 * wake its receiver afterwards. */
void relay_replace(struct relay *relay, struct relay_setup *setup);

#endif

/* lookup.h - the scopes that a heartbeat names: found, or created.
 *
 * Neighbouring heartbeats often name the same site, and without rooms nothing else. What the one
 * before named is held by the batch, and compared first: without hashing, and without the chain.
 */
#ifndef PRESENCED_LOOKUP_H
#define PRESENCED_LOOKUP_H

#include "directory.h"
#include "core/wire.h"

/* One a worker. */
struct lookup {
    struct directory_writer *directory;
    uint32_t last[SCOPE_KINDS]; /* held by the batch; SCOPE_NONE where there is none */
};

/* What there was no room for. */
struct lookup_refusals {
    uint32_t directory_full; /* how many scopes the directory had no room for */
    uint32_t site_full;      /* a bit for each kind that the site has as many of as it may */
};

/* A batch begins: what the one before it held may be gone. */
void lookup_begin(struct lookup *lookup);

/* Find, or create if `now` is not NULL, all scopes that a heartbeat names. `scopes`, by kind, holds
 * their indexes, SCOPE_NONE where there is nothing to count. Inside a batch. */
struct lookup_refusals lookup_scopes(struct lookup *lookup, const struct wire_heartbeat *heartbeat,
                                     const uint64_t *now, uint32_t scopes[SCOPE_KINDS]);

#endif

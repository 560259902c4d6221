/* lookup.h - find or create the scopes that a heartbeat names.
 *
 * A scope is first compared with the one of the previous heartbeat, which the batch holds. If it is
 * the same, nothing is hashed and no chain is walked.
 */
#ifndef PRESENCED_LOOKUP_H
#define PRESENCED_LOOKUP_H

#include "core/wire.h"
#include "directory.h"

/* One per worker. */
struct lookup {
    struct directory_writer *directory;
    uint32_t last[SCOPE_KINDS]; /* the previous heartbeat's, held by the batch; SCOPE_NONE: none */
};

/* The scopes that had no room, a bit for each kind. */
struct lookup_refusals {
    uint32_t directory_full; /* the directory is full */
    uint32_t site_full;      /* the site has as many as it may */
};

/* Begin a batch: scopes that the previous one held may be gone. */
void lookup_begin(struct lookup *lookup);

/* What is known ahead of a heartbeat's lookup, in the same batch. */
struct lookup_ahead {
    uint32_t site; /* SCOPE_NONE: nothing is known */
    struct {
        uint64_t hash;
        uint32_t first;    /* entry of its chain; SCOPE_NONE: unknown */
    } labels[SCOPE_KINDS]; /* those that it names */
};

/* Find the site of a heartbeat, hash its labels, and prefetch where their chains begin. Inside a
 * batch. */
void lookup_hash(struct lookup *lookup, const struct wire_heartbeat *heartbeat,
                 struct lookup_ahead *ret);

/* Prefetch the first entries of the labels' chains. Inside the same batch. */
void lookup_fetch(const struct lookup *lookup, const struct wire_heartbeat *heartbeat,
                  struct lookup_ahead *ahead);

/* Find, or create if `now` is not NULL, all scopes that a heartbeat names. Sets `scopes`, by kind,
 * to their indexes, or SCOPE_NONE where there is nothing to count. `ahead`, which may be NULL, is
 * what lookup_hash and lookup_fetch have returned for this heartbeat in this batch. Inside a batch.
 */
struct lookup_refusals lookup_scopes(struct lookup *lookup, const struct wire_heartbeat *heartbeat,
                                     const struct lookup_ahead *ahead, const uint64_t *now,
                                     uint32_t scopes[SCOPE_KINDS]);

#endif

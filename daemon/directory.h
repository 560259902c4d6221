/* directory.h - create, hold and retire scopes in the segment's directory. */
#ifndef PRESENCED_DIRECTORY_H
#define PRESENCED_DIRECTORY_H

#include <pthread.h>

#include "core/scope_name.h"
#include "core/segment.h"

/* Returned where a site has as many scopes of the kind as it may. */
#define DIRECTORY_SITE_FULL (SCOPE_NONE - 1)

struct directory_writer {
    struct segment *segment;
    struct segment_counters *counters; /* the maintenance block; by atomic additions */
    pthread_mutex_t mutex;             /* names, links, and all below */
    uint32_t *free;                    /* indexes of free entries, a stack */
    uint32_t free_count;
    uint32_t used;             /* entries from this index on were never used; only rises */
    uint32_t *labels;          /* by site: rooms, countries and sources */
    uint32_t *rooms, *sources; /* by site: those of these kinds */
    uint32_t labels_max;       /* of one kind in a site; set before any worker runs; 0: no limit */
    pthread_mutex_t retiring;  /* one retirement at a time; taken before `mutex` */
    uint32_t *candidates;      /* of the running retirement */
};

/* Wait until every worker has passed a batch boundary. */
typedef void (*directory_grace)(void *context);

/* Adopt the directory of an attached segment: link what a killed daemon had named but not linked,
 * and collect the free entries. -ENOMEM. Not thread-safe. */
int directory_open(struct segment *segment, struct directory_writer *ret);

void directory_close(struct directory_writer *writer);

/* Return how many entries from the first on may be in use: the others are free. Any thread. */
uint32_t directory_used(const struct directory_writer *writer);

/* Find a scope, or create it if `now` is not NULL. It can't be retired while the calling worker's
 * batch lasts. Returns SCOPE_NONE if it does not exist or, when creating, the directory is full;
 * DIRECTORY_SITE_FULL only when creating. Any worker, inside a batch. */
uint32_t directory_hold(struct directory_writer *writer, const struct scope_name *name,
                        const uint64_t *now);

/* Retire the scopes among `count` entries from `first` (wrapping) that had no heartbeat for longer
 * than the longest window. Returns how many. Any thread outside a batch; waits for the others. */
uint32_t directory_retire(struct directory_writer *writer, uint64_t now, uint32_t first,
                          uint32_t count, directory_grace grace, void *context);

#endif

/* publisher.h - write what a collector counts into Redis or Valkey, as one shard of a group, and
 * only what has changed. One thread at a time.
 *
 * The engine is never waited for longer than ENGINE_PATIENCE_MS a turn. Each change for better or
 * worse is logged once.
 */
#ifndef PRESENCE_PUBLISHER_PUBLISHER_H
#define PRESENCE_PUBLISHER_PUBLISHER_H

#include "common/segment_source.h"
#include "leftovers.h"
#include "mirror.h"
#include "options.h"
#include "stream_figures.h"
#include "transaction.h"

#define PUBLISHER_POLL_MS     100 /* between two turns */
#define PUBLISHER_STATUS_SIZE 200

/* A text of a problem, as it was logged last; "": there is none. */
struct publisher_trouble {
    char text[ENGINE_PROBLEM_SIZE + 64];
};

/* The segment, as the last turn has found it. */
struct publisher_moment {
    bool exists, stale, warming;
    uint64_t tick;
    uint32_t streams_max;
    bool streams_full;
    char identity[SCAN_IDENTITY_SIZE];
};

/* Another publisher that owns the shard. */
struct publisher_rival {
    char owner[TRANSACTION_OWNER_SIZE]; /* "": none */
    int64_t owner_ms;
};

struct publisher {
    const struct options *options;
    struct segment_source source;
    struct presence *presence; /* the source's; NULL: there is no segment */
    struct publisher_moment moment;
    struct engine_link *link;
    struct transaction transaction;
    struct stream_figures figures;
    struct publisher_rival rival;
    struct publisher_trouble trouble;

    /* What the engine has. */
    struct mirror mirror;
    char epoch[ENGINE_EPOCH_SIZE];
    char identity[SCAN_IDENTITY_SIZE]; /* of the segment that the mirror is for */
    uint64_t connection;               /* through which it was written */
    uint64_t evicted;                  /* by then */
    bool needs_anew;                   /* nothing that the engine has is believed */
    bool has_written;                  /* all of it at least once */
    bool owns;                         /* the shard is ours, as far as we know */
    struct publisher_moment written;
    int64_t written_ns; /* when it was last written */
    unsigned slot;      /* the next whose keys are renewed */

    int64_t deadline_ns;       /* until when this turn waits for the engine */
    int64_t next_ns, pause_ns; /* when the engine is tried again, and after which pause */
    bool is_publishing;        /* the last attempt has succeeded */
    bool has_left_out;         /* a window that is too long, as it was logged */
    bool was_evicted;          /* likewise */
    int64_t lost_ns;           /* when the engine had last lost everything; 0: never */
    uint32_t registered;       /* another number of shards, likewise; 0: ours */
};

/* Read the password file, and prepare; nothing is connected yet, and the segment may be missing.
 * `options` must outlive it. Release it with publisher_close. On failure one line says why. */
int publisher_open(const struct options *options, struct publisher *ret);
void publisher_close(struct publisher *publisher);

/* Look at the segment, and write if there is something to write. Call it every PUBLISHER_POLL_MS.
 * Returns -EBUSY if another publisher writes this shard, which a line says; otherwise 0. */
int publisher_turn(struct publisher *publisher);

/* Read the password file again, and connect anew. A line says what it has come to. */
void publisher_reload(struct publisher *publisher);

/* Tell the engine that nobody publishes the shard any more. */
void publisher_stop(struct publisher *publisher);

/* Describe what it does, for people. */
void publisher_describe(const struct publisher *publisher, char ret[PUBLISHER_STATUS_SIZE]);

#endif

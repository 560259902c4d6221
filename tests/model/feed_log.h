/* feed_log.h - every event that was written into a scenario's ring, from the first on. */
#ifndef PRESENCE_TESTS_FEED_LOG_H
#define PRESENCE_TESTS_FEED_LOG_H

#include "fixture.h"
#include "names.h"
#include "presence/presence.h"
#include "random_source.h"

#define FOLLOWERS 4

enum feed_state {
    FEED_WRITTEN,
    FEED_CLAIMED, /* by a writer that was killed; no daemon has adopted the ring yet */
    FEED_HOLE,
};

struct feed_entry {
    enum feed_state state;
    struct presence_event event; /* holes: sequence and time */
};

/* A reader that reads the events of a site, or of all, at times. */
struct follower {
    int site;      /* -1: all */
    uint64_t next; /* where to continue */
};

struct feed_log {
    uint32_t capacity; /* of the ring */
    uint64_t first;    /* sequence number of entries[0] */
    struct feed_entry *entries;
    size_t length, entries_capacity;
    uint64_t thinned;
    uint64_t written, missed; /* by all followers together */
    uint64_t share, lowest;   /* of each site (event_share.h); from `limit` on, the lowest */
    uint64_t limit;           /* a sequence number */
    unsigned spent[NAMES_MAX];
    uint64_t spent_since[NAMES_MAX]; /* the tick of the first of them */
    struct follower followers[FOLLOWERS];
};

/* Open the ring of a new segment, which is empty, at the number where numbers roll over. */
void feed_log_open(struct feed_log *log, struct fixture *fixture, struct random_source *random);
void feed_log_close(struct feed_log *log);

/* Follow a move into a ring of another size, with all events that fit: a longer one begins with the
 * oldest that was held. Followers continue where they were. */
void feed_log_move(struct feed_log *log, const struct fixture *fixture);

/* Remember the share that a batch begins with. */
void feed_log_begin_batch(struct feed_log *log, const struct fixture *fixture);

/* Append an entry and fill in its sequence. */
void feed_log_append(struct feed_log *log, const struct feed_entry *entry);

/* Return the time that an event written now must have. */
uint64_t feed_log_time(const struct feed_log *log);

/* Leave what writers killed in the middle of an event leave, for some of them or none. */
void feed_log_kill(struct feed_log *log, const struct fixture *fixture,
                   struct random_source *random);

/* The next daemon has adopted the ring: events claimed and not written are holes. */
void feed_log_adopt(struct feed_log *log);

#endif

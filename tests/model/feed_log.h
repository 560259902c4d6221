/* feed_log.h - every event that was written into a stream's ring, from its first on. */
#ifndef PRESENCE_TESTS_FEED_LOG_H
#define PRESENCE_TESTS_FEED_LOG_H

#include "fixture.h"
#include "names.h"
#include "presence/presence.h"
#include "random_source.h"

#define FOLLOWERS 4

enum feed_state {
    FEED_WRITTEN,
    FEED_CLAIMED, /* by a writer that was killed; nobody has taken over the ring yet */
    FEED_HOLE,
};

struct feed_entry {
    enum feed_state state;
    struct presence_event event; /* of holes: sequence and time */
};

/* Somebody who reads events of a site, or of all, now and then. */
struct follower {
    int site;      /* -1: all */
    uint64_t next; /* where they go on */
};

struct feed_log {
    uint32_t capacity; /* of the ring */
    uint64_t first;    /* sequence number of entries[0] */
    struct feed_entry *entries;
    size_t length, entries_capacity;
    uint64_t thinned;
    uint64_t written, missed; /* by all followers together; both over all segments */
    uint64_t spent_at;        /* tick of what sites have spent */
    unsigned spent[NAMES_MAX];
    struct follower followers[FOLLOWERS];
};

/* The ring of a new segment, which holds nothing yet, is made to begin where numbers roll over. */
void feed_log_open(struct feed_log *log, const struct fixture *fixture,
                   struct random_source *random);
void feed_log_close(struct feed_log *log);

/* A new segment has taken the old one's place: followers go on from where they were. */
void feed_log_renew(struct feed_log *log, const struct fixture *fixture);

/* Append an entry; its sequence is filled in. */
void feed_log_append(struct feed_log *log, const struct feed_entry *entry);

/* The time that an event must have which is written now. */
uint64_t feed_log_time(const struct feed_log *log);

/* Leave what writers leave who are killed in writing, some of them or none. */
void feed_log_kill(struct feed_log *log, const struct fixture *fixture,
                   struct random_source *random);

/* The next daemon has taken over: what was claimed and not written are holes. */
void feed_log_take_over(struct feed_log *log);

#endif

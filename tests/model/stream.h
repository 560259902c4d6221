/* stream.h - a random stream of datagrams into a collector, with the oracle at its side. */
#ifndef PRESENCE_TESTS_STREAM_H
#define PRESENCE_TESTS_STREAM_H

#include "encode.h"
#include "feed_log.h"
#include "fixture.h"
#include "oracle.h"
#include "presence/presence.h"

#define VARIANT_FOR_ALL UINT32_MAX

struct variant {
    const char *name;
    unsigned names[PLACES]; /* how many sites, and rooms, countries and sources of each */
    unsigned visitors;
    unsigned max_visitors; /* words */
    unsigned max_scopes;
    unsigned max_window;
    unsigned max_histories; /* VARIANT_FOR_ALL: for all scopes that can be named */
    unsigned max_events;
    unsigned steps;          /* 0: those of most */
    bool is_steady;          /* the collector is never away for as long as a day */
    bool table_may_fill;     /* then datagrams come one a batch, each of one visitor */
    bool directory_may_fill; /* otherwise refusals are failures, as they are for the table */
};

/* Which history a scope was found to have, after the last samples. */
struct holding {
    bool is_held;
    uint32_t index;
    uint64_t version;
    unsigned sampled; /* then */
};

struct stream {
    const struct variant *variant;
    uint64_t seed;
    unsigned step;
    uint64_t tick;            /* that the collector must have published */
    uint64_t listening_since; /* likewise */
    uint64_t sampled;         /* tick of the last samples, ORACLE_ABSENT if there are none */
    uint64_t day;             /* of these, UTC */
    bool is_stopped;          /* in order; otherwise it runs, or was killed */
    struct random_source random;
    struct names names;
    struct oracle oracle;
    struct fixture *fixture;
    struct presence *reader;  /* open from the first start to the end */
    struct holding *holdings; /* by scope; when there are too few histories for all */
    uint64_t histories_full;  /* what that counter must be */
    struct feed_log feed;
};

/* Create the segment, at a random tick, and everything from the seed. */
void stream_open(struct stream *stream, const struct variant *variant, uint64_t seed,
                 struct fixture *fixture);
void stream_close(struct stream *stream);

/* Move the clocks, restart the collector, let it keep house, feed it batches: each of them or not,
 * as it happens. */
void stream_step(struct stream *stream);

/* Fail with all that is needed to see it again. */
_Noreturn void stream_fail(const struct stream *stream, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- check.c: the segment itself ---- */

/* Compare counts at the windows that matter and a few at random, and all counters. */
void check_step(struct stream *stream);

/* Compare counts at every window, and the words of the table. */
void check_thoroughly(struct stream *stream);

/* ---- what libpresence tells, while the collector runs or not ---- */

/* check_activity.c: what made each number. */
void check_activities(struct stream *stream);

/* check_trends.c: peaks of all scopes, and all minutes. */
void check_peaks(struct stream *stream);
void check_minutes(struct stream *stream);

/* And the minutes of a scope between two points in time, one of which may be an hour ago. */
void check_some_minutes(struct stream *stream);

/* check_listings.c: top, sites, the busiest of all sites, and when somebody was seen. */
void check_listings(struct stream *stream);

/* check_followers.c: those who read events now and then, each from where they were. */
void check_followers(struct stream *stream);

/* ---- after each of what changes them ---- */

/* check_holders.c: after samples, find out who has a history, whether they may, and tell the
 * oracle. */
void check_holders(struct stream *stream, const struct oracle_round *round);

/* check_feed.c: after a batch, the events that it wrote, and how many it did not. */
void check_feed(struct stream *stream);

#endif

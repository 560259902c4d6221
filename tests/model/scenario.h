/* scenario.h - a random scenario of datagrams into a collector, with the oracle beside it. */
#ifndef PRESENCE_TESTS_SCENARIO_H
#define PRESENCE_TESTS_SCENARIO_H

#include "arrivals.h"
#include "encode.h"
#include "feed_log.h"
#include "fixture.h"
#include "oracle.h"
#include "presence/presence.h"
#include "senders.h"

#define VARIANT_FOR_ALL UINT32_MAX

struct variant {
    const char *name;
    unsigned names[PLACES]; /* how many sites, and rooms, countries and sources of each */
    unsigned visitors;
    unsigned max_entries; /* words */
    unsigned max_scopes;
    unsigned max_window;
    unsigned max_histories; /* VARIANT_FOR_ALL: as many as there can be scopes */
    unsigned max_events;
    unsigned max_streams;
    unsigned refused_sites; /* the last so many of the sites are not counted */
    unsigned keys;          /* 1 to this are known, and all native datagrams must be signed */
    bool is_honest;         /* nobody uses a stream of another, or jumps beyond what it remembers */
    bool has_networks;      /* senders from elsewhere are rejected */
    unsigned steps;         /* 0: as many as most variants have */
    bool is_steady;         /* the collector is never away for as long as a day */
    bool table_may_fill;    /* then datagrams come one a batch, each of one visitor */
    bool directory_may_fill; /* otherwise a refusal is a failure, as it is for the table */
};

/* The history of a scope, after the last samples. */
struct holding {
    bool is_held;
    uint32_t index;
    uint64_t version;
    unsigned sampled; /* then */
};

struct scenario {
    const struct variant *variant;
    uint64_t seed;
    unsigned step;
    uint64_t tick;            /* the tick that the collector must have published */
    uint64_t listening_since; /* likewise */
    uint64_t sampled;         /* tick of the last samples, ORACLE_ABSENT if there are none */
    uint64_t day;             /* of these, UTC */
    bool is_stopped;          /* cleanly; otherwise it runs, or was killed */
    struct random_source random;
    struct names names;
    struct oracle oracle;
    struct senders senders;
    struct admission *admission;
    struct fixture *fixture;
    struct presence *reader;  /* open from the first start to the end */
    struct holding *holdings; /* by scope; if there are too few histories for all */
    uint64_t histories_full;  /* the counter's required value */
    struct feed_log feed;
};

/* Create the segment at a random tick, and everything from the seed. */
void scenario_open(struct scenario *scenario, const struct variant *variant, uint64_t seed,
                   struct fixture *fixture);
void scenario_close(struct scenario *scenario);

/* Set the clocks, restart the collector, let it do its maintenance, send it batches: each of these
 * at random. */
void scenario_step(struct scenario *scenario);

/* Fail, with all that is needed to repeat it. */
_Noreturn void scenario_fail(const struct scenario *scenario, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- check.c: the segment itself ---- */

/* Compare counts at the important windows and a few at random, and all counters. */
void check_step(struct scenario *scenario);

/* Compare counts at every window, and the words of the table. */
void check_thoroughly(struct scenario *scenario);

/* check_streams.c: open the oracle's streams. It asks which of equally quiet ones was replaced. */
void check_streams_open(struct scenario *scenario);

/* Compare all streams, and what is counted of version 2 and of rejected datagrams. */
void check_streams(struct scenario *scenario);

/* ---- what libpresence tells, while the collector runs or not ---- */

/* check_activity.c: what made each count. */
void check_activities(struct scenario *scenario);

/* check_trends.c: peaks of all scopes, and all minutes. */
void check_peaks(struct scenario *scenario);
void check_minutes(struct scenario *scenario);

/* And the minutes of a scope between two points in time, one of which may be an hour ago. */
void check_some_minutes(struct scenario *scenario);

/* check_listings.c: top, sites, the busiest of all sites, and when a visitor was seen. */
void check_listings(struct scenario *scenario);

/* check_streams.c: the streams of senders. */
void check_listed_streams(struct scenario *scenario);

/* check_followers.c: readers that read events at times, each from where it was. */
void check_followers(struct scenario *scenario);

/* ---- after each of what changes them ---- */

/* check_holders.c: after samples, find out which scopes have a history, check that they may, and
 * tell the oracle. */
void check_holders(struct scenario *scenario, const struct oracle_round *round);

/* After the segment was replaced: check that all histories have moved, and find their new indexes.
 */
void check_moved_holders(struct scenario *scenario);

/* check_feed.c: after a batch, the events that it wrote, and how many it did not. */
void check_feed(struct scenario *scenario);

#endif

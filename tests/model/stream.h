/* stream.h - a random stream of datagrams into a collector, with the oracle at its side. */
#ifndef PRESENCE_TESTS_STREAM_H
#define PRESENCE_TESTS_STREAM_H

#include "encode.h"
#include "fixture.h"
#include "oracle.h"

struct variant {
    const char *name;
    unsigned names[PLACES]; /* how many sites, and rooms, countries and sources of each */
    unsigned visitors;
    unsigned max_visitors; /* words */
    unsigned max_scopes;
    unsigned max_window;
    bool table_may_fill;     /* then datagrams come one a batch, each of one visitor */
    bool has_histories;      /* for all scopes that can be named */
    bool directory_may_fill; /* otherwise refusals are failures, as they are for the table */
};

struct stream {
    const struct variant *variant;
    uint64_t seed;
    unsigned step;
    uint64_t tick;            /* that the collector must have published */
    uint64_t listening_since; /* likewise */
    uint64_t sampled;         /* tick of the last samples, ORACLE_ABSENT if there are none */
    uint64_t day;             /* of these, UTC */
    struct random_source random;
    struct names names;
    struct oracle oracle;
    struct fixture *fixture;
};

/* Create the segment, at a random tick, and everything from the seed. */
void stream_open(struct stream *stream, const struct variant *variant, uint64_t seed,
                 struct fixture *fixture);
void stream_close(struct stream *stream);

/* Move the clock, restart the collector, let it keep house, feed it batches: each of them or not,
 * as it happens. */
void stream_step(struct stream *stream);

/* Compare counts at the windows that matter and a few at random, and all counters. */
void check_step(struct stream *stream);

/* Compare counts at every window, and the words of the table. */
void check_thoroughly(struct stream *stream);

/* Compare peaks and minutes. */
void check_trends(struct stream *stream);

/* Fail with all that is needed to see it again. */
_Noreturn void stream_fail(const struct stream *stream, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif

/* oracle_trends.h - what peaks and minutes must be, the plain way.
 *
 * Who is inside a scope is told visitor by visitor. A sample looks at all of them. What came and
 * went between two samples belongs to the minute of the first, or of the second if the scope was
 * not there for the first. Nothing is shared with the code under test.
 */
#ifndef PRESENCE_TESTS_ORACLE_TRENDS_H
#define PRESENCE_TESTS_ORACLE_TRENDS_H

#include <stdbool.h>
#include <stdint.h>

/* At most, and how many of these may be missing: what a killed daemon had not published. */
struct oracle_figure {
    uint64_t value, doubt;
};

struct oracle_flow {
    struct oracle_figure heartbeats, pageviews, entries, leaves, departures;
};

struct oracle_minute {
    uint64_t minute, sum;
    unsigned samples, minimum, maximum;
    struct oracle_flow flow;
};

struct oracle_peak {
    unsigned count;
    uint64_t at; /* tick */
};

struct oracle_trend {
    bool is_kept;               /* has been sampled, and had a heartbeat within 24 hours */
    bool was_forgotten;         /* what comes before the next sample may be lost */
    bool is_doubted;            /* departures can't be told any more: the daemon was killed */
    struct oracle_flow pending; /* since the last sample */
    struct oracle_peak today, ever;
    struct oracle_minute *minutes; /* oldest first */
    unsigned length, capacity;
};

/* A sample at tick `now`; the one before was at `before`. */
void oracle_trend_sample(struct oracle_trend *trend, unsigned count, uint64_t now, uint64_t before,
                         bool is_new_day);

/* The daemon was killed: what it had not published yet may be lost. */
void oracle_trend_doubt(struct oracle_trend *trend);

/* Forget everything. */
void oracle_trend_forget(struct oracle_trend *trend);

#endif

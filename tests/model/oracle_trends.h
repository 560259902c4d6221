/* oracle_trends.h - a history's minutes and last seconds, computed in the simplest way.
 *
 * Every visitor is known to be inside a scope or not, and a sample visits all of them. Changes
 * between two samples belong to the second and the minute of the first, or of the second if the
 * scope was not there for the first. Nothing is shared with the code under test.
 */
#ifndef PRESENCE_TESTS_ORACLE_TRENDS_H
#define PRESENCE_TESTS_ORACLE_TRENDS_H

#include <stdbool.h>
#include <stdint.h>

/* The most that it can be, and how many of these may be missing: what a killed daemon had not
 * published. */
struct oracle_figure {
    uint64_t value, doubt;
};

struct oracle_flow {
    struct oracle_figure heartbeats, pageviews, entries, leaves, departures;
};

struct oracle_minute {
    uint64_t minute, sum;
    unsigned samples, minimum, maximum;
    bool is_warming;
    struct oracle_flow flow;
};

struct oracle_second {
    uint64_t tick;
    struct oracle_flow flow;
};

struct oracle_trend {
    bool is_kept;                  /* has a history, and was sampled */
    bool was_forgotten;            /* what happened before the next sample may be lost */
    bool is_doubted;               /* departures are unknown from now on: the daemon was killed */
    struct oracle_flow pending;    /* since the last sample */
    struct oracle_minute *minutes; /* oldest first */
    unsigned length, capacity;
    struct oracle_second *seconds; /* that were sampled, oldest first; the last one continues */
    unsigned seconds_length, seconds_capacity;
};

/* One sample: all but the count is the same for all scopes. */
struct oracle_round {
    uint64_t now, before; /* ticks of this sample and the one before */
    bool is_new_day, is_warming;
};

void oracle_trend_sample(struct oracle_trend *trend, unsigned count,
                         const struct oracle_round *round);

/* The daemon was killed: what it had not published yet may be lost. */
void oracle_trend_doubt(struct oracle_trend *trend);

/* The scope was silent for too long: forget everything. */
void oracle_trend_forget(struct oracle_trend *trend);

/* The scope has no history now; later changes are not credited. */
void oracle_trend_drop(struct oracle_trend *trend);

/* Add up the changes in the last 60 s before the last sample. Returns how many of these seconds
 * were sampled. */
unsigned oracle_trend_last_minute(const struct oracle_trend *trend, struct oracle_flow *ret);

#endif

/* oracle.h - what R2 to R4 require, computed in the simplest way.
 *
 * A scope is a set of visitors, each with the tick of their last heartbeat there; a count is one
 * pass over the set. Written from the rules alone: nothing is shared with the code under test.
 */
#ifndef PRESENCE_TESTS_ORACLE_H
#define PRESENCE_TESTS_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "beat.h"
#include "oracle_events.h"
#include "oracle_peaks.h"
#include "oracle_streams.h"
#include "oracle_trends.h"

#define ORACLE_ABSENT UINT64_MAX

struct oracle_presence {
    uint64_t last;  /* ORACLE_ABSENT: never there, or left */
    bool unsure;    /* may be absent: the table was full, or a leave found its scope freed */
    bool is_inside; /* entered, and neither left nor found to be gone */
};

struct oracle_scope {
    int site;
    enum place place;
    int name;
    bool is_known;           /* had a heartbeat */
    uint64_t last_heartbeat; /* tick */
    unsigned sampled;        /* the last sample */
    bool is_silent;          /* for a day, when it was last sampled */
    bool fell_silent;        /* with that sample */
    struct oracle_presence *visitors;
    struct oracle_lives lives;
    struct oracle_trend trend;
};

/* The required value of each counter. `unsure` heartbeats may be in new or in refreshed. */
struct oracle_counters {
    uint64_t received, accepted, empty;
    uint64_t sender, version, malformed, visitor, unauthenticated, stale, duplicate, site;
    uint64_t entered, refreshed, unsure, left, table_full, scopes_full;
    uint64_t label_table_full, label_scopes_full, labels_invalid, rooms_too_long;
    uint64_t pageviews, custom_events, site_refused;
};

struct oracle {
    unsigned names[PLACES];
    unsigned visitors;
    unsigned capacity; /* scopes */
    unsigned longest;  /* window in seconds, rounded */
    unsigned scope_count;
    struct oracle_scope *scopes; /* each that can be named */
    struct oracle_counters counters;
    struct oracle_events events; /* since the last oracle_events_clear */
    struct oracle_streams streams;
};

/* How the table refused heartbeats of one visitor: the site's, and how many labels'. */
struct oracle_refusal {
    bool site;
    unsigned labels;
};

/* The history of a scope at a sample. */
enum oracle_holding {
    ORACLE_UNHELD,
    ORACLE_HELD,      /* since an earlier sample */
    ORACLE_GIVEN,     /* given now; what came before this sample is unknown */
    ORACLE_GIVEN_NEW, /* given now; the scope was created since the sample before */
};

/* Return the window that is counted for the one that was asked for. */
unsigned oracle_shown_window(unsigned window);

void oracle_open(struct oracle *oracle, const unsigned names[PLACES], unsigned visitors,
                 unsigned capacity, unsigned max_window);
void oracle_close(struct oracle *oracle);

/* Return the scope of a name; `name` is ignored for a site. */
struct oracle_scope *oracle_scope(const struct oracle *oracle, int site, enum place place,
                                  int name);

/* Apply a beat of an accepted datagram at tick `now`. A refusal is given only for beats of one
 * visitor. */
void oracle_apply(struct oracle *oracle, const struct beat *beat, uint64_t now,
                  struct oracle_refusal refusal);

/* True if the table must still hold the visitor's word. */
bool oracle_is_held(const struct oracle *oracle, const struct oracle_scope *scope, unsigned visitor,
                    uint64_t now);

/* True if the scope was without a heartbeat for longer than the longest window, so that it may be
 * freed. */
bool oracle_is_idle(const struct oracle *oracle, const struct oracle_scope *scope, uint64_t now);

/* Count the active visitors, at least and at most. */
void oracle_count(const struct oracle *oracle, const struct oracle_scope *scope, uint64_t now,
                  unsigned window, unsigned *ret_least, unsigned *ret_most);

/* Return the window that is sampled. */
unsigned oracle_sampled_window(const struct oracle *oracle);

/* Count the visitors whose last heartbeat was `young` to `old` seconds ago, at least and at
 * most. */
void oracle_count_ages(const struct oracle *oracle, const struct oracle_scope *scope, uint64_t now,
                       unsigned young, unsigned old, unsigned *ret_least, unsigned *ret_most);

/* Sample all scopes as the daemon does. oracle_hold says which have a history. */
void oracle_sample(struct oracle *oracle, const struct oracle_round *round);

/* For each scope, after oracle_sample. */
void oracle_hold(struct oracle_scope *scope, enum oracle_holding holding,
                 const struct oracle_round *round);

/* True if a history forgets the scope, which was silent for a day. */
bool oracle_is_forgotten(const struct oracle_scope *scope, uint64_t now);

/* The daemon is killed. */
void oracle_kill(struct oracle *oracle);

#endif

/* checks.h - shared by the checks of what libpresence returns. */
#ifndef PRESENCE_TESTS_CHECKS_H
#define PRESENCE_TESTS_CHECKS_H

#include "scenario.h"

/* A scope's names as arguments of presence.h. */
struct place_names {
    char site[256], name[256]; /* the site's as it is sent, in any case */
};

/* A figure that may be off where the oracle can't be sure. */
struct range {
    uint64_t least, most;
};

struct place_names checks_names(struct scenario *scenario, const struct oracle_scope *scope);

/* Write a site's name in canonical form: ASCII letters lower-cased. */
void checks_site_name(const struct scenario *scenario, int site, char ret[256]);

/* True if the library returned this site's, room's, country's or source's name. */
bool checks_is_named(const struct scenario *scenario, int site, enum place place, int name,
                     const char *returned);

/* True if the library must leave the scope out: it had no heartbeat for the longest window. */
bool checks_is_gone(const struct scenario *scenario, const struct oracle_scope *scope);

/* Return how many are active in a window; 0 is the default one. */
struct range checks_count(const struct scenario *scenario, const struct oracle_scope *scope,
                          unsigned window);

void checks_expect(struct scenario *scenario, const struct oracle_scope *scope, const char *what,
                   uint64_t got, struct range range);
void checks_expect_exactly(struct scenario *scenario, const struct oracle_scope *scope,
                           const char *what, uint64_t got, uint64_t expected);

/* Check whether a scope exists, and what is known of it (R6). */
void checks_answer(struct scenario *scenario, const struct oracle_scope *scope,
                   const struct presence_reading *reading);

/* Check a reading. `scope` may be NULL, then count and last heartbeat are 0. */
void checks_reading(struct scenario *scenario, const struct oracle_scope *scope,
                    const struct presence_reading *reading, unsigned window);

/* Return the range of a figure: between nothing and all of its doubt may be missing. */
struct range checks_range(struct oracle_figure figure);

#endif

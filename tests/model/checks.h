/* checks.h - what the checks of libpresence's figures share. */
#ifndef PRESENCE_TESTS_CHECKS_H
#define PRESENCE_TESTS_CHECKS_H

#include "stream.h"

/* A scope's names as presence.h takes them. */
struct place_names {
    char site[256], name[256]; /* the site's as it is sent, in any case */
};

/* A figure that may be off where the oracle can't be sure. */
struct range {
    uint64_t least, most;
};

struct place_names checks_names(const struct stream *stream, const struct oracle_scope *scope);

/* A site's name as it is kept and told: ASCII letters lower-cased. */
void checks_site_name(const struct stream *stream, int site, char ret[256]);

/* Is it the name of a site, room, country or source that is told? */
bool checks_is_named(const struct stream *stream, int site, enum place place, int name,
                     const char *told);

/* Without a heartbeat for the longest window, a scope is not told of. */
bool checks_is_gone(const struct stream *stream, const struct oracle_scope *scope);

/* How many are active in a window, 0: the default one. */
struct range checks_count(const struct stream *stream, const struct oracle_scope *scope,
                          unsigned window);

void checks_expect(struct stream *stream, const struct oracle_scope *scope, const char *what,
                   uint64_t got, struct range range);
void checks_expect_exactly(struct stream *stream, const struct oracle_scope *scope,
                           const char *what, uint64_t got, uint64_t expected);

/* What is said of any number; `scope` may be NULL, then count and last heartbeat are 0. */
void checks_reading(struct stream *stream, const struct oracle_scope *scope,
                    const struct presence_reading *reading, unsigned window);

/* Between nothing and all of a figure's doubt may be missing. */
struct range checks_range(struct oracle_figure figure);

#endif

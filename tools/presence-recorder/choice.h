/* choice.h - choose which scopes of the totals are sampled: the busiest sites, and of each its
 * busiest rooms, countries and sources. Times are seconds of a clock that is never set.
 *
 * A scope that has lost all its visitors stays for a day, while there is room, so that its history
 * says that nobody was there. */
#ifndef PRESENCE_CHOICE_H
#define PRESENCE_CHOICE_H

#include "engine/engine_reader.h"

#define CHOICE_KINDS      3 /* of labels */
#define CHOICE_SITES_MAX  1000
#define CHOICE_LABELS_MAX 100  /* of each kind and site */
#define CHOICE_SCOPES_MAX 5000 /* of all sites: with many of them each has fewer labels */
#define CHOICE_IDLE_S     86400
#define CHOICE_EVERY_S    60 /* between two listings of a site's labels of a kind */

struct choice_scope {
    char *name;      /* of a site its own */
    int64_t here_at; /* it had visitors */
};

/* Scopes of one kind. */
struct choice_list {
    struct choice_scope *scopes; /* by name; allocated, the names too */
    size_t length;
};

struct choice_site {
    /* Rooms, countries and sources: by kind, from PRESENCE_ROOM on. */
    struct choice_list labels[CHOICE_KINDS];
    int64_t listed_at[CHOICE_KINDS]; /* 0: never */
};

/* Zeroed, nothing is chosen. */
struct choice {
    struct choice_list sites;
    struct choice_site *details; /* of each of the sites, in their order; allocated */
};

/* Choose the sites of a listing of them, which is by count, most first. Errors: -ENOMEM, with
 * nothing changed. */
int choice_put_sites(struct choice *choice, const struct engine_entry *entries, size_t length,
                     int64_t now);

/* Choose a site's labels of one kind, likewise. `site`: its index. */
int choice_put_labels(struct choice *choice, size_t site, enum presence_kind kind,
                      const struct engine_entry *entries, size_t length, int64_t now);

/* Return how many labels of each kind of a site are chosen at most, now. */
size_t choice_share(const struct choice *choice);

/* Find the site and the kind whose labels were listed longest ago, never or, with `again`, at least
 * CHOICE_EVERY_S ago; they count as listed now. Returns the site's index, or SIZE_MAX. */
size_t choice_take_due(struct choice *choice, int64_t now, bool again,
                       enum presence_kind *ret_kind);

/* Return the number of all scopes that are chosen. */
size_t choice_count(const struct choice *choice);

void choice_free(struct choice *choice);

#endif

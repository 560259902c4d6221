/* live.h - read counts for an HTTP server: of one collector from its segment, which may be missing,
 * or the totals of many, which totals.h keeps. One thread. */
#ifndef PRESENCE_WEB_LIVE_H
#define PRESENCE_WEB_LIVE_H

#include "common/place.h"

struct place {
    char site[PLACE_SITE_MAX + 1]; /* as it is kept, like the room */
    char room[PLACE_ROOM_MAX + 1]; /* empty: the whole site */
};

/* Return the room for libpresence: NULL is the whole site. */
static inline const char *place_room(const struct place *place)
{
    return place->room[0] ? place->room : NULL;
}

#define LIVE_STATUS_NS 250000000 /* greatest age of a status: reading one walks the directory */

/* A count, and what is needed to judge it, as in struct presence_reading. */
struct number {
    uint64_t count;
    uint32_t window_s; /* the requested one if nothing could be read */
    bool has_time;     /* false: nothing could be read, and only `stale` is known */
    bool exists, known, partial, stale, warming;
    bool may_be_restart; /* stale for such a short time that the collector may be starting anew */
    bool pending;        /* of totals: a newer one will come soon */
    bool has_heartbeat;  /* `last_heartbeat_s` is known */
    uint64_t last_heartbeat_s;
    int64_t as_of;
    uint64_t as_of_age_s;
    int64_t published_ns; /* of totals (monotonic_ns): what had reached the collectors by then may
                             be in the count; INT64_MIN: unknown */
};

/* True if a number is known and fresh. */
static inline bool number_is_fresh(const struct number *number)
{
    return number->known && !number->stale;
}

struct engine_list;
struct http_request;
struct live;
struct totals;

/* Allocate a reader of the segment at `path`, which is not copied, or of totals, unless they are
 * NULL. Return NULL if there is no memory. */
struct live *live_new(const char *path, struct totals *totals);
void live_free(struct live *live);

/* Return the totals; NULL: numbers are those of one collector. */
struct totals *live_totals(const struct live *live);

/* Return the open segment, or NULL if none can be read; the log says why. Valid until the next call
 * of any function here. Totals have none. */
struct presence *live_presence(struct live *live);

/* Return how fresh a number would be that is read now; it has no count. */
struct number live_freshness(struct live *live);

/* Count a place within the last `window_s` seconds, or the longest window if that is shorter; 0 is
 * the default window. Of totals, the windows are those that are published. */
void live_count(struct live *live, const struct place *place, uint32_t window_s,
                struct number *ret);

/* Suspend a request whose number or list is pending: its handler is called again when it is there,
 * or after 2.5 s. False: it has waited already. Takes the request's `data`. */
bool live_suspend(struct live *live, struct http_request *request);

/* What was the case when numbers were read; zeroed: they never were. */
struct live_mark {
    uint64_t changes; /* heartbeats and leaves, or rounds of totals; from 1 on */
    int64_t as_of;
    bool stale, warming, may_be_restart;
};

/* True if a number may be another one than when `mark` was set, which is then set anew: call it
 * before numbers are read, so that what changes while they are is news the next time. Costs as much
 * as a few counts. A new tick of the collector is always news. So whatever the other figures don't
 * tell is told a second later: a place that becomes partial, a segment that was replaced within a
 * second by one of equal figures, a worker that ended before it counted what it had done. */
bool live_is_news(struct live *live, struct live_mark *mark);

/* ---- listings ------------------------------------------------------------------------------- */

/* All sites, or the busiest rooms, countries or sources of a site. */
struct live_list {
    struct presence_listing listing;
    const struct engine_list *totals; /* instead; NULL: the listing */
    size_t length;
    size_t more;          /* further ones, less busy, that are not in it */
    bool partial;         /* some may be missing, or have more visitors */
    struct number number; /* the site's own; of all sites only how fresh */
};

struct live_line {
    const char *name; /* as long as the list */
    uint64_t count, last_heartbeat_s;
    bool has_heartbeat, partial;
};

/* List a site's rooms, countries or sources, the busiest first, at most `limit`; or all sites, if
 * `place` is NULL. Release `*ret` with live_list_free, before the thread does anything else.
 * Errors: -ENODATA nothing can be read; -ENOMEM; -EAGAIN it is pending. */
int live_load_list(struct live *live, const struct place *place, enum presence_kind kind,
                   uint32_t window_s, size_t limit, struct live_list *ret);
void live_list_free(struct live_list *list);

/* Return a line of the list. */
struct live_line live_list_line(const struct live_list *list, size_t index);

/* ---- of a segment only ---------------------------------------------------------------------- */

/* A visitor in a place, and its count. */
struct live_visitor {
    uint32_t age_s; /* of their last heartbeat there; LIVE_NEVER_SEEN: none */
    struct number number;
};

#define LIVE_NEVER_SEEN UINT32_MAX

/* Look up when a visitor was last seen in a place, and count the place as live_count() does. */
void live_observe(struct live *live, const struct place *place, const char *visitor,
                  uint32_t window_s, struct live_visitor *ret);

/* Like presence_status(), up to LIVE_STATUS_NS old, but with the tick of a number that is read now,
 * and stale if that is. Return -ENODATA if there is no segment. */
int live_status(struct live *live, struct presence_status *ret);

/* Return one counter's value, or 0 while there is no segment. */
uint64_t live_counter(struct live *live, const char *name);

#endif

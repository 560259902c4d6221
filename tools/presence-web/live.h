/* live.h - read the segment, which may be missing, for an HTTP server. One thread. */
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

struct number {
    bool has_time;                   /* false: no segment, and only `stale` is known */
    struct presence_reading reading; /* `window_s` is the requested one if nothing could be read */
};

struct live;

/* Allocate a reader of the segment at `path`, which is not copied. Return NULL if there is no
 * memory. */
struct live *live_new(const char *path);
void live_free(struct live *live);

/* Return the open segment, or NULL if none can be read; the log says why. Valid until the next call
 * of any function here. */
struct presence *live_presence(struct live *live);

/* Count a place within the last `window_s` seconds, or the longest window if that is shorter. */
void live_count(struct live *live, const struct place *place, uint32_t window_s,
                struct number *ret);

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

/* numbers.h - what is known of a place: the segment, read for the answers of an HTTP server. The
 * segment may not be there, or not yet. All of it is for one thread. */
#ifndef PRESENCE_WEB_NUMBERS_H
#define PRESENCE_WEB_NUMBERS_H

#include "place.h"
#include "presence/presence.h"

#define NUMBERS_STATUS_NS 250000000 /* a status is this fresh: taking it reads the directory */

struct number {
    bool known;         /* or: nobody can tell how many */
    bool has_heartbeat; /* or: none within the longest window */
    bool has_time;      /* or: there is no segment */
    bool stale, warming;
    uint32_t count;
    uint32_t window_s;
    uint32_t last_heartbeat_s;
    int64_t as_of; /* Unix seconds */
    uint64_t as_of_age_s;
};

struct numbers;

/* `path` is not copied. NULL: no memory. */
struct numbers *numbers_new(const char *path);
void numbers_free(struct numbers *numbers);

/* The open segment; NULL: there is none that can be read, and why is in the log. Valid until the
 * next call of any of these. */
struct presence *numbers_presence(struct numbers *numbers);

/* Count a place within the last `window_s` seconds, or the longest window if that is shorter. What
 * nobody has been to is 0 while all that would be known; otherwise it is not known. */
void numbers_count(struct numbers *numbers, const struct place *place, uint32_t window_s,
                   struct number *ret);

/* As presence_status, up to NUMBERS_STATUS_NS old. -ENODATA: there is no segment. */
int numbers_status(struct numbers *numbers, struct presence_status *ret);

/* One counter's value now; 0 while there is no segment. */
uint64_t numbers_counter(struct numbers *numbers, const char *name);

#endif

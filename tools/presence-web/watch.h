/* watch.h - watch a place that streams show: read its number once for all of them, and build the
 * event that reports it. */
#ifndef PRESENCE_WEB_WATCH_H
#define PRESENCE_WEB_WATCH_H

#include <sys/queue.h>

#include "live.h"

#define WATCH_ID_SIZE 24 /* a count of 20 digits, and three marks */

/* A piece of a stream, shared by all streams that are about to send it. */
struct text {
    unsigned references;
    size_t length;
    size_t fields; /* of an event: where the first field of its data begins */
    char bytes[];
};

/* Copy `bytes`. Return NULL if there is no memory. */
struct text *text_new(const char *bytes);
struct text *text_hold(struct text *text);
void text_release(struct text *text); /* NULL is fine */

struct watch {
    LIST_ENTRY(watch) all;
    struct watches *watches;
    struct place place;
    uint32_t window_s; /* as requested */
    unsigned users;    /* streams that show it; one that shows it twice counts twice */
    struct number number;
    char id[WATCH_ID_SIZE]; /* identifies the number to a client that resumes */
    struct text *event;     /* NULL: there was no memory for it */
    uint64_t version;       /* of the event; 0: not read yet */
};

/* All watches, one for each place and window that a stream shows. Zeroed, it is empty. */
struct watches {
    void *places; /* watches, searched by tsearch(3) */
    LIST_HEAD(, watch) all;
    uint64_t changes;      /* how many versions there were */
    struct live_mark mark; /* of the last poll */
};

/* Get the watch of a place; a new one has not been read. Return NULL if there is no memory. */
struct watch *watches_get(struct watches *watches, const struct place *place, uint32_t window_s);

/* Release a watch; one without users is freed. */
void watches_put(struct watches *watches, struct watch *watch);

/* Read all numbers, unless none can have changed since the last time; one that has changed gets an
 * event of a new version. */
void watches_poll(struct watches *watches, struct live *live);

/* Read one number likewise. If only its time has changed, update its event without a new version,
 * for streams that have not sent it yet. */
void watch_refresh(struct watch *watch, struct live *live);

#endif

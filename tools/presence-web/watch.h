/* watch.h - a place that streams show: its number, looked at for all of them at once, and the event
 * that says it. */
#ifndef PRESENCE_WEB_WATCH_H
#define PRESENCE_WEB_WATCH_H

#include <sys/queue.h>

#include "numbers.h"

#define WATCH_ID_SIZE 16

/* A piece of a stream, shared by all that are about to send it. */
struct text {
    unsigned references;
    size_t length;
    char bytes[];
};

/* NULL: no memory. `text` is copied. */
struct text *text_new(const char *text);
struct text *text_hold(struct text *text);
void text_release(struct text *text); /* NULL is fine */

struct watch {
    LIST_ENTRY(watch) all;
    struct place place;
    uint32_t window_s; /* as it was asked for */
    unsigned streams;
    struct number number;
    char id[WATCH_ID_SIZE]; /* names the number, so that a client can tell what it has last seen */
    struct text *event;     /* NULL: there was no memory for it */
    uint64_t version;       /* of the event; 0: not looked at yet */
};

/* A new one has not been looked at. NULL: no memory. */
struct watch *watch_new(const struct place *place, uint32_t window_s);
void watch_free(struct watch *watch);

/* Read the number; if it is another one, or the first, there is an event of a new version. */
void watch_look(struct watch *watch, struct numbers *numbers);

/* The same; and an event that is not new, but has aged, is made anew for who has not seen it. */
void watch_refresh(struct watch *watch, struct numbers *numbers);

#endif

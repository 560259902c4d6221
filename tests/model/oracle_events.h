/* oracle_events.h - all events in their order, before any is thinned out. */
#ifndef PRESENCE_TESTS_ORACLE_EVENTS_H
#define PRESENCE_TESTS_ORACLE_EVENTS_H

#include <stdbool.h>

#include "beat.h"

enum oracle_event_kind { ORACLE_ENTERED = 1, ORACLE_LEFT, ORACLE_PAGEVIEW, ORACLE_CUSTOM };

struct oracle_event {
    enum oracle_event_kind kind;
    int names[PLACES];     /* -1: absent */
    bool may_lack[PLACES]; /* may be absent: the label's scope may have been freed */
    bool is_unsure;        /* may not have happened, as in struct oracle_presence */
    const char *name;      /* of a custom event */
};

struct oracle_events {
    struct oracle_event *events; /* in their order */
    unsigned length, capacity;
};

void oracle_events_emit(struct oracle_events *events, const struct oracle_event *event);

/* Forget them: they were checked. */
void oracle_events_clear(struct oracle_events *events);

void oracle_events_free(struct oracle_events *events);

#endif

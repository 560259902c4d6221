/* events.h - the forms in which events are written to stdout. */
#ifndef PRESENCECTL_EVENTS_H
#define PRESENCECTL_EVENTS_H

#include "presencectl.h"

struct events_writer {
    const struct options *options;
    const char *site; /* NULL: each event says which */
};

/* "entered", "left", "pageview" or "event". */
const char *event_kind_name(enum presence_event_kind kind);

/* What stands above the events. */
void events_begin(const struct events_writer *writer);

/* A line each. */
void events_write(const struct events_writer *writer, const struct presence_events *events);

/* In JSON lines: that some are missing here, if so. */
void events_write_gap(const struct events_writer *writer, uint64_t missed, bool renewed);

/* All of them as one JSON object. Returns an exit status. */
int events_print_json(struct presence *presence, const struct events_writer *writer,
                      const struct presence_events *events, uint64_t next, uint64_t missed,
                      bool renewed);

#endif

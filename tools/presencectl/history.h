/* history.h - a place's history, to be printed as a graph, table, CSV or JSON. */
#ifndef PRESENCECTL_HISTORY_H
#define PRESENCECTL_HISTORY_H

#include "groups.h"
#include "timeline.h"

struct history_view {
    struct scope scope;
    struct answer answer;
    const struct engine_state *groups; /* that gave the answer; NULL: a segment, or nobody, did */
    int64_t since, until;              /* Unix seconds */
    uint32_t step_s;                   /* of the timeline */
    struct timeline timeline;
    bool has_database; /* the database was read, too */
};

/* Print it in the form that the options ask for. A graph needs a step; it exits if out of memory.
 */
void history_print(const struct history_view *view, const struct options *options);

/* Return when the last minute ends, or ended; 0: there is none. */
int64_t history_recorded_until(const struct history_view *view);

/* True if the first minutes of the time that was asked for are not recorded. */
bool history_is_shortened(const struct history_view *view);

/* Format which part of the time is recorded, as a clause. */
struct range_text {
    char text[160];
};
struct range_text history_describe_range(const struct history_view *view);

#endif

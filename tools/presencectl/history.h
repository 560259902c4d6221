/* history.h - what the forms of `presencectl history` share. */
#ifndef PRESENCECTL_HISTORY_H
#define PRESENCECTL_HISTORY_H

#include "place.h"
#include "timeline.h"

struct history_view {
    struct place place;
    bool known; /* the reading has a count */
    struct presence_reading reading;
    int64_t since, until; /* Unix seconds */
    uint32_t step_s;      /* of the timeline */
    struct timeline timeline;
};

void history_graph(const struct history_view *view, const struct options *options);
void history_table(const struct history_view *view);
void history_csv(const struct history_view *view);
void history_json(const struct history_view *view);

#endif

#include "oracle_events.h"

#include <stdlib.h>

void oracle_events_emit(struct oracle_events *events, const struct oracle_event *event)
{
    if (events->length == events->capacity) {
        events->capacity = events->capacity ? events->capacity * 2 : 64;
        events->events = realloc(events->events, events->capacity * sizeof(*events->events));
    }
    events->events[events->length++] = *event;
}

void oracle_events_clear(struct oracle_events *events)
{
    events->length = 0;
}

void oracle_events_free(struct oracle_events *events)
{
    free(events->events);
    *events = (struct oracle_events){0};
}

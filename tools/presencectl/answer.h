/* answer.h - an answer, whoever gave it: a number (`exists`), nobody (`known` alone) or unknown
 * (neither); see struct presence_reading. */
#ifndef PRESENCECTL_ANSWER_H
#define PRESENCECTL_ANSWER_H

#include <time.h>

#include "engine/engine_reader.h"
#include "presence/presence.h"

struct answer {
    uint64_t count;
    uint64_t last_heartbeat_s; /* only with `has_heartbeat` */
    uint32_t window_s;
    bool exists, known, partial, stale, warming;
    bool has_heartbeat; /* the age of the last heartbeat is known; groups publish it above 60 s */
    int64_t as_of;      /* Unix seconds */
};

static inline struct answer answer_of(const struct presence_reading *reading)
{
    return (struct answer){
        .count = reading->count,
        .last_heartbeat_s = reading->last_heartbeat_s,
        .window_s = reading->window_s,
        .exists = reading->exists,
        .known = reading->known,
        .partial = reading->partial,
        .stale = reading->stale,
        .warming = reading->warming,
        .has_heartbeat = reading->exists,
        .as_of = reading->as_of,
    };
}

/* Where no group has all its shards' states, nothing is known as of now. */
static inline struct answer answer_of_groups(const struct engine_reading *reading)
{
    return (struct answer){
        .count = reading->count,
        .last_heartbeat_s = reading->last_heartbeat_s,
        .window_s = reading->window_s,
        .exists = reading->exists,
        .known = reading->known || reading->exists,
        .partial = reading->partial,
        .stale = reading->stale,
        .warming = reading->warming,
        .has_heartbeat = reading->exists && reading->quiet,
        .as_of = reading->as_of ? reading->as_of : time(NULL),
    };
}

#endif

/* answer.h - an answer, whoever gave it: a number (`exists`), nobody (`known` alone) or unknown
 * (neither); see struct presence_reading. */
#ifndef PRESENCECTL_ANSWER_H
#define PRESENCECTL_ANSWER_H

#include "presence/presence.h"

struct answer {
    uint64_t count;
    uint64_t last_heartbeat_s; /* only with `has_heartbeat` */
    uint32_t window_s;
    bool exists, known, partial, stale, warming;
    bool has_heartbeat; /* the age of the last heartbeat is known */
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

#endif

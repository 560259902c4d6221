/* stream_figures.h - what each stream of the collector had 30 s ago. One thread at a time. */
#ifndef PRESENCE_PUBLISHER_STREAM_FIGURES_H
#define PRESENCE_PUBLISHER_STREAM_FIGURES_H

#include "engine/engine_shard.h"
#include "presence/presence.h"

#define STREAM_FIGURES_BEFORE_S 30
#define STREAM_FIGURES_OLD_S    3600 /* a stream that was silent for so long is left out */

struct stream_record;

/* Zeroed, it has none. */
struct stream_figures {
    struct stream_record *records; /* by id and target, allocated */
    size_t count;
    struct engine_stream *streams; /* the same, as they are published; allocated */
    uint64_t tick;                 /* of the last update */
};

/* Take the figures of a tick. Of streams with one id and target that differ in their key, the one
 * heard last counts. Errors: -ENOMEM, and then nothing has changed. */
int stream_figures_update(struct stream_figures *figures, const struct presence_streams *list,
                          uint64_t tick);

/* Take what the last publisher knew, which it wrote `age_s` ago, of the same segment: `streams`, by
 * id and target. Losses that are up to a minute old may count at first: rather these than none. */
void stream_figures_inherit(struct stream_figures *figures, const struct engine_stream *streams,
                            size_t count, uint64_t age_s);

/* True if the collector may have had no place for a stream: each of `max` has one that was heard
 * within the last minute, which is never replaced. */
bool stream_figures_are_full(const struct presence_streams *list, uint32_t max);

void stream_figures_free(struct stream_figures *figures);

#endif

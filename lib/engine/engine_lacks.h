/* engine_lacks.h - which streams don't reach a shard as they should (R9): a copy that lacks an edge
 * has too small a number, and only the other copies know. Any thread. */
#ifndef PRESENCE_ENGINE_LACKS_H
#define PRESENCE_ENGINE_LACKS_H

#include "engine_reader.h"

/* Fill in `lacks` of each shard that is fine, by the streams of all that are. Errors: -ENOMEM. */
int engine_lacks_find(struct engine_state *state);

#endif

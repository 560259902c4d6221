/* engine_windows.h - which windows the groups publish. Any thread. */
#ifndef PRESENCE_ENGINE_WINDOWS_H
#define PRESENCE_ENGINE_WINDOWS_H

#include "engine_reader.h"

/* True if some group publishes the window, or if no shard is there that could say so. */
bool engine_windows_has(const struct engine_state *state, uint32_t window_s);

/* Return the window that stands for 0: PRESENCE_DEFAULT_WINDOW if a group publishes it, or if none
 * publishes any; otherwise the longest. */
uint32_t engine_windows_default(const struct engine_state *state);

/* Likewise of one shard. */
uint32_t engine_windows_default_of(const struct engine_shard *shard);

/* Format all windows that groups publish, "60, 300"; free `*ret`. Errors: -ENOMEM. */
int engine_windows_format(const struct engine_state *state, char **ret);

#endif

#include "engine_windows.h"

#include <errno.h>
#include <inttypes.h>

#include "common/text_stream.h"
#include "engine_answer.h"

/* True if each of a group's shards that is there publishes the window, and one is there. */
static bool publishes(const struct engine_group *group, uint32_t window_s)
{
    bool any = false;

    for (uint32_t i = 0; i < group->shard_count; i++) {
        const struct engine_shard *shard = &group->shards[i].shard;
        if (shard->version != ENGINE_VERSION || shard->shards != group->shard_count)
            continue;
        if (!engine_shard_has(group, i, window_s))
            return false;
        any = true;
    }
    return any;
}

static bool any_publishes(const struct engine_state *state, uint32_t window_s)
{
    for (size_t i = 0; i < state->count; i++) {
        if (publishes(&state->groups[i], window_s))
            return true;
    }
    return false;
}

/* Find the shortest window over `above` that a group publishes; 0: there is none. */
static uint32_t find_next(const struct engine_state *state, uint32_t above)
{
    uint32_t next = 0;

    for (size_t i = 0; i < state->count; i++) {
        const struct engine_group *group = &state->groups[i];
        for (uint32_t j = 0; j < group->shard_count; j++) {
            const struct engine_shard *shard = &group->shards[j].shard;
            for (unsigned k = 0; k < shard->window_count; k++) {
                uint32_t window_s = shard->windows[k];
                if (window_s > above && (!next || window_s < next) && publishes(group, window_s))
                    next = window_s;
            }
        }
    }
    return next;
}

bool engine_windows_has(const struct engine_state *state, uint32_t window_s)
{
    return any_publishes(state, window_s) || find_next(state, 0) == 0;
}

uint32_t engine_windows_default(const struct engine_state *state)
{
    uint32_t longest = 0;

    if (any_publishes(state, PRESENCE_DEFAULT_WINDOW))
        return PRESENCE_DEFAULT_WINDOW;
    for (uint32_t next; (next = find_next(state, longest)) != 0;)
        longest = next;
    return longest ? longest : PRESENCE_DEFAULT_WINDOW;
}

uint32_t engine_windows_default_of(const struct engine_shard *shard)
{
    for (unsigned i = 0; i < shard->window_count; i++) {
        if (shard->windows[i] == PRESENCE_DEFAULT_WINDOW)
            return PRESENCE_DEFAULT_WINDOW;
    }
    return shard->window_count ? shard->windows[shard->window_count - 1] : PRESENCE_DEFAULT_WINDOW;
}

int engine_windows_format(const struct engine_state *state, char **ret)
{
    struct text_stream stream;
    uint32_t window_s = 0;
    FILE *out = text_stream_open(&stream);

    if (!out)
        return -ENOMEM;
    for (uint32_t next; (next = find_next(state, window_s)) != 0; window_s = next)
        fprintf(out, "%s%" PRIu32, window_s ? ", " : "", next);
    char *text = text_stream_close(&stream, NULL);
    if (!text)
        return -ENOMEM;
    *ret = text;
    return 0;
}

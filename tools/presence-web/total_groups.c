#include "total_groups.h"

#include <stdlib.h>
#include <string.h>

#include "common/monotonic.h"

#define DESCRIBED_NS (2 * NS_PER_S) /* age of a description to use without a poll */

/* ---- what is kept --------------------------------------------------------------------------- */

void total_groups_take(struct total_groups *groups, struct round *round, int64_t now_ns)
{
    if (round->groups) {
        json_decref(groups->described);
        groups->described = round->groups;
        groups->described_ns = now_ns;
        round->groups = NULL;
    }
    round_state_free(&groups->state);
    groups->state = round->state;
    strcpy(groups->windows, round->windows);
    groups->answered_ns = now_ns;
    round->state = (struct engine_state){0};
}

void total_groups_clear(struct total_groups *groups)
{
    round_state_free(&groups->state);
    json_decref(groups->described);
}

bool total_groups_ask(struct total_groups *groups, int64_t now_ns)
{
    groups->asked_ns = now_ns;
    return now_ns - groups->described_ns > DESCRIBED_NS;
}

bool total_groups_are_wanted(const struct total_groups *groups)
{
    return groups->asked_ns - groups->described_ns > DESCRIBED_NS;
}

/* ---- freshness ------------------------------------------------------------------------------ */

/* Return the time of a group's oldest tick. */
static int64_t oldest_tick(const struct engine_group *group)
{
    int64_t oldest = group->shard_count ? INT64_MAX : 0;

    for (uint32_t i = 0; i < group->shard_count; i++) {
        if (group->shards[i].shard.as_of < oldest)
            oldest = group->shards[i].shard.as_of;
    }
    return oldest;
}

struct engine_reading total_groups_freshness(const struct total_groups *groups)
{
    struct engine_reading reading = {.window_s = PRESENCE_DEFAULT_WINDOW, .stale = true};
    bool warming = true, incomplete = true;

    for (size_t i = 0; i < groups->state.count; i++) {
        const struct engine_group *group = &groups->state.groups[i];
        bool first = group->whole && reading.stale;
        if (group->whole) {
            reading.stale = false;
            warming &= group->warming;
            incomplete &= group->warming || group->partial;
        }
        int64_t as_of = oldest_tick(group);
        if (first || (group->whole != reading.stale && as_of > reading.as_of))
            reading.as_of = as_of;
    }
    reading.warming = warming && !reading.stale;
    reading.partial = incomplete && !warming && !reading.stale;
    return reading;
}

/* ---- windows -------------------------------------------------------------------------------- */

bool total_groups_have_window(const struct total_groups *groups, uint32_t window_s)
{
    const char *at = groups->windows;
    char *end;

    if (window_s == 0 || !*at)
        return true;
    for (; *at; at = end + strspn(end, ", ")) {
        if (strtoul(at, &end, 10) == window_s)
            return true;
        if (end == at)
            break;
    }
    return false;
}

/* total_groups.h - the groups of collectors, as the last poll found them. One thread. */
#ifndef PRESENCE_WEB_TOTAL_GROUPS_H
#define PRESENCE_WEB_TOTAL_GROUPS_H

#include "poller.h"

/* Zeroed: nothing is known. */
struct total_groups {
    struct engine_state state;
    char windows[ROUND_WINDOWS_SIZE]; /* that are published, "60, 300"; "": unknown */
    int64_t answered_ns;              /* 0: not yet */
    json_t *described; /* all that is known of them, with their visitors; NULL: not yet */
    int64_t described_ns, asked_ns;
};

/* Take the groups that a round has brought. */
void total_groups_take(struct total_groups *groups, struct round *round, int64_t now_ns);

void total_groups_clear(struct total_groups *groups);

/* Ask for the description, which costs the engine more than the rest. True if the last one is old.
 */
bool total_groups_ask(struct total_groups *groups, int64_t now_ns);

/* True if the next poll shall bring a description. */
bool total_groups_are_wanted(const struct total_groups *groups);

/* Return how fresh totals are and how complete, by all groups: a reading without a count. */
struct engine_reading total_groups_freshness(const struct total_groups *groups);

/* True if a window is published by a group, is 0 (the default one), or nobody knows yet. */
bool total_groups_have_window(const struct total_groups *groups, uint32_t window_s);

#endif

/* total_lists.h - lists of the totals of sites, rooms, countries and sources, kept from one poll to
 * the next. One may be long, so it is polled only when it is asked for. One thread. */
#ifndef PRESENCE_WEB_TOTAL_LISTS_H
#define PRESENCE_WEB_TOTAL_LISTS_H

#include <sys/queue.h>

#include "poller.h"

#define TOTAL_LISTS_ROWS     100            /* of a list of rooms, countries or sources */
#define TOTAL_LISTS_SITES    10000          /* whose marks the engine is asked for one by one */
#define TOTAL_LISTS_FRESH_NS (2 * NS_PER_S) /* age of a list to use without a poll */

struct total_list {
    TAILQ_ENTRY(total_list) by_age; /* of the last question */
    struct place place;             /* no site: all sites */
    enum presence_kind kind;
    uint32_t window_s; /* as requested */
    int64_t asked_ns;
    int64_t answered_ns; /* INT64_MIN / 2: not yet */
    bool has_list;
    struct engine_list list;
};

struct total_lists {
    TAILQ_HEAD(total_list_queue, total_list) by_age;
    size_t count;
};

void total_lists_init(struct total_lists *lists);
void total_lists_clear(struct total_lists *lists);

/* Find a list, or add it in exchange for one that nobody has asked for for longest. Return NULL if
 * there is no memory. */
struct total_list *total_lists_get(struct total_lists *lists, const struct place *place,
                                   enum presence_kind kind, uint32_t window_s, int64_t now_ns);

/* True if the list has no answer that is fresh enough. */
bool total_list_is_old(const struct total_list *list, int64_t now_ns);

/* Ask for those lists that were asked for after `since_ns` and are old. */
int total_lists_add_to_round(const struct total_lists *lists, struct round *round, int64_t since_ns,
                             int64_t now_ns);

/* Take the lists of a round that has succeeded. One that is stale and shorter than before is not
 * taken: the former one stays, stale. */
void total_lists_take(struct total_lists *lists, struct round *round, int64_t now_ns);

#endif

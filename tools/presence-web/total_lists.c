#include "total_lists.h"

#include <stdlib.h>
#include <string.h>

#include "common/monotonic.h"

#define LISTS_MAX 300

void total_lists_init(struct total_lists *lists)
{
    TAILQ_INIT(&lists->by_age);
    lists->count = 0;
}

static struct total_list *find_list(const struct total_lists *lists, const struct place *place,
                                    enum presence_kind kind, uint32_t window_s)
{
    struct total_list *list;

    TAILQ_FOREACH(list, &lists->by_age, by_age)
    {
        if (list->kind == kind && list->window_s == window_s &&
            strcmp(list->place.site, place->site) == 0)
            break;
    }
    return list;
}

static void free_list(struct total_lists *lists, struct total_list *list)
{
    TAILQ_REMOVE(&lists->by_age, list, by_age);
    lists->count--;
    if (list->has_list)
        engine_list_free(&list->list);
    free(list);
}

void total_lists_clear(struct total_lists *lists)
{
    while (!TAILQ_EMPTY(&lists->by_age))
        free_list(lists, TAILQ_FIRST(&lists->by_age));
}

static struct total_list *add_list(struct total_lists *lists, const struct place *place,
                                   enum presence_kind kind, uint32_t window_s)
{
    struct total_list *list = calloc(1, sizeof(*list));

    if (!list)
        return NULL;
    strcpy(list->place.site, place->site);
    list->kind = kind;
    list->window_s = window_s;
    list->answered_ns = INT64_MIN / 2;
    TAILQ_INSERT_TAIL(&lists->by_age, list, by_age);
    if (++lists->count > LISTS_MAX)
        free_list(lists, TAILQ_FIRST(&lists->by_age));
    return list;
}

struct total_list *total_lists_get(struct total_lists *lists, const struct place *place,
                                   enum presence_kind kind, uint32_t window_s, int64_t now_ns)
{
    struct total_list *list = find_list(lists, place, kind, window_s);

    if (!list)
        list = add_list(lists, place, kind, window_s);
    if (!list)
        return NULL;
    list->asked_ns = now_ns;
    TAILQ_REMOVE(&lists->by_age, list, by_age);
    TAILQ_INSERT_TAIL(&lists->by_age, list, by_age);
    return list;
}

bool total_list_is_old(const struct total_list *list, int64_t now_ns)
{
    return now_ns - list->answered_ns > TOTAL_LISTS_FRESH_NS;
}

int total_lists_add_to_round(const struct total_lists *lists, struct round *round, int64_t since_ns,
                             int64_t now_ns)
{
    const struct total_list *list;

    TAILQ_FOREACH_REVERSE(list, &lists->by_age, total_list_queue, by_age)
    {
        if (list->asked_ns < since_ns)
            break;
        if (!total_list_is_old(list, now_ns))
            continue;
        int r = round_add_list(round, &list->place, list->kind, list->window_s,
                               list->kind == PRESENCE_SITE ? TOTAL_LISTS_SITES : TOTAL_LISTS_ROWS);
        if (r < 0)
            return r;
    }
    return 0;
}

static void take_list(struct total_list *list, struct engine_list *answer, int64_t now_ns)
{
    bool less = list->has_list && answer->reading.stale && answer->length < list->list.length;

    if (answer->error < 0 || less) {
        list->list.reading.stale = true;
    } else {
        if (list->has_list)
            engine_list_free(&list->list);
        list->list = *answer;
        list->has_list = true;
        answer->entries = NULL;
        answer->length = 0;
    }
    list->answered_ns = now_ns;
}

void total_lists_take(struct total_lists *lists, struct round *round, int64_t now_ns)
{
    for (size_t i = 0; i < round->poll.list_count; i++) {
        struct engine_list *answer = &round->lists[i];
        struct total_list *list =
            find_list(lists, &round->list_places[i], answer->kind, answer->window_s);
        if (list)
            take_list(list, answer, now_ns);
    }
}

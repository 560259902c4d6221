/* The busiest scopes of a kind over all sites. Only as many as are wanted are kept while the
 * directory is gone through, and only their names are looked at. */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct candidate {
    uint64_t state;
    uint32_t index, count, last_heartbeat_s;
};

/* Twice as many as are wanted: when it is full, the better half stays. */
struct candidates {
    struct candidate *all;
    size_t length, wanted, total;
};

static int compare_candidates(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;

    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return a->index < b->index ? -1 : 1;
}

static void keep_best(struct candidates *candidates)
{
    qsort(candidates->all, candidates->length, sizeof(*candidates->all), compare_candidates);
    if (candidates->length > candidates->wanted)
        candidates->length = candidates->wanted;
}

static void consider(const struct presence *presence, uint32_t index, enum scope_kind kind,
                     uint32_t window_s, struct reader_moment *moment, struct candidates *candidates)
{
    const struct scope_entry *entry = &presence->segment.directory.entries[index];
    uint64_t state = atomic_load_acquire(&entry->state); /* pairs with create_scope's release */

    if (scope_state_of(state) == SCOPE_FREE || entry->kind != kind)
        return;
    struct candidate candidate = {
        .state = state,
        .index = index,
        .count = reader_count(presence, index, window_s, moment),
        .last_heartbeat_s = reader_last_heartbeat(presence, index, moment),
    };
    if (reader_is_gone(presence, candidate.last_heartbeat_s) || !scope_is_same(entry, state))
        return;
    candidates->total++;
    candidates->all[candidates->length++] = candidate;
    if (candidates->length == 2 * candidates->wanted)
        keep_best(candidates);
}

/* Copy the names. False: the scope is no more what was counted. */
static bool name_scope(const struct presence *presence, const struct candidate *candidate,
                       struct presence_busy_scope *ret)
{
    const struct directory *directory = &presence->segment.directory;
    const struct scope_entry *entry = &directory->entries[candidate->index];
    struct reader_scope scope = {.index = candidate->index, .state = candidate->state};

    scope.site = *(const volatile uint32_t *)&entry->site; /* once: it may change */
    if (scope.site >= directory->capacity)
        return false;
    const struct scope_entry *site = &directory->entries[scope.site];
    scope.site_state = atomic_load_acquire(&site->state); /* pairs with create_scope's release */
    if (scope_state_of(scope.site_state) == SCOPE_FREE || site->kind != SCOPE_SITE ||
        !reader_copy_name(site, ret->site))
        return false;
    ret->name[0] = '\0';
    if (scope.site != scope.index && !reader_copy_name(entry, ret->name))
        return false;
    ret->count = candidate->count;
    ret->last_heartbeat_s = candidate->last_heartbeat_s;
    return reader_is_same(presence, &scope);
}

static int compare_scopes(const void *left, const void *right)
{
    const struct presence_busy_scope *a = left, *b = right;

    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    int by_site = strcmp(a->site, b->site);
    return by_site ? by_site : strcmp(a->name, b->name);
}

static int name_all(const struct presence *presence, const struct candidates *candidates,
                    struct presence_busiest *busiest)
{
    size_t length = candidates->length ? candidates->length : 1;

    busiest->scopes = calloc(length, sizeof(*busiest->scopes));
    if (!busiest->scopes)
        return -ENOMEM;
    for (size_t i = 0; i < candidates->length; i++) {
        if (name_scope(presence, &candidates->all[i], &busiest->scopes[busiest->length]))
            busiest->length++;
    }
    qsort(busiest->scopes, busiest->length, sizeof(*busiest->scopes), compare_scopes);
    return 0;
}

int presence_busiest(struct presence *presence, enum presence_kind kind, uint32_t window_s,
                     size_t limit, struct presence_busiest *ret)
{
    struct presence_busiest busiest = {0};

    if ((unsigned)kind >= SCOPE_KINDS)
        return -EINVAL;
    struct reader_moment moment = reader_moment(presence);
    uint32_t capacity = presence->segment.directory.capacity;
    int r = reader_window(presence, window_s, &window_s);
    if (r < 0)
        return r;
    struct candidates candidates = {.wanted = limit && limit < capacity ? limit : capacity};
    candidates.all = reallocarray(NULL, candidates.wanted, 2 * sizeof(*candidates.all));
    if (!candidates.all)
        return -ENOMEM;
    for (uint32_t i = 0; i < capacity; i++)
        consider(presence, i, (enum scope_kind)kind, window_s, &moment, &candidates);
    keep_best(&candidates);
    r = name_all(presence, &candidates, &busiest);
    free(candidates.all);
    if (r < 0)
        return r;
    busiest.total = candidates.total;
    busiest.moment = reader_reading(presence, &moment, window_s, 0, 0);
    *ret = busiest;
    return 0;
}

void presence_busiest_free(struct presence_busiest *busiest)
{
    free(busiest->scopes);
    *busiest = (struct presence_busiest){0};
}

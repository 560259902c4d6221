/* reader_listing.c - list scopes: one kind in a site, all sites, or one kind in all sites.
 *
 * One pass over the directory keeps only as many candidates as are wanted, and only these get their
 * names copied. */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct candidate {
    uint64_t state;
    uint32_t index, count, last_heartbeat_s;
};

/* The scopes to list, and the candidates so far: room for twice as many as are wanted. When it is
 * full, the busier half stays. */
struct selection {
    enum scope_kind kind;
    uint32_t site; /* index; SCOPE_NONE: all sites */
    uint32_t window_s;
    struct candidate *all;
    size_t length, wanted, total;
    bool partial; /* some may be missing, or have more visitors */
};

static int compare_candidates(const void *left, const void *right)
{
    const struct candidate *a = left, *b = right;

    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return a->index < b->index ? -1 : 1;
}

static void keep_best(struct selection *selection)
{
    qsort(selection->all, selection->length, sizeof(*selection->all), compare_candidates);
    if (selection->length > selection->wanted)
        selection->length = selection->wanted;
}

static void consider(const struct presence *presence, uint32_t index, struct reader_moment *moment,
                     struct selection *selection)
{
    const struct scope_entry *entry = &presence->segment.directory.entries[index];
    uint64_t state = atomic_load_acquire(&entry->state); /* pairs with create_scope's release */

    if (scope_state_of(state) == SCOPE_FREE)
        return;
    /* Relaxed: believed only if the entry is the same afterwards. */
    uint32_t site = atomic_load_relaxed(&entry->site);
    uint8_t kind = atomic_load_relaxed(&entry->kind);
    if (selection->site != SCOPE_NONE && site != selection->site)
        return;
    if (kind == SCOPE_SITE && selection->kind != SCOPE_SITE)
        selection->partial |=
            reader_labels_refused(presence, index, selection->kind, selection->window_s, moment);
    if (kind != selection->kind)
        return;
    struct candidate candidate = {
        .state = state,
        .index = index,
        .count = reader_count(presence, index, selection->window_s, moment),
        .last_heartbeat_s = reader_last_heartbeat(presence, index, moment),
    };
    if (reader_is_gone(presence, candidate.last_heartbeat_s) || !scope_is_same(entry, state))
        return;
    selection->total++;
    selection->all[selection->length++] = candidate;
    if (selection->length == 2 * selection->wanted)
        keep_best(selection);
}

static bool copy_entry_name(const struct scope_entry *entry, char ret[PRESENCE_NAME_MAX + 1])
{
    uint8_t length = atomic_load_relaxed(&entry->name_length); /* once: it may change */

    return length > 0 && reader_copy_name(entry->name, length, ret);
}

/* Copy a candidate's names. False if the entry no longer belongs to the scope that was counted. */
static bool name_scope(const struct presence *presence, const struct candidate *candidate,
                       const struct selection *selection, const struct reader_moment *moment,
                       struct presence_busy_scope *ret)
{
    const struct directory *directory = &presence->segment.directory;
    const struct scope_entry *entry = &directory->entries[candidate->index];
    struct reader_scope scope = {.index = candidate->index, .state = candidate->state};

    scope.site = atomic_load_relaxed(&entry->site); /* once: it may change */
    if (scope.site >= directory->capacity)
        return false;
    const struct scope_entry *site = &directory->entries[scope.site];
    scope.site_state = atomic_load_acquire(&site->state); /* pairs with create_scope's release */
    if (scope_state_of(scope.site_state) == SCOPE_FREE ||
        atomic_load_relaxed(&site->kind) != SCOPE_SITE || !copy_entry_name(site, ret->site))
        return false;
    ret->name[0] = '\0';
    if (scope.site != scope.index && !copy_entry_name(entry, ret->name))
        return false;
    ret->count = candidate->count;
    ret->last_heartbeat_s = candidate->last_heartbeat_s;
    ret->partial = reader_is_partial(presence, scope.site, scope.index, selection->kind,
                                     selection->window_s, moment);
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

/* List the busiest scopes of a selection, at most `limit` (0: all). `ret` has no moment yet. */
static int list(const struct presence *presence, struct selection *selection, size_t limit,
                struct reader_moment *moment, struct presence_busiest *ret)
{
    uint32_t capacity = presence->segment.directory.capacity;

    selection->length = selection->total = 0;
    selection->wanted = limit && limit < capacity ? limit : capacity;
    selection->all = reallocarray(NULL, selection->wanted, 2 * sizeof(*selection->all));
    if (!selection->all)
        return -ENOMEM;
    for (uint32_t i = 0; i < capacity; i++)
        consider(presence, i, moment, selection);
    keep_best(selection);
    struct presence_busiest busiest = {.total = selection->total};
    busiest.scopes = calloc(selection->length + 1, sizeof(*busiest.scopes));
    for (size_t i = 0; busiest.scopes && i < selection->length; i++)
        busiest.length += name_scope(presence, &selection->all[i], selection, moment,
                                     &busiest.scopes[busiest.length]);
    free(selection->all);
    if (!busiest.scopes)
        return -ENOMEM;
    qsort(busiest.scopes, busiest.length, sizeof(*busiest.scopes), compare_scopes);
    *ret = busiest;
    return 0;
}

/* List the same as entries of a listing. Its length is limited after sorting by name, too. */
static int list_entries(const struct presence *presence, struct selection *selection, size_t limit,
                        struct reader_moment *moment, struct presence_listing *listing)
{
    struct presence_busiest busiest;
    int r = list(presence, selection, 0, moment, &busiest);

    if (r < 0)
        return r;
    listing->length = limit && limit < busiest.length ? limit : busiest.length;
    listing->entries = calloc(listing->length + 1, sizeof(*listing->entries));
    for (size_t i = 0; listing->entries && i < listing->length; i++) {
        const struct presence_busy_scope *scope = &busiest.scopes[i];
        struct presence_entry *entry = &listing->entries[i];
        *entry = (struct presence_entry){.count = scope->count,
                                         .last_heartbeat_s = scope->last_heartbeat_s,
                                         .partial = scope->partial};
        strcpy(entry->name, selection->kind == SCOPE_SITE ? scope->site : scope->name);
    }
    presence_busiest_free(&busiest);
    return listing->entries ? 0 : -ENOMEM;
}

/* List the labels of a site once; none if there is no such site. -EAGAIN the site was reused
 * meanwhile. */
static int list_labels(struct presence *presence, const struct reader_place *site,
                       struct selection *selection, size_t limit, struct presence_listing *ret)
{
    struct reader_moment moment = reader_load_moment(presence);
    struct presence_listing listing = {0};
    struct reader_scope scope;
    int r = reader_load(presence, site, selection->window_s, &moment, &listing.site, &scope);

    if (r < 0)
        return r;
    selection->partial = listing.site.partial;
    if (listing.site.exists) {
        selection->site = scope.site;
        r = list_entries(presence, selection, limit, &moment, &listing);
        if (r == 0 && !reader_is_same(presence, &scope))
            r = -EAGAIN;
    }
    listing.partial = selection->partial;
    if (r == 0)
        *ret = listing;
    else
        presence_listing_free(&listing);
    return r;
}

int presence_top(struct presence *presence, const char *site, enum presence_kind kind,
                 uint32_t window_s, size_t limit, struct presence_listing *ret)
{
    struct selection selection = {.kind = (enum scope_kind)kind};
    struct reader_place place;

    if (kind != PRESENCE_ROOM && kind != PRESENCE_COUNTRY && kind != PRESENCE_SOURCE)
        return -EINVAL;
    int r = reader_parse_place(PRESENCE_SITE, site, NULL, &place);
    if (r < 0)
        return r;
    reader_current_moment(presence); /* reopens a replaced segment */
    r = reader_choose_window(presence, window_s, &selection.window_s);
    if (r < 0)
        return r;
    r = -EAGAIN;
    for (int attempt = 0; r == -EAGAIN && attempt < READER_ATTEMPTS; attempt++)
        r = list_labels(presence, &place, &selection, limit, ret);
    return r;
}

int presence_sites(struct presence *presence, uint32_t window_s, struct presence_listing *ret)
{
    struct selection selection = {.kind = SCOPE_SITE, .site = SCOPE_NONE};
    struct reader_moment moment = reader_current_moment(presence);
    struct presence_listing listing;
    int r = reader_choose_window(presence, window_s, &selection.window_s);

    if (r < 0)
        return r;
    r = list_entries(presence, &selection, 0, &moment, &listing);
    if (r < 0)
        return r;
    reader_fill_reading(presence, &moment, selection.window_s, 0, 0, &listing.site);
    listing.partial = reader_sites_refused(presence, selection.window_s, &moment);
    *ret = listing;
    return 0;
}

void presence_listing_free(struct presence_listing *listing)
{
    free(listing->entries);
    *listing = (struct presence_listing){0};
}

int presence_busiest(struct presence *presence, enum presence_kind kind, uint32_t window_s,
                     size_t limit, struct presence_busiest *ret)
{
    struct selection selection = {.kind = (enum scope_kind)kind, .site = SCOPE_NONE};
    struct presence_busiest busiest;

    if ((unsigned)kind >= SCOPE_KINDS)
        return -EINVAL;
    struct reader_moment moment = reader_current_moment(presence);
    int r = reader_choose_window(presence, window_s, &selection.window_s);
    if (r < 0)
        return r;
    r = list(presence, &selection, limit, &moment, &busiest);
    if (r < 0)
        return r;
    reader_fill_reading(presence, &moment, selection.window_s, 0, 0, &busiest.moment);
    busiest.moment.partial =
        selection.partial || reader_sites_refused(presence, selection.window_s, &moment);
    *ret = busiest;
    return 0;
}

void presence_busiest_free(struct presence_busiest *busiest)
{
    free(busiest->scopes);
    *busiest = (struct presence_busiest){0};
}

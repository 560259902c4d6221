#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_AT_FIRST 64

/* A listing that grows, and what it lists. */
struct collection {
    enum scope_kind kind;
    uint32_t site; /* index; meaningless for sites */
    uint32_t window_s;
    size_t capacity;
    struct presence_listing listing;
};

static bool is_wanted(const struct collection *collection, const struct scope_entry *entry,
                      uint64_t state)
{
    return scope_state_of(state) != SCOPE_FREE && entry->kind == collection->kind &&
           (entry->kind == SCOPE_SITE || entry->site == collection->site);
}

static int make_room(struct collection *collection)
{
    struct presence_listing *listing = &collection->listing;

    if (listing->length < collection->capacity)
        return 0;
    size_t capacity = collection->capacity ? collection->capacity * 2 : ENTRIES_AT_FIRST;
    struct presence_entry *entries = reallocarray(listing->entries, capacity, sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    listing->entries = entries;
    collection->capacity = capacity;
    return 0;
}

/* Add the directory's entry if it belongs into the listing. */
static int collect_entry(const struct presence *presence, uint32_t index,
                         struct reader_moment *moment, struct collection *collection)
{
    const struct scope_entry *entry = &presence->segment.directory.entries[index];
    uint64_t state = atomic_load_acquire(&entry->state); /* pairs with create_scope's release */

    if (!is_wanted(collection, entry, state))
        return 0;
    int r = make_room(collection);
    if (r < 0)
        return r;
    struct presence_entry *slot = &collection->listing.entries[collection->listing.length];
    slot->count = reader_count(presence, index, collection->window_s, moment);
    slot->last_heartbeat_s = reader_last_heartbeat(presence, index, moment);
    if (reader_copy_name(entry, slot->name) && !reader_is_gone(presence, slot->last_heartbeat_s) &&
        scope_is_same(entry, state))
        collection->listing.length++;
    return 0;
}

static int collect(const struct presence *presence, struct reader_moment *moment,
                   struct collection *collection)
{
    int r = 0;

    collection->listing.length = 0;
    for (uint32_t i = 0; r == 0 && i < presence->segment.directory.capacity; i++)
        r = collect_entry(presence, i, moment, collection);
    return r;
}

static int compare_entries(const void *left, const void *right)
{
    const struct presence_entry *a = left, *b = right;

    if (a->count != b->count)
        return a->count > b->count ? -1 : 1;
    return strcmp(a->name, b->name);
}

static void sort_and_cut(struct presence_listing *listing, size_t limit)
{
    if (listing->length > 0)
        qsort(listing->entries, listing->length, sizeof(*listing->entries), compare_entries);
    if (limit && listing->length > limit)
        listing->length = limit;
}

/* List the labels of a site once. -EAGAIN: the site was given up meanwhile. */
static int list_labels(struct presence *presence, const struct reader_place *site,
                       struct reader_moment *moment, struct collection *collection)
{
    struct reader_scope scope;
    int r = reader_read(presence, site, collection->window_s, moment, &collection->listing.site,
                        &scope);

    if (r < 0)
        return r;
    collection->site = scope.site;
    r = collect(presence, moment, collection);
    return r == 0 && !reader_is_same(presence, &scope) ? -EAGAIN : r;
}

int presence_top(struct presence *presence, const char *site, enum presence_kind kind,
                 uint32_t window_s, size_t limit, struct presence_listing *ret)
{
    struct collection collection = {.kind = (enum scope_kind)kind};
    struct reader_place place;

    if (kind != PRESENCE_ROOM && kind != PRESENCE_COUNTRY && kind != PRESENCE_SOURCE)
        return -EINVAL;
    int r = reader_place(PRESENCE_SITE, site, NULL, &place);
    if (r < 0)
        return r;
    struct reader_moment moment = reader_moment(presence);
    r = reader_window(presence, window_s, &collection.window_s);
    if (r < 0)
        return r;
    r = -EAGAIN;
    for (int attempt = 0; r == -EAGAIN && attempt < READER_ATTEMPTS; attempt++)
        r = list_labels(presence, &place, &moment, &collection);
    if (r < 0) {
        presence_listing_free(&collection.listing);
        return r;
    }
    sort_and_cut(&collection.listing, limit);
    *ret = collection.listing;
    return 0;
}

int presence_sites(struct presence *presence, uint32_t window_s, struct presence_listing *ret)
{
    struct collection collection = {.kind = SCOPE_SITE};
    struct reader_moment moment = reader_moment(presence);
    int r = reader_window(presence, window_s, &collection.window_s);

    if (r < 0)
        return r;
    r = collect(presence, &moment, &collection);
    if (r < 0) {
        presence_listing_free(&collection.listing);
        return r;
    }
    collection.listing.site = reader_reading(presence, &moment, collection.window_s, 0, 0);
    sort_and_cut(&collection.listing, 0);
    *ret = collection.listing;
    return 0;
}

void presence_listing_free(struct presence_listing *listing)
{
    free(listing->entries);
    *listing = (struct presence_listing){0};
}

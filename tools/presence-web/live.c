#include "live.h"

#include <errno.h>
#include <stdlib.h>

#include "common/monotonic.h"
#include "common/segment_source.h"

/* A collector that is restarted is back within this time. One that has died is not called stale any
 * earlier (SEGMENT_STALE_AGE). */
#define RESTART_S 3

struct live {
    struct segment_source source;
    struct presence_status status;
    int64_t status_at_ns;
};

struct live *live_new(const char *path)
{
    struct live *live = calloc(1, sizeof(*live));

    if (!live)
        return NULL;
    segment_source_init(&live->source, path);
    live->status_at_ns = INT64_MIN / 2;
    return live;
}

void live_free(struct live *live)
{
    if (!live)
        return;
    segment_source_close(&live->source);
    free(live);
}

struct presence *live_presence(struct live *live)
{
    struct presence *presence;

    return segment_source_get(&live->source, &presence) < 0 ? NULL : presence;
}

int live_status(struct live *live, struct presence_status *ret)
{
    struct presence *presence = live_presence(live);
    int64_t now_ns = monotonic_ns();

    if (!presence)
        return -ENODATA;
    struct presence_reading now = presence_freshness(presence);
    if (now_ns - live->status_at_ns >= LIVE_STATUS_NS || now.as_of != live->status.as_of ||
        now.stale != live->status.stale) {
        int r = presence_status(presence, &live->status);
        if (r < 0) {
            segment_source_failed(&live->source, r);
            return -ENODATA;
        }
        live->status_at_ns = now_ns;
    }
    *ret = live->status;
    return 0;
}

uint64_t live_counter(struct live *live, const char *name)
{
    struct presence *presence = live_presence(live);

    return presence ? presence_counter(presence, name) : 0;
}

/* ---- counting ------------------------------------------------------------------------------- */

static struct number number_of(const struct presence_reading *reading)
{
    return (struct number){
        .count = reading->count,
        .window_s = reading->window_s,
        .has_time = true,
        .exists = reading->exists,
        .known = reading->known,
        .partial = reading->partial,
        .stale = reading->stale,
        .warming = reading->warming,
        .may_be_restart = reading->stale && reading->as_of_age_s <= RESTART_S,
        .has_heartbeat = reading->exists,
        .last_heartbeat_s = reading->last_heartbeat_s,
        .as_of = reading->as_of,
        .as_of_age_s = reading->as_of_age_s,
    };
}

struct number live_freshness(struct live *live)
{
    struct presence *presence = live_presence(live);
    struct number none = {.stale = true, .window_s = PRESENCE_DEFAULT_WINDOW};

    if (!presence)
        return none;
    struct presence_reading reading = presence_freshness(presence);
    return number_of(&reading);
}

static int count(struct live *live, const struct place *place, uint32_t *window_s,
                 struct presence_reading *ret)
{
    struct presence *presence = live_presence(live);
    struct presence_status status;

    if (!presence)
        return -ENODATA;
    int r = presence_count(presence, place->site, place_room(place), *window_s, ret);
    if (r != -ERANGE)
        return r;
    r = presence_status(presence, &status);
    if (r < 0)
        return r;
    *window_s = status.max_window_s;
    return presence_count(presence, place->site, place_room(place), *window_s, ret);
}

void live_count(struct live *live, const struct place *place, uint32_t window_s, struct number *ret)
{
    struct presence_reading reading;
    int r = count(live, place, &window_s, &reading);

    if (r == 0) {
        *ret = number_of(&reading);
        return;
    }
    segment_source_failed(&live->source, r);
    *ret = live_freshness(live);
    if (window_s)
        ret->window_s = window_s;
}

/* ---- listings ------------------------------------------------------------------------------- */

int live_load_list(struct live *live, const char *site, enum presence_kind kind, uint32_t window_s,
                   size_t limit, struct live_list *ret)
{
    struct presence *presence = live_presence(live);
    struct presence_listing listing;

    if (!presence)
        return -ENODATA;
    int r = site ? presence_top(presence, site, kind, window_s, limit, &listing)
                 : presence_sites(presence, window_s, &listing);
    if (r < 0)
        return -ENODATA;
    *ret = (struct live_list){.listing = listing,
                              .length = listing.length,
                              .partial = listing.partial,
                              .number = number_of(&listing.site)};
    return 0;
}

void live_list_free(struct live_list *list)
{
    presence_listing_free(&list->listing);
}

struct live_line live_list_line(const struct live_list *list, size_t index)
{
    const struct presence_entry *entry = &list->listing.entries[index];

    return (struct live_line){.name = entry->name,
                              .count = entry->count,
                              .last_heartbeat_s = entry->last_heartbeat_s,
                              .has_heartbeat = true,
                              .partial = entry->partial};
}

/* ---- visitors ------------------------------------------------------------------------------- */

void live_observe(struct live *live, const struct place *place, const char *visitor,
                  uint32_t window_s, struct live_visitor *ret)
{
    enum presence_kind kind = place->room[0] ? PRESENCE_ROOM : PRESENCE_SITE;
    struct presence *presence = live_presence(live);
    struct presence_reading seen = {0};

    if (presence)
        presence_seen_scope(presence, kind, place->site, place_room(place), visitor, &seen);
    ret->age_s = seen.exists ? seen.last_heartbeat_s : LIVE_NEVER_SEEN;
    live_count(live, place, window_s, &ret->number);
}

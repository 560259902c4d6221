#include "live.h"

#include <errno.h>
#include <stdlib.h>

#include "common/monotonic.h"
#include "common/segment_source.h"
#include "total_lists.h"
#include "totals.h"

/* A collector that is restarted is back within this time. One that has died is not called stale any
 * earlier (SEGMENT_STALE_AGE). */
#define RESTART_S 3

struct live {
    struct totals *totals; /* NULL: the segment */
    struct segment_source source;
    struct presence_status status;
    int64_t status_at_ns;
};

struct live *live_new(const char *path, struct totals *totals)
{
    struct live *live = calloc(1, sizeof(*live));

    if (!live)
        return NULL;
    live->totals = totals;
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

struct totals *live_totals(const struct live *live)
{
    return live->totals;
}

bool live_suspend(struct live *live, struct http_request *request)
{
    return live->totals && totals_suspend(live->totals, request);
}

struct presence *live_presence(struct live *live)
{
    struct presence *presence;

    return live->totals || segment_source_get(&live->source, &presence) < 0 ? NULL : presence;
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
        .published_ns = INT64_MIN,
    };
}

struct number live_freshness(struct live *live)
{
    struct presence *presence = live_presence(live);
    struct number none = {
        .stale = true, .window_s = PRESENCE_DEFAULT_WINDOW, .published_ns = INT64_MIN};

    if (live->totals)
        return totals_freshness(live->totals);
    if (!presence)
        return none;
    struct presence_reading reading = presence_freshness(presence);
    return number_of(&reading);
}

/* Shorten a window that is longer than the collector keeps. Return what is wrong otherwise. */
static int shorten_window(struct presence *presence, int error, uint32_t *window_s)
{
    struct presence_status status;
    int r = error == -ERANGE ? presence_status(presence, &status) : error;

    if (r == 0)
        *window_s = status.max_window_s;
    return r;
}

static int count(struct live *live, const struct place *place, uint32_t *window_s,
                 struct presence_reading *ret)
{
    struct presence *presence = live_presence(live);

    if (!presence)
        return -ENODATA;
    int r = presence_count(presence, place->site, place_room(place), *window_s, ret);
    if (r == 0 || shorten_window(presence, r, window_s) < 0)
        return r;
    return presence_count(presence, place->site, place_room(place), *window_s, ret);
}

void live_count(struct live *live, const struct place *place, uint32_t window_s, struct number *ret)
{
    struct presence_reading reading;

    if (live->totals) {
        *ret = totals_count(live->totals, place, window_s);
        return;
    }
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

/* Return a figure that rises with all that changes a number between two ticks: a worker publishes
 * it after the numbers. Empty datagrams, of which each sender sends one a second, don't count. */
static uint64_t count_changes(struct live *live)
{
    if (live->totals)
        return totals_rounds(live->totals);
    return live_counter(live, "heartbeats_new") + live_counter(live, "heartbeats_refreshed") +
           live_counter(live, "heartbeats_left");
}

bool live_is_news(struct live *live, struct live_mark *mark)
{
    struct number number = live_freshness(live);
    struct live_mark now = {.changes = count_changes(live) + 1,
                            .as_of = number.as_of,
                            .stale = number.stale,
                            .warming = number.warming,
                            .may_be_restart = number.may_be_restart};
    bool same = now.changes == mark->changes && now.as_of == mark->as_of &&
                now.stale == mark->stale && now.warming == mark->warming &&
                now.may_be_restart == mark->may_be_restart;

    *mark = now;
    return !same;
}

/* ---- listings ------------------------------------------------------------------------------- */

static int load_totals(struct totals *totals, const struct place *place, enum presence_kind kind,
                       uint32_t window_s, size_t limit, struct live_list *ret)
{
    static const struct place all;
    struct live_list list = {0};
    int r = totals_list(totals, place ? place : &all, kind, window_s, &list.totals, &list.number);

    if (r < 0)
        return r;
    list.length = limit && limit < list.totals->length ? limit : list.totals->length;
    list.more = list.totals->total - list.length;
    list.partial = list.totals->partial;
    *ret = list;
    return 0;
}

static int load_listing(struct presence *presence, const struct place *place,
                        enum presence_kind kind, uint32_t window_s, size_t limit,
                        struct presence_listing *ret)
{
    if (!place)
        return presence_sites(presence, window_s, ret);
    int r = presence_top(presence, place->site, kind, window_s, limit, ret);
    if (r == 0 || shorten_window(presence, r, &window_s) < 0)
        return r;
    return presence_top(presence, place->site, kind, window_s, limit, ret);
}

int live_load_list(struct live *live, const struct place *place, enum presence_kind kind,
                   uint32_t window_s, size_t limit, struct live_list *ret)
{
    struct presence *presence = live_presence(live);
    struct presence_listing listing;

    if (live->totals)
        return load_totals(live->totals, place, kind, window_s, limit, ret);
    int r = presence ? load_listing(presence, place, kind, window_s, limit, &listing) : -ENODATA;
    if (r < 0)
        return r == -ENOMEM ? r : -ENODATA;
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
    if (list->totals) {
        const struct engine_entry *total = &list->totals->entries[index];
        return (struct live_line){.name = total->name,
                                  .count = total->count,
                                  .last_heartbeat_s = total->last_heartbeat_s,
                                  .has_heartbeat = total->quiet,
                                  .partial = total->partial};
    }
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

#include "live.h"

#include <errno.h>
#include <stdlib.h>

#include "common/monotonic.h"
#include "common/segment_source.h"

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
    struct number number = {.has_time = true};
    int r = count(live, place, &window_s, &number.reading);

    if (r < 0) {
        segment_source_failed(&live->source, r);
        struct presence *presence = live_presence(live);
        number.has_time = presence != NULL;
        number.reading =
            presence ? presence_freshness(presence) : (struct presence_reading){.stale = true};
        number.reading.window_s = window_s;
    }
    *ret = number;
}

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

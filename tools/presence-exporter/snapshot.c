#include "snapshot.h"

#include <errno.h>
#include <stdlib.h>

static bool has_window(const struct snapshot *snapshot, uint32_t window_s)
{
    for (unsigned i = 0; i < snapshot->window_count; i++) {
        if (snapshot->windows[i].window_s == window_s)
            return true;
    }
    return false;
}

static void free_window(struct snapshot_window *window)
{
    for (int kind = 0; kind < SNAPSHOT_KINDS; kind++)
        presence_busiest_free(&window->busiest[kind]);
}

static int load_kinds(struct presence *presence, const struct options *options, uint32_t window_s,
                      struct snapshot_window *window)
{
    for (int kind = 0; kind < SNAPSHOT_KINDS; kind++) {
        struct presence_busiest *busiest = &window->busiest[kind];
        size_t limit = options->limits[kind];
        int r = presence_busiest(presence, (enum presence_kind)kind, window_s, limit ? limit : 1,
                                 busiest);
        if (r < 0)
            return r;
        if (limit == 0)
            busiest->length = 0; /* only the number of scopes is shown */
        if (busiest->moment.stale)
            return -ESTALE;
        window->window_s = busiest->moment.window_s;
    }
    return 0;
}

/* Load one window, unless it is longer than the collector counts or equals another one once it is
 * rounded. */
static int load_window(struct presence *presence, const struct options *options, uint32_t window_s,
                       struct snapshot *snapshot)
{
    struct snapshot_window window = {0};
    int r = load_kinds(presence, options, window_s, &window);

    if (r == 0 && !has_window(snapshot, window.window_s)) {
        snapshot->windows[snapshot->window_count++] = window;
        return 0;
    }
    free_window(&window);
    return r == -ERANGE ? 0 : r;
}

static int load_windows(struct presence *presence, const struct options *options,
                        struct snapshot *snapshot)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < options->window_count; i++)
        r = load_window(presence, options, options->windows[i], snapshot);
    return r;
}

/* Load the peaks of the sites. One that has expired since it was listed has none. */
static int load_peaks(struct presence *presence, struct snapshot *snapshot)
{
    const struct presence_busiest *sites = &snapshot->windows[0].busiest[PRESENCE_SITE];

    if (snapshot->window_count == 0 || sites->length == 0)
        return 0;
    snapshot->peaks = calloc(sites->length, sizeof(*snapshot->peaks));
    if (!snapshot->peaks)
        return -ENOMEM;
    for (size_t i = 0; i < sites->length; i++) {
        int r = presence_peaks(presence, PRESENCE_SITE, sites->scopes[i].site, NULL,
                               &snapshot->peaks[i]);
        if (r == -EBADMSG)
            return r;
    }
    return 0;
}

static int load_streams(struct presence *presence, struct snapshot *snapshot)
{
    struct presence_streams *streams = &snapshot->streams;
    int r = presence_streams(presence, streams);

    if (r < 0)
        return r == -EOPNOTSUPP ? 0 : r;
    while (snapshot->streams_heard < streams->length &&
           streams->streams[snapshot->streams_heard].last_s <= SNAPSHOT_STREAMS_S)
        snapshot->streams_heard++;
    return streams->moment.stale ? -ESTALE : 0;
}

static int load_status(struct presence *presence, struct snapshot *snapshot)
{
    int r = presence_status(presence, &snapshot->status);

    if (r < 0)
        return r;
    snapshot->counter_count =
        presence_counters(presence, snapshot->counters, SNAPSHOT_COUNTERS_MAX);
    if (snapshot->counter_count > SNAPSHOT_COUNTERS_MAX)
        snapshot->counter_count = SNAPSHOT_COUNTERS_MAX;
    snapshot->readable = true;
    snapshot->up = !snapshot->status.stale;
    return 0;
}

int snapshot_load(struct segment_source *source, const struct options *options,
                  struct snapshot *ret)
{
    struct snapshot snapshot = {0};
    struct presence *presence;

    if (segment_source_get(source, &presence) < 0) {
        *ret = snapshot;
        return 0;
    }
    int r = load_status(presence, &snapshot);
    if (r == 0 && snapshot.up)
        r = load_windows(presence, options, &snapshot);
    if (r == 0 && snapshot.up)
        r = load_peaks(presence, &snapshot);
    if (r == 0 && snapshot.up)
        r = load_streams(presence, &snapshot);
    if (r == -ESTALE ||
        r == -EBADMSG) { /* the collector has stopped meanwhile, or the segment is damaged */
        segment_source_failed(source, r);
        snapshot_free(&snapshot);
        snapshot.up = false;
        snapshot.readable = r == -ESTALE;
        r = 0;
    }
    if (r < 0) {
        snapshot_free(&snapshot);
        return r;
    }
    *ret = snapshot;
    return 0;
}

void snapshot_free(struct snapshot *snapshot)
{
    for (unsigned i = 0; i < snapshot->window_count; i++)
        free_window(&snapshot->windows[i]);
    snapshot->window_count = 0;
    presence_streams_free(&snapshot->streams);
    snapshot->streams_heard = 0;
    free(snapshot->peaks);
    snapshot->peaks = NULL;
}

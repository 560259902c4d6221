/* snapshot.h - everything that a scrape shows, loaded from the segment at once. */
#ifndef PRESENCE_EXPORTER_SNAPSHOT_H
#define PRESENCE_EXPORTER_SNAPSHOT_H

#include <stdbool.h>

#include "common/segment_source.h"
#include "options.h"
#include "presence/presence.h"

#define SNAPSHOT_COUNTERS_MAX 128
#define SNAPSHOT_KINDS        4 /* enum presence_kind */

#define SNAPSHOT_STREAMS_S    3600 /* seconds: streams that are silent for longer are not shown */

/* The scopes that are shown for one window, by kind. */
struct snapshot_window {
    uint32_t window_s; /* as counted: rounded up to minutes above 480 s */
    struct presence_busiest busiest[SNAPSHOT_KINDS];
};

struct snapshot {
    bool readable; /* there is a segment: status and counters are set */
    bool up;       /* its collector runs, too: the windows are set */
    struct presence_status status;
    struct presence_counter counters[SNAPSHOT_COUNTERS_MAX];
    size_t counter_count;
    struct snapshot_window windows[OPTIONS_WINDOWS_MAX];
    unsigned window_count;
    struct presence_streams streams; /* last heard first; `streams` is NULL if none are kept */
    size_t streams_heard;            /* of these, heard within SNAPSHOT_STREAMS_S */
    struct presence_peaks *peaks; /* of the sites of the first window, in their order; window_s 0:
                                     unknown */
};

/* Load a snapshot; release it with snapshot_free. A segment that is missing or stale is no error.
 * Errors: -ENOMEM; -EAGAIN the collector was restarted meanwhile. */
int snapshot_load(struct segment_source *source, const struct options *options,
                  struct snapshot *ret);

void snapshot_free(struct snapshot *snapshot);

#endif

#include "metrics.h"

#include <inttypes.h>
#include <string.h>

#include "common/edges.h"

#define WINDOW_TEXT_SIZE 16
#define STREAMS_MAX      200 /* that are shown */

/* ---- the collector ----------------------------------------------------------------------- */

static void write_build_info(struct exposition *exposition)
{
    const struct label label = {"version", PRESENCE_VERSION};

    exposition_family(exposition, "build", FAMILY_INFO, "The exporter's version.");
    exposition_sample(exposition, &label, 1, 1);
}

static void write_collector(struct exposition *exposition, const struct presence_status *status)
{
    const struct label labels[] = {{"engine", status->receive}, {"reason", status->receive_reason}};

    exposition_family(exposition, "receive", FAMILY_INFO,
                      "How the collector receives; why not by io_uring, where it could not.");
    exposition_sample(exposition, labels, 2, 1);
    exposition_gauge(exposition, "tick_age_seconds",
                     "How long ago the collector published its last tick: stale when over 3.",
                     status->as_of_age_s);
    exposition_gauge(exposition, "workers", "Receiving threads of the collector.", status->workers);
    exposition_gauge(exposition, "segment_size_bytes", "Size of the shared segment.",
                     status->segment_bytes);
    exposition_gauge(exposition, "table_capacity_entries",
                     "Entries that the visitor table is for: one a visitor and scope.",
                     status->entries_capacity);
    exposition_gauge(exposition, "directory_capacity_scopes",
                     "Sites, rooms, countries and sources that fit the directory.",
                     status->scopes_capacity);
    exposition_gauge(exposition, "history_capacity_scopes",
                     "Scopes whose minutes can be kept; 0: none are.", status->histories_capacity);
}

/* Write what is known only while the collector runs. */
static void write_live(struct exposition *exposition, const struct presence_status *status)
{
    exposition_gauge(exposition, "warming",
                     "1 while counts are lower bounds: the collector began to listen recently.",
                     status->warming);
    exposition_gauge(exposition, "listening_seconds",
                     "Since the collector began to listen, or its last gap of over 10 s.",
                     status->listening_for_s);
    exposition_gauge(exposition, "table_entries", "Slots of the visitor table that are in use.",
                     status->entries_taken);
    exposition_gauge(exposition, "directory_scopes",
                     "Sites, rooms, countries and sources in the directory.", status->scopes_live);
    exposition_gauge(exposition, "history_scopes", "Scopes that have a history.",
                     status->histories_live);
}

/* ---- visitors ---------------------------------------------------------------------------- */

static const struct {
    const char *family, *label, *help;
} kinds[SNAPSHOT_KINDS] = {
    [PRESENCE_SITE] = {"active_visitors", "site", "Visitors who are on a site."},
    [PRESENCE_ROOM] = {"room_active_visitors", "room", "Visitors who are in a room of a site."},
    [PRESENCE_COUNTRY] = {"country_active_visitors", "country",
                          "Visitors on a site who are from a country."},
    [PRESENCE_SOURCE] = {"source_active_visitors", "source",
                         "Visitors on a site who came from a source."},
};

/* Format 300 seconds as 5m. */
static void format_window(uint32_t window_s, char ret[WINDOW_TEXT_SIZE])
{
    uint32_t unit = window_s % 3600 == 0 ? 3600 : window_s % 60 == 0 ? 60 : 1;

    snprintf(ret, WINDOW_TEXT_SIZE, "%" PRIu32 "%c", window_s / unit,
             unit == 3600 ? 'h'
             : unit == 60 ? 'm'
                          : 's');
}

static void write_scopes(struct exposition *exposition, enum presence_kind kind,
                         const struct snapshot_window *window)
{
    const struct presence_busiest *busiest = &window->busiest[kind];
    char text[WINDOW_TEXT_SIZE];

    format_window(window->window_s, text);
    for (size_t i = 0; i < busiest->length; i++) {
        const struct presence_busy_scope *scope = &busiest->scopes[i];
        struct label labels[3] = {{"site", scope->site}};
        size_t count = 1;
        if (kind != PRESENCE_SITE)
            labels[count++] = (struct label){kinds[kind].label, scope->name};
        labels[count++] = (struct label){"window", text};
        exposition_sample(exposition, labels, count, scope->count);
    }
}

static void write_visitors(struct exposition *exposition, const struct snapshot *snapshot)
{
    for (int kind = 0; kind < SNAPSHOT_KINDS; kind++) {
        exposition_family(exposition, kinds[kind].family, FAMILY_GAUGE, kinds[kind].help);
        for (unsigned i = 0; i < snapshot->window_count; i++)
            write_scopes(exposition, (enum presence_kind)kind, &snapshot->windows[i]);
    }
}

/* Write the ages for the sites of the first window. */
static void write_heartbeat_ages(struct exposition *exposition,
                                 const struct snapshot_window *window)
{
    const struct presence_busiest *sites = &window->busiest[PRESENCE_SITE];

    exposition_family(exposition, "site_last_heartbeat_age_seconds", FAMILY_GAUGE,
                      "How long ago a site's last heartbeat came.");
    for (size_t i = 0; i < sites->length; i++) {
        const struct label label = {"site", sites->scopes[i].site};
        exposition_sample(exposition, &label, 1, sites->scopes[i].last_heartbeat_s);
    }
}

/* Write for each kind of scope, and for each site, whether its numbers are lower bounds. */
static void write_partial(struct exposition *exposition, const struct snapshot_window *window)
{
    const struct presence_busiest *sites = &window->busiest[PRESENCE_SITE];

    exposition_family(exposition, "partial", FAMILY_GAUGE,
                      "1 while scopes of this kind, or visitors of them, were refused for want of "
                      "room within the window: some are missing, or have more visitors.");
    for (int kind = 0; kind < SNAPSHOT_KINDS; kind++) {
        const struct label label = {"kind", kinds[kind].label};
        exposition_sample(exposition, &label, 1, window->busiest[kind].moment.partial);
    }
    exposition_family(exposition, "site_partial", FAMILY_GAUGE,
                      "1 while a site's visitors are a lower bound: some were refused within the "
                      "window.");
    for (size_t i = 0; i < sites->length; i++) {
        const struct label label = {"site", sites->scopes[i].site};
        exposition_sample(exposition, &label, 1, sites->scopes[i].partial);
    }
}

/* Write the peaks of today and ever of each site whose peaks are known and not 0. */
static void write_peak_family(struct exposition *exposition, const struct snapshot *snapshot,
                              uint64_t (*value_of)(const struct presence_peak *peak))
{
    const struct presence_busiest *sites = &snapshot->windows[0].busiest[PRESENCE_SITE];
    char window[WINDOW_TEXT_SIZE];

    for (size_t i = 0; snapshot->peaks && i < sites->length; i++) {
        const struct presence_peaks *peaks = &snapshot->peaks[i];
        if (!peaks->window_s)
            continue;
        format_window(peaks->window_s, window);
        struct label labels[] = {
            {"site", sites->scopes[i].site}, {"period", "today"}, {"window", window}};
        if (peaks->today.count)
            exposition_sample(exposition, labels, 3, value_of(&peaks->today));
        labels[1].value = "ever";
        if (peaks->ever.count)
            exposition_sample(exposition, labels, 3, value_of(&peaks->ever));
    }
}

static uint64_t peak_count(const struct presence_peak *peak)
{
    return peak->count;
}

static uint64_t peak_time(const struct presence_peak *peak)
{
    return peak->at > 0 ? (uint64_t)peak->at : 0;
}

static void write_peaks(struct exposition *exposition, const struct snapshot *snapshot)
{
    exposition_family(exposition, "peak_visitors", FAMILY_GAUGE,
                      "The most visitors that were on a site at a time, today (UTC) and ever.");
    write_peak_family(exposition, snapshot, peak_count);
    exposition_family(exposition, "peak_timestamp_seconds", FAMILY_GAUGE,
                      "When that was, in seconds since 1970.");
    write_peak_family(exposition, snapshot, peak_time);
}

/* Write how many scopes there are, shown or not, so that a limit that is too low is noticed. */
static void write_totals(struct exposition *exposition, const struct snapshot_window *window)
{
    exposition_family(exposition, "active_scopes", FAMILY_GAUGE,
                      "How many sites, rooms, countries and sources had a heartbeat within the "
                      "longest window, whether they are shown here or not.");
    for (int kind = 0; kind < SNAPSHOT_KINDS; kind++) {
        const struct label label = {"kind", kinds[kind].label};
        exposition_sample(exposition, &label, 1, window->busiest[kind].total);
    }
}

/* ---- streams ----------------------------------------------------------------------------- */

static void write_stream_family(struct exposition *exposition, const struct snapshot *snapshot,
                                const char *name, const char *help,
                                uint64_t (*value_of)(const struct presence_stream *stream))
{
    exposition_family(exposition, name, FAMILY_COUNTER, help);
    for (size_t i = 0; i < snapshot->streams_heard && i < STREAMS_MAX; i++) {
        const struct presence_stream *stream = &snapshot->streams.streams[i];
        char key[8], id[EDGES_ID_SIZE], target[8];
        snprintf(key, sizeof(key), "%d", stream->key_id);
        edges_format_id(stream, id);
        snprintf(target, sizeof(target), "%d", stream->target);
        const struct label labels[] = {
            {"address", stream->address}, {"key", key}, {"stream", id}, {"target", target}};
        exposition_sample(exposition, labels, 4, value_of(stream));
    }
}

static uint64_t stream_expected(const struct presence_stream *stream)
{
    return stream->expected;
}

static uint64_t stream_received(const struct presence_stream *stream)
{
    return stream->received;
}

/* Write the streams heard last, and how many more there are, so that the limit is noticed. */
static void write_streams(struct exposition *exposition, const struct snapshot *snapshot)
{
    size_t heard = snapshot->streams_heard;

    write_stream_family(exposition, snapshot, "stream_datagrams_expected",
                        "Datagrams of a sender's stream that were sent: from the lowest sequence "
                        "number received to the highest.",
                        stream_expected);
    write_stream_family(exposition, snapshot, "stream_datagrams_received",
                        "Datagrams of a sender's stream that were received, each once.",
                        stream_received);
    exposition_gauge(
        exposition, "streams_not_shown",
        "Streams heard within the last hour that are not shown: only 200 are, the last "
        "heard.",
        heard > STREAMS_MAX ? heard - STREAMS_MAX : 0);
}

/* ---- counters ---------------------------------------------------------------------------- */

/* Families whose counters a label distinguishes: those whose names have the prefix, and others. */
static const struct group {
    const char *prefix, *others[4];
    const char *family, *label, *help;
} groups[] = {
    {"datagrams_rejected_",
     {NULL},
     "datagrams_rejected",
     "reason",
     "Datagrams that were not counted."},
    {"heartbeats_",
     {"table_full", "scopes_full", "sender_new_exceeded", "site_refused"},
     "heartbeats",
     "outcome",
     "Visitors of accepted datagrams, by what became of them at their site."},
    {"label_",
     {"room_too_long"},
     "labels_dropped",
     "reason",
     "Rooms, countries and sources in which a visitor of a site was not counted."},
    {"xdp_dropped_", {NULL}, "xdp_dropped", "reason", "Datagrams that the XDP filter dropped."},
};

#define GROUPS (sizeof(groups) / sizeof(groups[0]))

static const struct group *find_group(const char *name)
{
    for (size_t i = 0; i < GROUPS; i++) {
        const struct group *group = &groups[i];
        if (strncmp(name, group->prefix, strlen(group->prefix)) == 0)
            return group;
        for (size_t other = 0; other < 4; other++) {
            if (group->others[other] && strcmp(name, group->others[other]) == 0)
                return group;
        }
    }
    return NULL;
}

static const char *label_value(const struct group *group, const char *name)
{
    size_t length = strlen(group->prefix);

    return strncmp(name, group->prefix, length) == 0 ? name + length : name;
}

static void write_group(struct exposition *exposition, const struct snapshot *snapshot,
                        const struct group *group)
{
    exposition_family(exposition, group->family, FAMILY_COUNTER, group->help);
    for (size_t i = 0; i < snapshot->counter_count; i++) {
        const struct presence_counter *counter = &snapshot->counters[i];
        if (find_group(counter->name) != group)
            continue;
        const struct label label = {group->label, label_value(group, counter->name)};
        exposition_sample(exposition, &label, 1, counter->value);
    }
}

/* Write all counters; a group is written as one family in the place of its first member. */
static void write_counters(struct exposition *exposition, const struct snapshot *snapshot)
{
    bool written[GROUPS] = {false};

    for (size_t i = 0; i < snapshot->counter_count; i++) {
        const struct presence_counter *counter = &snapshot->counters[i];
        const struct group *group = find_group(counter->name);
        if (!group) {
            char help[256];
            snprintf(help, sizeof(help), "%s.", counter->help);
            exposition_family(exposition, counter->name, FAMILY_COUNTER, help);
            exposition_sample(exposition, NULL, 0, counter->value);
        } else if (!written[group - groups]) {
            written[group - groups] = true;
            write_group(exposition, snapshot, group);
        }
    }
}

void metrics_write(struct exposition *exposition, const struct snapshot *snapshot)
{
    exposition_gauge(exposition, "up", "1 while the collector runs and its numbers are of now.",
                     snapshot->up);
    write_build_info(exposition);
    if (snapshot->readable)
        write_collector(exposition, &snapshot->status);
    if (snapshot->up)
        write_live(exposition, &snapshot->status);
    if (snapshot->up && snapshot->window_count) {
        write_visitors(exposition, snapshot);
        write_heartbeat_ages(exposition, &snapshot->windows[0]);
        write_partial(exposition, &snapshot->windows[0]);
        write_peaks(exposition, snapshot);
        write_totals(exposition, &snapshot->windows[0]);
    }
    if (snapshot->up && snapshot->streams.streams)
        write_streams(exposition, snapshot);
    if (snapshot->readable)
        write_counters(exposition, snapshot);
    exposition_end(exposition);
}

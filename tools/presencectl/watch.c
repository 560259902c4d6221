/* watch.c - the live view: loads its model and redraws once a second. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/monotonic.h"
#include "presencectl.h"
#include "show.h"
#include "terminal.h"
#include "timeline.h"
#include "watch_view.h"

#define PERIOD_MS     1000
#define DEFAULT_SINCE 3600 /* seconds in the graph */
#define SPAN_MIN      600
#define EVENTS_KEPT   256
#define LIST_LIMIT    CANVAS_ROWS_MAX

struct watch {
    struct presence *presence;
    const struct options *options;
    const char *site;
    uint32_t span_s; /* of the graph */
    struct watch_model model;
    struct presence_event events[EVENTS_KEPT];
    uint64_t next_event;
    uint64_t heartbeats; /* the counters' sum at `heartbeats_at_ms` */
    int64_t heartbeats_at_ms;
};

/* ---- loading ----------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    return monotonic_ns() / NS_PER_MS;
}

static void load_counters(struct watch *watch)
{
    struct watch_model *model = &watch->model;
    struct presence_counter counters[128];
    size_t length = presence_counters(watch->presence, counters, 128);
    uint64_t heartbeats = 0;
    int64_t now = now_ms();

    model->rejected = model->dropped = 0;
    for (size_t i = 0; i < length && i < 128; i++) {
        const char *name = counters[i].name;
        if (strncmp(name, "heartbeats_", 11) == 0)
            heartbeats += counters[i].value;
        else if (strncmp(name, "datagrams_rejected_", 19) == 0)
            model->rejected += counters[i].value;
        else if (strncmp(name, "xdp_dropped_", 12) == 0 || strcmp(name, "socket_drops") == 0)
            model->dropped += counters[i].value;
    }
    if (watch->heartbeats_at_ms && now > watch->heartbeats_at_ms && heartbeats >= watch->heartbeats)
        model->heartbeats_per_s = (double)(heartbeats - watch->heartbeats) * 1000 /
                                  (double)(now - watch->heartbeats_at_ms);
    watch->heartbeats = heartbeats;
    watch->heartbeats_at_ms = now;
}

/* Load the minutes of the graph; without a history it stays as it is. Returns 0 or -ENOMEM. */
static int load_graph(struct watch *watch)
{
    struct presence_history history;
    int64_t until = time(NULL), since = until - watch->span_s;
    struct timeline timeline = {0};
    struct graph graph;

    if (presence_history(watch->presence, PRESENCE_SITE, watch->site, NULL, since, 0, &history) < 0)
        return 0;
    int r = timeline_begin(&history, 0, 60, &timeline);
    presence_history_free(&history);
    if (r == 0)
        r = timeline_end(&timeline);
    if (r == 0 && timeline.length > 0) {
        r = graph_init(timeline.steps, timeline.length, 60, SPAN_MIN, since, until, &graph);
        if (r == 0) {
            graph_free(&watch->model.graph);
            watch->model.graph = graph;
        }
    }
    timeline_free(&timeline);
    return r;
}

/* Append new events and drop the oldest beyond EVENTS_KEPT. */
static void keep_events(struct watch *watch, const struct presence_event *events, size_t length)
{
    size_t kept = watch->model.events_length;

    if (length >= EVENTS_KEPT) {
        events += length - EVENTS_KEPT;
        length = EVENTS_KEPT;
    }
    if (kept + length > EVENTS_KEPT) {
        size_t gone = kept + length - EVENTS_KEPT;
        memmove(watch->events, watch->events + gone, (kept - gone) * sizeof(*watch->events));
        kept -= gone;
    }
    memcpy(watch->events + kept, events, length * sizeof(*events));
    watch->model.events = watch->events;
    watch->model.events_length = kept + length;
}

static void load_events(struct watch *watch)
{
    struct presence_events page;
    size_t length;

    do {
        if (presence_events(watch->presence, watch->site, watch->next_event, EVENTS_KEPT, &page) <
            0)
            return;
        if (page.length > 0)
            keep_events(watch, page.events, page.length);
        length = page.length;
        watch->next_event = page.next;
        presence_events_free(&page);
    } while (length == EVENTS_KEPT);
}

static int load_list(struct watch *watch)
{
    struct watch_model *model = &watch->model;
    struct presence_listing listing;
    int r = presence_top(watch->presence, watch->site, model->by, 0, LIST_LIMIT, &listing);

    presence_listing_free(&model->listing);
    if (r < 0)
        return r;
    if (!watch->options->all)
        listing_drop_empty(&listing);
    model->listing = listing;
    return 0;
}

/* Load the whole model. What changes too fast to be read (-EAGAIN) is left for the next second. */
static int load_model(struct watch *watch)
{
    struct watch_model *model = &watch->model;
    struct presence_peaks peaks;
    int r = presence_status(watch->presence, &model->status);

    if (r < 0)
        return r;
    r = presence_activity(watch->presence, PRESENCE_SITE, watch->site, NULL, &model->activity);
    if (r == -EAGAIN) {
        model->activity =
            (struct presence_activity){.reading = presence_freshness(watch->presence)};
        r = 0;
    }
    if (model->activity.reading.last_heartbeat_s > QUIET_AGE)
        model->edges = edges_load(watch->presence, model->activity.reading.last_heartbeat_s);
    if (r == 0)
        r = load_list(watch);
    if (r < 0 && r != -EAGAIN)
        return r;
    model->peak = (struct presence_peak){0};
    if (presence_peaks(watch->presence, PRESENCE_SITE, watch->site, NULL, &peaks) == 0)
        model->peak = peaks.today;
    load_counters(watch);
    load_events(watch);
    return load_graph(watch);
}

/* ---- the screen -------------------------------------------------------------------------- */

static int draw(const struct watch *watch, bool clear)
{
    unsigned columns, rows;
    struct canvas canvas;

    terminal_size(&columns, &rows);
    int r = canvas_init(columns, rows, watch->options->unicode, show_in_colour(), &canvas);
    if (r < 0)
        return r;
    watch_draw(&canvas, &watch->model);
    r = terminal_show(&canvas, clear);
    canvas_free(&canvas);
    return r;
}

/* Handle a key. Returns false if it ends the view. */
static bool handle_key(struct watch *watch, char key)
{
    static const char kinds[] = {
        [PRESENCE_ROOM] = 'r', [PRESENCE_COUNTRY] = 'c', [PRESENCE_SOURCE] = 's'};

    for (size_t kind = PRESENCE_ROOM; kind < sizeof(kinds); kind++) {
        if (key == kinds[kind])
            watch->model.by = (enum presence_kind)kind;
    }
    return key != 'q' && key != 'Q';
}

static int run_screen(struct watch *watch)
{
    int64_t due = now_ms();
    bool clear = true, goes_on = true;
    int r = terminal_open();

    while (r == 0 && goes_on) {
        char key = '\0';
        int64_t now = now_ms();
        if (now >= due) {
            r = load_model(watch);
            due = now + PERIOD_MS;
        }
        if (r == 0)
            r = draw(watch, clear);
        clear = false;
        if (r < 0)
            break;
        switch (terminal_wait((int)(due > now ? due - now : 0), &key)) {
        case TERMINAL_TIMEOUT:
            break;
        case TERMINAL_KEY:
            goes_on = handle_key(watch, key);
            due = 0;
            break;
        case TERMINAL_RESIZE:
            clear = true;
            break;
        case TERMINAL_END:
            goes_on = false;
        }
    }
    terminal_close();
    return r == -EIO ? 0 : r; /* the terminal is gone */
}

/* ---- lines, if stdout is no terminal ----------------------------------------------------- */

static void print_json(const struct watch *watch)
{
    const struct presence_activity *activity = &watch->model.activity;
    const struct presence_reading *reading = &activity->reading;
    json_t *object = json_object();

    json_object_set_new(object, "site", json_string(watch->site));
    json_object_set_new(object, "window_s", json_integer(reading->window_s));
    json_object_set_new(object, "count", json_of_count(answer_of(reading)));
    json_object_set_new(object, "entries", json_integer((json_int_t)activity->entries));
    json_object_set_new(object, "leaves", json_integer((json_int_t)activity->leaves));
    json_object_set_new(object, "departures", json_integer((json_int_t)activity->departures));
    json_object_set_new(object, "heartbeats", json_integer((json_int_t)activity->heartbeats));
    json_set_marks(object, answer_of(reading));
    json_print(object);
}

static void print_line(const struct watch *watch)
{
    const struct presence_activity *activity = &watch->model.activity;
    const struct presence_reading *reading = &activity->reading;

    printf("%s  ", show_time(reading->as_of).text);
    if (reading->known)
        printf("%" PRIu32 " visitor%s", reading->count, plural_of(reading->count));
    else
        fputs("unknown", stdout);
    if (activity->has_history)
        printf("  +%" PRIu64 " -%" PRIu64 " in a minute", activity->entries,
               activity->leaves + activity->departures);
    printf("%s%s%s\n", reading->stale ? "  [stale]" : "", reading->warming ? "  [warming]" : "",
           reading->partial ? "  [partial]" : "");
}

/* Print a line a second until nobody reads stdout any more. Returns 0 or a negative errno. */
static int run_lines(struct watch *watch)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    int r;

    while ((r = load_model(watch)) == 0) {
        if (watch->options->json)
            print_json(watch);
        else
            print_line(watch);
        if (fflush(stdout) != 0)
            break;
        if (poll(&out, 1, PERIOD_MS) > 0 && out.revents & (POLLERR | POLLHUP | POLLNVAL))
            break;
    }
    return r;
}

/* ---- the command ------------------------------------------------------------------------- */

/* Report a site that does not exist: its name is probably wrong. Returns an exit status. */
static int check_site(struct presence *presence, const struct options *options, const char *site)
{
    struct presence_reading reading;
    int r = presence_count(presence, site, NULL, 0, &reading);

    if (r == -EAGAIN || (r == 0 && reading.exists))
        return EXIT_FINE;
    return r < 0 ? report_error(r, presence, options)
                 : report_answer(presence, &reading, NULL, show_name(site).text);
}

static uint32_t choose_span(const struct options *options)
{
    int64_t now = time(NULL);
    int64_t span = now - since_seconds(&options->since, DEFAULT_SINCE, now);

    return span < SPAN_MIN ? SPAN_MIN : span > 86400 ? 86400 : (uint32_t)span;
}

int command_watch(struct presence *presence, const struct options *options, char **arguments)
{
    if (!argument_site(arguments[0]))
        return EXIT_USAGE;
    int status = check_site(presence, options, arguments[0]);
    if (status != EXIT_FINE)
        return status;

    struct watch *watch = calloc(1, sizeof(*watch));
    if (!watch) {
        report("out of memory");
        exit(EXIT_FAILED);
    }
    watch->presence = presence;
    watch->options = options;
    watch->site = arguments[0];
    watch->span_s = choose_span(options);
    watch->model =
        (struct watch_model){.site = watch->site, .by = options->by, .heartbeats_per_s = -1};
    watch->next_event = PRESENCE_EVENTS_OLDEST;
    int r = terminal_is_usable() && !options->json ? run_screen(watch) : run_lines(watch);
    if (r < 0)
        status = report_error(r, presence, options);
    else
        status = report_reading(presence, &watch->model.activity.reading, "this was the count",
                                watch->model.activity.reading.exists ? show_name(watch->site).text
                                                                     : NULL);
    presence_listing_free(&watch->model.listing);
    graph_free(&watch->model.graph);
    free(watch);
    return status;
}

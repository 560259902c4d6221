/* watch.c - the live view: what it shows is read once a second. */
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
    struct graph_point *points;
    struct presence_event events[EVENTS_KEPT];
    uint64_t next_event;
    uint64_t heartbeats; /* counted so far, at `heartbeats_at` */
    int64_t heartbeats_at_ms;
};

/* ---- reading ----------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    return monotonic_ns() / NS_PER_MS;
}

static void read_counters(struct watch *watch)
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

/* Where the graph begins: with what is known, if that is later than what was asked for; and where
 * the minutes do. */
static int64_t graph_begin(const struct watch *watch, const struct presence_history *history,
                           int64_t until)
{
    int64_t last = history->minutes[history->length - 1].start;
    int64_t begin = until - SPAN_MIN;

    if (begin > history->minutes[0].start)
        begin = history->minutes[0].start;
    if (begin < until - watch->span_s)
        begin = until - watch->span_s;
    return last - (last - begin) / 60 * 60;
}

/* The minutes of the graph; without a history it stays as it is. */
static void read_graph(struct watch *watch)
{
    struct presence_history history;
    int64_t until = time(NULL);

    if (presence_history(watch->presence, PRESENCE_SITE, watch->site, NULL, until - watch->span_s,
                         0, &history) < 0)
        return;
    if (history.length > 0) {
        int64_t begin = graph_begin(watch, &history, until);
        unsigned count = (unsigned)((until - begin) / 60 + 1);
        memset(watch->points, 0, count * sizeof(*watch->points));
        for (size_t i = 0; i < history.length; i++) {
            const struct presence_minute *minute = &history.minutes[i];
            int64_t index = (minute->start - begin) / 60;
            if (minute->start >= begin && index < count && minute->seconds)
                watch->points[index] = (struct graph_point){
                    .mean = minute->mean, .maximum = minute->maximum, .known = true};
        }
        watch->model.graph =
            (struct graph){.points = watch->points, .count = count, .begin = begin, .step_s = 60};
    }
    presence_history_free(&history);
}

/* Let the new events push out the oldest. */
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

static void read_events(struct watch *watch)
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

static int read_list(struct watch *watch)
{
    struct watch_model *model = &watch->model;
    struct presence_listing listing;
    int r = presence_top(watch->presence, watch->site, model->by, 0, LIST_LIMIT, &listing);

    presence_listing_free(&model->listing);
    if (r == 0)
        model->listing = listing;
    return r == -ENOENT ? 0 : r;
}

/* Read all of it. What changes too fast to be read now is there a second later. */
static int read_model(struct watch *watch)
{
    struct watch_model *model = &watch->model;
    struct presence_peaks peaks;
    int r = presence_status(watch->presence, &model->status);

    if (r < 0)
        return r;
    r = presence_activity(watch->presence, PRESENCE_SITE, watch->site, NULL, &model->activity);
    model->known = r == 0;
    if (r == -ENOENT || r == -EAGAIN)
        r = read_moment(watch->presence, watch->options, &model->activity.reading);
    if (r == 0)
        r = read_list(watch);
    if (r < 0 && r != -EAGAIN)
        return r;
    model->peak = (struct presence_peak){0};
    if (presence_peaks(watch->presence, PRESENCE_SITE, watch->site, NULL, &peaks) == 0)
        model->peak = peaks.today;
    read_counters(watch);
    read_graph(watch);
    read_events(watch);
    return 0;
}

/* ---- the screen -------------------------------------------------------------------------- */

static int show(const struct watch *watch, bool anew)
{
    unsigned columns, rows;
    struct canvas canvas;

    terminal_size(&columns, &rows);
    int r = canvas_open(columns, rows, watch->options->unicode, show_in_colour(), &canvas);
    if (r < 0)
        return r;
    watch_draw(&canvas, &watch->model);
    r = terminal_show(&canvas, anew);
    canvas_close(&canvas);
    return r;
}

/* Act on a key. False: it ends the view. */
static bool press(struct watch *watch, char key)
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
    bool anew = true, goes_on = true;
    int r = terminal_open();

    while (r == 0 && goes_on) {
        char key = '\0';
        int64_t now = now_ms();
        if (now >= due) {
            r = read_model(watch);
            due = now + PERIOD_MS;
        }
        if (r == 0)
            r = show(watch, anew);
        anew = false;
        if (r < 0)
            break;
        switch (terminal_wait((int)(due > now ? due - now : 0), &key)) {
        case TERMINAL_TIME:
            break;
        case TERMINAL_KEY:
            goes_on = press(watch, key);
            due = 0;
            break;
        case TERMINAL_RESIZE:
            anew = true;
            break;
        case TERMINAL_END:
            goes_on = false;
        }
    }
    terminal_close();
    return r == -EIO ? 0 : r; /* the terminal is gone */
}

/* ---- lines, where there is no screen ----------------------------------------------------- */

static void print_json(const struct watch *watch)
{
    const struct presence_activity *activity = &watch->model.activity;
    const struct presence_reading *reading = &activity->reading;
    json_t *object = json_object();

    json_object_set_new(object, "site", json_string(watch->site));
    json_object_set_new(object, "window_s", json_integer(reading->window_s));
    json_object_set_new(object, "count",
                        watch->model.known ? json_integer(reading->count) : json_null());
    json_object_set_new(object, "entries", json_integer((json_int_t)activity->entries));
    json_object_set_new(object, "leaves", json_integer((json_int_t)activity->leaves));
    json_object_set_new(object, "departures", json_integer((json_int_t)activity->departures));
    json_object_set_new(object, "heartbeats", json_integer((json_int_t)activity->heartbeats));
    json_set_moment(object, reading->stale, reading->warming, reading->as_of);
    json_print(object);
}

static void print_line(const struct watch *watch)
{
    const struct presence_activity *activity = &watch->model.activity;
    const struct presence_reading *reading = &activity->reading;

    printf("%s  %" PRIu32 " visitor%s", show_time(reading->as_of).text, reading->count,
           reading->count == 1 ? "" : "s");
    if (activity->has_history)
        printf("  +%" PRIu64 " -%" PRIu64 " in a minute", activity->entries,
               activity->leaves + activity->departures);
    printf("%s%s\n", reading->stale ? "  [stale]" : "", reading->warming ? "  [warming]" : "");
}

/* A line a second, until nobody reads them any more. */
static int run_lines(struct watch *watch)
{
    struct pollfd out = {.fd = STDOUT_FILENO};
    int r;

    while ((r = read_model(watch)) == 0) {
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

/* A site that nobody knows is more likely a wrong name than one to be waited for. */
static int check_site(struct presence *presence, const struct options *options, const char *site)
{
    struct presence_reading reading;
    struct presence_status status;
    int r = presence_count(presence, site, NULL, 0, &reading);

    if (r == 0 || r == -EAGAIN)
        return EXIT_FINE;
    if (r == -ENOENT) {
        r = presence_status(presence, &status);
        if (r == 0)
            return complain_unknown(presence, &status, show_name(site).text);
    }
    return complain_of(r, presence, options);
}

static uint32_t choose_span(const struct options *options)
{
    int64_t now = time(NULL);
    int64_t span = now - since_or(&options->since, DEFAULT_SINCE, now);

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
    uint32_t span_s = choose_span(options);
    struct graph_point *points = calloc(span_s / 60 + 2, sizeof(*points));
    if (!watch || !points) {
        complain("out of memory");
        exit(EXIT_FAILED);
    }
    watch->presence = presence;
    watch->options = options;
    watch->site = arguments[0];
    watch->span_s = span_s;
    watch->points = points;
    watch->model =
        (struct watch_model){.site = watch->site, .by = options->by, .heartbeats_per_s = -1};
    watch->next_event = PRESENCE_EVENTS_OLDEST;
    int r = terminal_is_there() && !options->json ? run_screen(watch) : run_lines(watch);
    if (r < 0)
        status = complain_of(r, presence, options);
    else
        status = note_reading(presence, &watch->model.activity.reading, "this was the count",
                              watch->model.known ? show_name(watch->site).text : NULL);
    presence_listing_free(&watch->model.listing);
    free(points);
    free(watch);
    return status;
}

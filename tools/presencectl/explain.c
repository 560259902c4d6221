/* explain.c - explain a count in words: the rules that made it, and how far to trust it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/edges_json.h"
#include "scope.h"
#include "show.h"

#define COUNTERS_MAX 256
#define BAR_COLUMNS  24

struct view {
    struct scope scope;
    struct presence_activity activity;
    struct presence_status status;
    struct edges edges;
    struct presence_counter counters[COUNTERS_MAX];
    size_t counters_length;
    uint64_t received;          /* datagrams */
    uint64_t expected, arrived; /* datagrams in streams */
};

/* Classes of counters of heartbeats that are missing from a number. */
enum loss {
    LOSS_NONE,
    LOSS_REJECTED,  /* because of its content or sender */
    LOSS_DROPPED,   /* before it was parsed */
    LOSS_UNCOUNTED, /* accepted, but a limit was reached or a name was not valid */
};

static enum loss loss_of(const char *name)
{
    static const char *const uncounted[] = {
        "table_full",       "scopes_full",       "sender_new_exceeded",
        "label_table_full", "label_scopes_full", "label_sender_new_exceeded",
        "site_rooms_full",  "site_sources_full", "site_refused",
        "label_invalid",    "room_too_long",
    };

    if (strncmp(name, "datagrams_rejected_", 19) == 0)
        return LOSS_REJECTED;
    if (strcmp(name, "socket_drops") == 0 || strncmp(name, "xdp_dropped_", 12) == 0)
        return LOSS_DROPPED;
    for (size_t i = 0; i < sizeof(uncounted) / sizeof(uncounted[0]); i++) {
        if (strcmp(name, uncounted[i]) == 0)
            return LOSS_UNCOUNTED;
    }
    return LOSS_NONE;
}

static uint64_t sum_of(const struct view *view, enum loss loss)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < view->counters_length; i++) {
        if (loss_of(view->counters[i].name) == loss)
            sum += view->counters[i].value;
    }
    return sum;
}

/* ---- JSON -------------------------------------------------------------------------------- */

static json_t *json_of_losses(const struct view *view, enum loss loss, size_t skip)
{
    json_t *object = json_object();

    for (size_t i = 0; i < view->counters_length; i++) {
        const struct presence_counter *counter = &view->counters[i];
        if (loss_of(counter->name) == loss)
            json_object_set_new(object, counter->name + skip,
                                json_integer((json_int_t)counter->value));
    }
    return object;
}

static json_t *json_of_ages(const struct presence_activity *activity)
{
    json_t *array = json_array();

    for (size_t i = 0; i < activity->bands_length; i++) {
        const struct presence_age_band *band = &activity->bands[i];
        json_array_append_new(
            array, json_pack("{s:I, s:I, s:I}", "from_s", (json_int_t)band->from_s, "to_s",
                             (json_int_t)band->to_s, "visitors", (json_int_t)band->visitors));
    }
    return array;
}

static json_t *json_of_minute(const struct presence_activity *activity)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "seconds", (json_int_t)activity->seconds,
                     "heartbeats", (json_int_t)activity->heartbeats, "entries",
                     (json_int_t)activity->entries, "leaves", (json_int_t)activity->leaves,
                     "departures", (json_int_t)activity->departures);
}

static void print_json(const struct view *view)
{
    const struct presence_activity *activity = &view->activity;
    const struct presence_reading *reading = &activity->reading;
    json_t *object = json_object();

    json_set_scope(object, &view->scope);
    json_object_set_new(object, "window_s", json_integer(reading->window_s));
    json_object_set_new(object, "count", json_of_count(answer_of(reading)));
    json_object_set_new(object, "last_heartbeat_s", json_of_last_heartbeat(answer_of(reading)));
    json_object_set_new(object, "ages", json_of_ages(activity));
    json_object_set_new(object, "last_minute",
                        activity->has_history ? json_of_minute(activity) : json_null());
    json_object_set_new(object, "edges", edges_build(&view->edges));
    json_object_set_new(object, "listening_for_s",
                        json_integer((json_int_t)view->status.listening_for_s));
    json_object_set_new(object, "datagrams_received", json_integer((json_int_t)view->received));
    json_object_set_new(object, "streams_expected", json_integer((json_int_t)view->expected));
    json_object_set_new(object, "streams_received", json_integer((json_int_t)view->arrived));
    json_object_set_new(object, "rejected", json_of_losses(view, LOSS_REJECTED, 19));
    json_object_set_new(object, "dropped", json_of_losses(view, LOSS_DROPPED, 0));
    json_object_set_new(object, "uncounted", json_of_losses(view, LOSS_UNCOUNTED, 0));
    json_set_marks(object, answer_of(reading));
    json_print(object);
}

/* ---- words ------------------------------------------------------------------------------- */

static void print_heading(const char *text)
{
    const char *bold = show_in_colour() ? "\033[1m" : "", *plain = *bold ? "\033[0m" : "";

    printf("\n%s%s%s\n", bold, text, plain);
}

static const char *describe_being(const struct presence_reading *reading)
{
    bool is_one = reading->count == 1;

    if (reading->stale)
        return is_one ? "was last known to be on" : "were last known to be on";
    return is_one ? "is now on" : "are now on";
}

static void print_answer(const struct view *view)
{
    const struct presence_reading *reading = &view->activity.reading;
    const char *bold = show_in_colour() ? "\033[1m" : "", *plain = *bold ? "\033[0m" : "";

    printf("%s%" PRIu32 " visitor%s %s %s%s%s\n", bold, reading->count, plural_of(reading->count),
           describe_being(reading), scope_describe(&view->scope).text,
           reading->stale ? " [stale]" : "", plain);
}

static void print_rules(const struct view *view)
{
    static const char *const places[] = {
        [PRESENCE_SITE] = "for this site",
        [PRESENCE_ROOM] = "for this room",
        [PRESENCE_COUNTRY] = "from this country",
        [PRESENCE_SOURCE] = "with this source",
    };
    const struct presence_reading *reading = &view->activity.reading;

    print_heading("What the number is");
    printf(
        "  All visitors with a heartbeat %s in the last %s, the window. Pages send one\n"
        "  when they are opened, and more while they are open. A visitor counts once, however\n"
        "  many tabs or heartbeats. They stop counting when the window has passed without a\n"
        "  heartbeat, or at once when their page reports that it was left. The number is exact,\n"
        "  not an estimate.\n",
        places[view->scope.kind], show_window(reading->window_s).text);
}

/* Print why a place is quiet, and what to do about it. */
static void print_quiet(const struct view *view)
{
    const struct edges *edges = &view->edges;

    printf("  No heartbeat has come for %s (quiet): %s.\n",
           show_duration(view->activity.reading.last_heartbeat_s).text, edges_show(edges).text);
    if (edges->gone)
        puts("  'presencectl senders' lists them: check the silent ones.");
    else if (edges->alive)
        puts("  But an edge that sends text or version 1 could be gone unnoticed.");
    else
        puts("  Check that it still sends: text and version 1 do not say that they are alive.");
}

static void print_trust(const struct view *view)
{
    const struct presence_reading *reading = &view->activity.reading;
    const struct presence_status *status = &view->status;

    print_heading("How far to trust it");
    if (reading->stale)
        printf("  It is stale: the collector was last active %s ago. This is the number as of\n"
               "  %s.\n",
               show_duration(reading->as_of_age_s).text, show_time(reading->as_of).text);
    else
        printf("  It is fresh: as of %s, %" PRIu64 " s ago.\n", show_time(reading->as_of).text,
               reading->as_of_age_s);
    if (reading->warming)
        printf("  It is too low (warming): the collector has listened for only %s, and needs %s\n"
               "  to hear from everybody.\n",
               show_duration(status->listening_for_s).text, show_window(status->warm_up_s).text);
    else
        printf("  The collector has listened without a gap for %s.\n",
               show_duration(status->listening_for_s).text);
    if (reading->partial)
        puts("  It is too low (partial): not everybody could be counted in the window. See the\n"
             "  last section for the limit to raise.");
    if (reading->last_heartbeat_s > QUIET_AGE)
        print_quiet(view);
    else
        printf("  The last heartbeat came %" PRIu32 " s before that.\n", reading->last_heartbeat_s);
}

static void print_band(const struct presence_age_band *band, uint32_t most, uint32_t all)
{
    char bar[BAR_COLUMNS + 1];
    size_t length = most ? (size_t)((uint64_t)band->visitors * BAR_COLUMNS / most) : 0;

    memset(bar, '#', length);
    bar[length] = '\0';
    printf("  %4" PRIu32 " to %4" PRIu32 " s ago  %10" PRIu32 "  %3.0f %%  %s\n", band->from_s,
           band->to_s, band->visitors, all ? 100.0 * (double)band->visitors / (double)all : 0.0,
           bar);
}

static void print_ages(const struct presence_activity *activity)
{
    uint32_t most = 0, all = 0;

    for (size_t i = 0; i < activity->bands_length; i++) {
        most = activity->bands[i].visitors > most ? activity->bands[i].visitors : most;
        all += activity->bands[i].visitors;
    }
    print_heading("When each of them sent the last heartbeat");
    for (size_t i = 0; i < activity->bands_length; i++)
        print_band(&activity->bands[i], most, all);
}

static void print_minute(const struct view *view)
{
    const struct presence_activity *activity = &view->activity;

    print_heading("In the last minute");
    if (!activity->has_history) {
        puts(view->scope.kind == PRESENCE_SITE
                 ? "  Unknown: the collector had no history left for this site; raise its "
                   "--max-histories."
                 : "  Unknown: the collector keeps minutes of sites and of the busiest rooms,\n"
                   "  countries and sources only.");
        return;
    }
    printf("  %10" PRIu64 "  entered: they had sent no heartbeat for 5 minutes\n",
           activity->entries);
    printf("  %10" PRIu64 "  left: their page reported it\n", activity->leaves);
    printf("  %10" PRIu64 "  departed silently: they sent no heartbeat for the whole window\n",
           activity->departures);
    printf("  %10" PRIu64 "  heartbeat%s came in\n", activity->heartbeats,
           plural_of(activity->heartbeats));
    if (activity->seconds < 60)
        printf("  The collector ran for %" PRIu32 " of the 60 seconds.\n", activity->seconds);
}

static void print_loss(const struct view *view, enum loss loss)
{
    for (size_t i = 0; i < view->counters_length; i++) {
        const struct presence_counter *counter = &view->counters[i];
        if (loss_of(counter->name) == loss && counter->value)
            printf("  %10" PRIu64 "  %s (%s)\n", counter->value, counter->help, counter->name);
    }
}

static void print_losses(const struct view *view)
{
    uint64_t received = view->received;
    uint64_t rejected = sum_of(view, LOSS_REJECTED), dropped = sum_of(view, LOSS_DROPPED);

    print_heading("What is missing from it, for all sites, since the counters started");
    printf("  %" PRIu64 " of %" PRIu64 " datagram%s (%.2f %%) %s rejected%s\n", rejected, received,
           plural_of(received), received ? 100.0 * (double)rejected / (double)received : 0.0,
           rejected == 1 ? "was" : "were", rejected ? ":" : ".");
    print_loss(view, LOSS_REJECTED);
    printf("  %" PRIu64 " %s dropped before they were parsed%s\n", dropped,
           dropped == 1 ? "was" : "were", dropped ? ":" : ".");
    print_loss(view, LOSS_DROPPED);
    if (view->expected) {
        uint64_t lost = view->expected > view->arrived ? view->expected - view->arrived : 0;
        printf("  %" PRIu64 " of %" PRIu64
               " that senders numbered (%.3f %%) %s lost on the way%s\n",
               lost, view->expected, 100.0 * (double)lost / (double)view->expected,
               lost == 1 ? "was" : "were", lost ? ": see 'presencectl senders'." : ".");
    }
    if (sum_of(view, LOSS_UNCOUNTED)) {
        puts("  Of the accepted ones, not everything could be counted:");
        print_loss(view, LOSS_UNCOUNTED);
    }
}

static void print_text(const struct view *view)
{
    print_answer(view);
    print_rules(view);
    print_trust(view);
    print_ages(&view->activity);
    print_minute(view);
    print_losses(view);
}

/* ---- the command ------------------------------------------------------------------------- */

int command_explain(struct presence *presence, const struct options *options, char **arguments)
{
    struct view view = {0};

    if (!scope_parse(options, arguments, &view.scope))
        return EXIT_USAGE;
    struct scope_text place = scope_describe(&view.scope);
    int r = presence_activity(presence, view.scope.kind, view.scope.site, view.scope.name,
                              &view.activity);
    if (r == 0)
        r = presence_status(presence, &view.status);
    if (r < 0)
        return report_error(r, presence, options);
    view.edges = edges_load(presence, view.activity.reading.last_heartbeat_s);
    view.counters_length = presence_counters(presence, view.counters, COUNTERS_MAX);
    if (view.counters_length > COUNTERS_MAX)
        view.counters_length = COUNTERS_MAX;
    view.received = presence_counter(presence, "datagrams_received");
    view.arrived = presence_counter(presence, "streams_received"); /* never ahead of the other */
    view.expected = presence_counter(presence, "streams_expected");
    if (options->json)
        print_json(&view);
    else if (view.activity.reading.exists)
        print_text(&view);
    return report_answer(presence, &view.activity.reading, "this is the number", place.text);
}

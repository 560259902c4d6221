/* status.c - the commands about the collector itself: status, stats and verify. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "presencectl.h"
#include "show.h"

#define COUNTERS_MAX 256

/* ---- status ------------------------------------------------------------------------------ */

static const char *const state_names[] = {
    [PRESENCE_STARTING] = "starting",
    [PRESENCE_LISTENING] = "listening",
    [PRESENCE_STOPPED] = "stopped",
};

static void print_status_json(struct presence *presence, const struct presence_status *status)
{
    json_t *object = json_object();
    const struct {
        const char *name;
        uint64_t value;
    } integers[] = {
        {"as_of_age_s", status->as_of_age_s},
        {"listening_for_s", status->listening_for_s},
        {"warm_up_s", status->warm_up_s},
        {"max_window_s", status->max_window_s},
        {"workers", status->workers},
        {"segment_bytes", status->segment_bytes},
        {"entries_capacity", status->entries_capacity},
        {"entries_live", status->entries_live},
        {"entries_taken", status->entries_taken},
        {"scopes_capacity", status->scopes_capacity},
        {"scopes_live", status->scopes_live},
        {"histories_capacity", status->histories_capacity},
        {"histories_live", status->histories_live},
        {"streams_capacity", status->streams_capacity},
        {"streams_live", status->streams_live},
    };

    json_object_set_new(object, "state", json_string(state_names[status->state]));
    json_set_moment(object, status->stale, status->warming, status->as_of);
    json_object_set_new(object, "partial", json_boolean(status->partial));
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++)
        json_object_set_new(object, integers[i].name, json_integer((json_int_t)integers[i].value));
    json_object_set_new(object, "pid", json_integer(status->pid));
    json_object_set_new(object, "receive", json_string(status->receive));
    json_object_set_new(object, "receive_reason", json_text(status->receive_reason));
    json_object_set_new(object, "filter", json_text(status->filter));
    json_object_set_new(object, "filter_interface", json_text(status->filter_interface));
    json_object_set_new(object, "filter_reason", json_text(status->filter_reason));
    json_object_set_new(object, "spread", json_text(status->spread));
    json_object_set_new(object, "spread_reason", json_text(status->spread_reason));
    json_object_set_new(object, "listen_missing", json_text(status->listen_missing));
    json_object_set_new(object, "keys", json_integer(status->keys));
    json_object_set_new(object, "keys_refused", json_text(status->keys_refused));
    json_object_set_new(object, "segment", json_text(presence_path(presence)));
    json_print(object);
}

static void add(struct libscols_table *table, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add(struct libscols_table *table, const char *name, const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    table_line(table, (const char *const[]){name, text});
}

static void add_capacity(struct libscols_table *table, const char *name, uint64_t used,
                         uint64_t capacity)
{
    add(table, name, "%" PRIu64 " of %" PRIu64 " (%.1f %%)", used, capacity,
        capacity ? 100.0 * (double)used / (double)capacity : 0.0);
}

static void add_keys(struct libscols_table *table, const struct presence_status *status)
{
    if (status->keys == 0)
        add(table, "keys", "none: heartbeats need no signature");
    else if (*status->keys_refused)
        add(table, "keys", "%" PRIu32 " previous; new ones were refused: %s", status->keys,
            status->keys_refused);
    else
        add(table, "keys", "%" PRIu32, status->keys);
}

static const char *spread_text(const char *spread)
{
    if (strcmp(spread, "turn") == 0)
        return "evenly, new ones in turn";
    if (strcmp(spread, "hash") == 0)
        return "by chance, with a hash";
    return strcmp(spread, "none") == 0 ? "one worker has all" : "-";
}

static void print_status(struct presence *presence, const struct presence_status *status)
{
    struct libscols_table *table = table_new();

    scols_table_enable_noheadings(table, 1);
    table_column(table, "NAME", COLUMN_LEFT);
    table_column(table, "VALUE", COLUMN_LEFT);
    add(table, "state", "%s%s%s%s", state_names[status->state], status->stale ? " [stale]" : "",
        status->warming ? " [warming]" : "", status->partial ? " [partial]" : "");
    add(table, "listening for", "%s (since %s)", show_duration(status->listening_for_s).text,
        show_time(status->as_of - (int64_t)status->listening_for_s).text);
    add(table, "last tick", "%s ago (%s)", show_duration(status->as_of_age_s).text,
        show_time(status->as_of).text);
    add(table, "warm-up", "%s", show_window(status->warm_up_s).text);
    add(table, "longest window", "%s", show_window(status->max_window_s).text);
    add(table, "process", "pid %" PRId32 ", %" PRIu32 " worker%s", status->pid, status->workers,
        plural_of(status->workers));
    add(table, "receives by", "%s%s%s", *status->receive ? status->receive : "-",
        *status->receive_reason ? ": " : "", status->receive_reason);
    add(table, "spread of senders", "%s%s%s", spread_text(status->spread),
        *status->spread_reason ? ": " : "", status->spread_reason);
    if (*status->listen_missing)
        add(table, "missing addresses", "%s", status->listen_missing);
    add(table, "XDP filter", "%s%s%s%s%s", *status->filter ? status->filter : "-",
        *status->filter_interface ? " on " : "", status->filter_interface,
        *status->filter_reason ? ": " : "", status->filter_reason);
    add_keys(table, status);
    add_capacity(table, "table entries", status->entries_taken, status->entries_capacity);
    add_capacity(table, "scopes", status->scopes_live, status->scopes_capacity);
    add_capacity(table, "histories", status->histories_live, status->histories_capacity);
    add_capacity(table, "streams", status->streams_live, status->streams_capacity);
    add(table, "segment", "%s, %.1f MB", presence_path(presence),
        (double)status->segment_bytes / 1e6);
    table_print(table);
}

int command_status(struct presence *presence, const struct options *options, char **arguments)
{
    struct presence_status status;
    int r = presence_status(presence, &status);

    (void)arguments;
    if (r < 0)
        return report_error(r, presence, options);
    if (options->json)
        print_status_json(presence, &status);
    else
        print_status(presence, &status);
    return report_status(&status, "this is the status");
}

/* ---- stats ------------------------------------------------------------------------------- */

static void print_counters_json(const struct presence_counter *counters, size_t count)
{
    json_t *object = json_object();

    for (size_t i = 0; i < count; i++)
        json_object_set_new(object, counters[i].name, json_integer((json_int_t)counters[i].value));
    json_print(object);
}

static void print_counters(const struct presence_counter *counters, size_t count)
{
    struct libscols_table *table = table_new();

    table_column(table, "COUNTER", COLUMN_LEFT);
    table_column(table, "VALUE", COLUMN_RIGHT);
    table_column(table, "COUNTS", COLUMN_WRAPPED);
    for (size_t i = 0; i < count; i++) {
        char value[24];
        snprintf(value, sizeof(value), "%" PRIu64, counters[i].value);
        struct libscols_line *line =
            table_line(table, (const char *const[]){counters[i].name, value, counters[i].help});
        if (counters[i].value == 0)
            scols_line_set_color(line, "\033[2m");
    }
    table_print(table);
}

int command_stats(struct presence *presence, const struct options *options, char **arguments)
{
    struct presence_counter counters[COUNTERS_MAX];
    struct presence_status status;
    size_t count = presence_counters(presence, counters, COUNTERS_MAX);
    int r = presence_status(presence, &status);

    (void)arguments;
    if (r < 0)
        return report_error(r, presence, options);
    if (count > COUNTERS_MAX)
        count = COUNTERS_MAX;
    if (options->json)
        print_counters_json(counters, count);
    else
        print_counters(counters, count);
    status.warming = false; /* counters are exact while the collector warms, too */
    return report_status(&status, "these are the counters");
}

/* ---- verify ------------------------------------------------------------------------------ */

static void print_comparison_json(const struct presence_verification *result, bool consistent,
                                  const struct presence_status *status)
{
    json_t *object = json_object();

    json_object_set_new(object, "consistent", json_boolean(consistent));
    json_object_set_new(object, "words", json_integer((json_int_t)result->words));
    json_object_set_new(object, "difference", json_integer((json_int_t)result->difference));
    json_object_set_new(object, "in_flight", json_integer((json_int_t)result->in_flight));
    json_object_set_new(object, "worst_tick_age_s",
                        result->difference ? json_integer((json_int_t)result->worst_tick_age_s)
                                           : json_null());
    json_set_moment(object, status->stale, status->warming, status->as_of);
    json_print(object);
}

static void print_comparison(const struct presence_verification *result, bool consistent)
{
    printf("%s: %" PRIu64 " %s, difference %" PRIu64, consistent ? "consistent" : "different",
           result->words, result->words == 1 ? "entry" : "entries", result->difference);
    if (result->difference)
        printf(" (most at the tick %s ago)", show_duration(result->worst_tick_age_s).text);
    printf(", in flight %" PRIu64 "\n", result->in_flight);
}

int command_verify(struct presence *presence, const struct options *options, char **arguments)
{
    struct presence_verification result;
    struct presence_status status;
    int r = presence_verify(presence, &result);

    (void)arguments;
    if (r == 0)
        r = presence_status(presence, &status);
    if (r < 0)
        return report_error(r, presence, options);

    bool consistent = result.difference <= result.in_flight;
    if (options->json)
        print_comparison_json(&result, consistent, &status);
    else
        print_comparison(&result, consistent);
    if (!consistent) {
        uint64_t more = result.difference - result.in_flight;
        report("table and rings differ by %" PRIu64 " more visitor%s than the %" PRIu64
               " in flight explain%s; what a killed collector left expires %s after the kill",
               more, plural_of(more), result.in_flight, result.in_flight == 1 ? "s" : "",
               show_window(status.max_window_s).text);
        return EXIT_FAILED;
    }
    status.warming = false; /* the comparison is exact while the collector warms, too */
    return report_status(&status, "this is the comparison");
}

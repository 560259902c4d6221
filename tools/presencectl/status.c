#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "presencectl.h"
#include "show.h"

static const char *state_name(enum presence_state state)
{
    switch (state) {
    case PRESENCE_STARTING:
        return "starting";
    case PRESENCE_LISTENING:
        return "listening";
    case PRESENCE_STOPPED:
        break;
    }
    return "stopped";
}

static json_t *text_or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}

static void print_json(struct presence *presence, const struct presence_status *status)
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
        {"visitors_capacity", status->visitors_capacity},
        {"visitors_live", status->visitors_live},
        {"scopes_capacity", status->scopes_capacity},
        {"scopes_live", status->scopes_live},
        {"histories_capacity", status->histories_capacity},
        {"histories_live", status->histories_live},
    };

    json_object_set_new(object, "state", json_string(state_name(status->state)));
    json_set_moment(object, status->stale, status->warming, status->as_of);
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++)
        json_object_set_new(object, integers[i].name, json_integer((json_int_t)integers[i].value));
    json_object_set_new(object, "pid", json_integer(status->pid));
    json_object_set_new(object, "receive", json_string(status->receive));
    json_object_set_new(object, "receive_reason", text_or_null(status->receive_reason));
    json_object_set_new(object, "filter", text_or_null(status->filter));
    json_object_set_new(object, "filter_interface", text_or_null(status->filter_interface));
    json_object_set_new(object, "filter_reason", text_or_null(status->filter_reason));
    json_object_set_new(object, "segment", json_string(presence_path(presence)));
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

static void print_table(struct presence *presence, const struct presence_status *status)
{
    struct libscols_table *table = table_new();

    scols_table_enable_noheadings(table, 1);
    table_column(table, "NAME", COLUMN_LEFT);
    table_column(table, "VALUE", COLUMN_LEFT);
    add(table, "state", "%s%s%s", state_name(status->state), status->stale ? " [stale]" : "",
        status->warming ? " [warming]" : "");
    add(table, "listening for", "%s (since %s)", show_duration(status->listening_for_s).text,
        show_time(status->as_of - (int64_t)status->listening_for_s).text);
    add(table, "last tick", "%s ago (%s)", show_duration(status->as_of_age_s).text,
        show_time(status->as_of).text);
    add(table, "warm-up", "%s", show_window(status->warm_up_s).text);
    add(table, "longest window", "%s", show_window(status->max_window_s).text);
    add(table, "process", "pid %" PRId32 ", %" PRIu32 " worker%s", status->pid, status->workers,
        status->workers == 1 ? "" : "s");
    add(table, "receives by", "%s%s%s", *status->receive ? status->receive : "-",
        *status->receive_reason ? ": " : "", status->receive_reason);
    add(table, "XDP filter", "%s%s%s%s%s", *status->filter ? status->filter : "-",
        *status->filter_interface ? " on " : "", status->filter_interface,
        *status->filter_reason ? ": " : "", status->filter_reason);
    add_capacity(table, "visitor words", status->visitors_live, status->visitors_capacity);
    add_capacity(table, "scopes", status->scopes_live, status->scopes_capacity);
    add_capacity(table, "histories", status->histories_live, status->histories_capacity);
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
        return complain_of(r, presence, options);
    if (options->json)
        print_json(presence, &status);
    else
        print_table(presence, &status);
    return note_status(&status, "this is the status");
}

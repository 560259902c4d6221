#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "csv.h"
#include "events.h"
#include "show.h"

const char *event_kind_name(enum presence_event_kind kind)
{
    switch (kind) {
    case PRESENCE_EVENT_ENTERED:
        return "entered";
    case PRESENCE_EVENT_LEFT:
        return "left";
    case PRESENCE_EVENT_PAGEVIEW:
        return "pageview";
    case PRESENCE_EVENT_CUSTOM:
        return "event";
    }
    return "unknown";
}

/* ---- lines for people -------------------------------------------------------------------- */

static void print_field(const char *before, const char *name)
{
    if (*name)
        printf("%s%s", before, show_line_name(name).text);
}

static void print_line(const struct events_writer *writer, const struct presence_event *event)
{
    printf("%" PRIu64 "  %s  %-8s  %-2s", event->sequence, show_time_us(event->time_us).text,
           event_kind_name(event->kind), event->country);
    if (!writer->site)
        print_field("  ", event->site);
    print_field("  ", event->room);
    print_field("  from ", event->source);
    print_field("  event ", event->name);
    putchar('\n');
}

/* ---- comma-separated values -------------------------------------------------------------- */

static void print_headings(void)
{
    static const char *const headings[] = {"sequence", "time",    "kind",   "site",
                                           "room",     "country", "source", "event"};
    struct csv csv = {.out = stdout};

    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        csv_text(&csv, headings[i]);
    csv_end_line(&csv);
}

static void print_values(const struct presence_event *event)
{
    const char *const names[] = {event->site, event->room, event->country, event->source,
                                 event->name};
    struct csv csv = {.out = stdout};
    bool show = isatty(STDOUT_FILENO);

    csv_integer(&csv, event->sequence);
    csv_text(&csv, show_time_us(event->time_us).text);
    csv_text(&csv, event_kind_name(event->kind));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        csv_name(&csv, names[i], show);
    csv_end_line(&csv);
}

/* ---- JSON -------------------------------------------------------------------------------- */

static json_t *string_or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}

static json_t *json_of_event(const struct presence_event *event)
{
    json_t *object = json_object();

    json_object_set_new(object, "sequence", json_integer((json_int_t)event->sequence));
    json_object_set_new(object, "time", json_string(show_time_us(event->time_us).text));
    json_object_set_new(object, "kind", json_string(event_kind_name(event->kind)));
    json_object_set_new(object, "site", json_string(event->site));
    json_object_set_new(object, "room", string_or_null(event->room));
    json_object_set_new(object, "country", string_or_null(event->country));
    json_object_set_new(object, "source", string_or_null(event->source));
    json_object_set_new(object, "event", string_or_null(event->name));
    return object;
}

void events_write_gap(const struct events_writer *writer, uint64_t missed, bool renewed)
{
    if (!writer->options->json || (missed == 0 && !renewed))
        return;
    json_t *object = json_object();
    json_object_set_new(object, "missed", json_integer((json_int_t)missed));
    json_object_set_new(object, "renewed", json_boolean(renewed));
    json_print(object);
}

int events_print_json(struct presence *presence, const struct events_writer *writer,
                      const struct presence_events *events, uint64_t next, uint64_t missed,
                      bool renewed)
{
    struct presence_status status;
    int r = presence_status(presence, &status);

    if (r < 0)
        return complain_of(r, presence, writer->options);
    json_t *object = json_object(), *array = json_array();
    for (size_t i = 0; i < events->length; i++)
        json_array_append_new(array, json_of_event(&events->events[i]));
    json_object_set_new(object, "site", writer->site ? json_string(writer->site) : json_null());
    json_object_set_new(object, "events", array);
    json_object_set_new(object, "next", json_integer((json_int_t)next));
    json_object_set_new(object, "missed", json_integer((json_int_t)missed));
    json_object_set_new(object, "renewed", json_boolean(renewed));
    json_set_moment(object, status.stale, status.warming, status.as_of);
    json_print(object);
    return EXIT_FINE;
}

/* ---- any of them ------------------------------------------------------------------------- */

void events_begin(const struct events_writer *writer)
{
    if (writer->options->csv && !writer->options->json)
        print_headings();
}

void events_write(const struct events_writer *writer, const struct presence_events *events)
{
    for (size_t i = 0; i < events->length; i++) {
        const struct presence_event *event = &events->events[i];
        if (writer->options->json)
            json_print(json_of_event(event));
        else if (writer->options->csv)
            print_values(event);
        else
            print_line(writer, event);
    }
}

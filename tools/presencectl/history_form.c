/* history_form.c - a history as a table, as comma-separated values and as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "csv.h"
#include "history.h"
#include "show.h"

static const char *mark_of(const struct presence_minute *step)
{
    return step->warming ? "warming" : step->running ? "running" : "";
}

void history_table(const struct history_view *view)
{
    static const char *const headings[] = {"FROM", "LOWEST", "MEAN",      "HIGHEST",   "ENTERED",
                                           "LEFT", "GONE",   "PAGEVIEWS", "HEARTBEATS"};
    struct libscols_table *table = table_new();

    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        table_column(table, headings[i], i ? COLUMN_RIGHT : COLUMN_LEFT);
    table_column(table, "", COLUMN_LEFT);
    for (size_t i = 0; i < view->timeline.length; i++) {
        const struct presence_minute *step = &view->timeline.steps[i];
        const uint64_t values[] = {step->entries, step->leaves, step->departures, step->pageviews,
                                   step->heartbeats};
        char minimum[16], mean[32], maximum[16], texts[5][24];
        snprintf(minimum, sizeof(minimum), "%" PRIu32, step->minimum);
        snprintf(mean, sizeof(mean), "%.1f", step->mean);
        snprintf(maximum, sizeof(maximum), "%" PRIu32, step->maximum);
        for (size_t j = 0; j < 5; j++)
            snprintf(texts[j], sizeof(texts[j]), "%" PRIu64, values[j]);
        table_line(table, (const char *const[]){show_time(step->start).text, minimum, mean, maximum,
                                                texts[0], texts[1], texts[2], texts[3], texts[4],
                                                mark_of(step)});
    }
    table_print(table);
}

void history_csv(const struct history_view *view)
{
    static const char *const headings[] = {
        "site",    "room",    "country",    "source",  "time",       "step_s",
        "seconds", "minimum", "mean",       "maximum", "heartbeats", "pageviews",
        "entries", "leaves",  "departures", "warming", "running"};
    struct csv csv = {.out = stdout};
    bool show = isatty(STDOUT_FILENO);

    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        csv_text(&csv, headings[i]);
    csv_end_line(&csv);
    for (size_t i = 0; i < view->timeline.length; i++) {
        const struct presence_minute *step = &view->timeline.steps[i];
        const uint64_t values[] = {step->maximum, step->heartbeats, step->pageviews, step->entries,
                                   step->leaves,  step->departures, step->warming,   step->running};
        csv_name(&csv, view->place.site, show);
        for (enum presence_kind kind = PRESENCE_ROOM; kind <= PRESENCE_SOURCE; kind++)
            csv_name(&csv, place_label(&view->place, kind), show);
        csv_text(&csv, show_time(step->start).text);
        csv_integer(&csv, view->step_s);
        csv_integer(&csv, step->seconds);
        csv_integer(&csv, step->minimum);
        csv_number(&csv, step->mean);
        for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++)
            csv_integer(&csv, values[j]);
        csv_end_line(&csv);
    }
}

static json_t *json_of_step(const struct presence_minute *step)
{
    json_t *object = json_object();
    const struct {
        const char *name;
        uint64_t value;
    } integers[] = {
        {"heartbeats", step->heartbeats}, {"pageviews", step->pageviews},
        {"entries", step->entries},       {"leaves", step->leaves},
        {"departures", step->departures},
    };

    json_object_set_new(object, "time", json_string(show_time(step->start).text));
    json_object_set_new(object, "seconds", json_integer(step->seconds));
    json_object_set_new(object, "minimum", json_integer(step->minimum));
    json_object_set_new(object, "mean", json_real(step->mean));
    json_object_set_new(object, "maximum", json_integer(step->maximum));
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++)
        json_object_set_new(object, integers[i].name, json_integer((json_int_t)integers[i].value));
    json_object_set_new(object, "warming", json_boolean(step->warming));
    json_object_set_new(object, "running", json_boolean(step->running));
    return object;
}

void history_json(const struct history_view *view)
{
    const struct presence_reading *reading = &view->reading;
    json_t *object = json_object(), *steps = json_array();

    for (size_t i = 0; i < view->timeline.length; i++)
        json_array_append_new(steps, json_of_step(&view->timeline.steps[i]));
    json_set_place(object, &view->place);
    json_object_set_new(object, "window_s", json_integer(reading->window_s));
    json_object_set_new(object, "count", view->known ? json_integer(reading->count) : json_null());
    json_object_set_new(object, "since", json_string(show_time(view->since).text));
    json_object_set_new(object, "step_s", json_integer(view->step_s));
    json_object_set_new(object, "history", steps);
    json_set_moment(object, reading->stale, reading->warming,
                    reading->as_of ? reading->as_of : view->until);
    json_print(object);
}

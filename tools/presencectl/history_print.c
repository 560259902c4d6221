/* history_print.c - print a history as a table, comma-separated values, JSON or a graph. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "graph.h"
#include "history.h"
#include "show.h"
#include "terminal.h"

#define ROWS_DEFAULT 18
#define SPAN_MIN     1800 /* seconds: a graph shows at least so much, with blanks before it */
#define ROWS_BESIDE  6    /* lines above and below the graph, and the prompt */

/* ---- the time that is covered ------------------------------------------------------------ */

bool history_is_shortened(const struct history_view *view)
{
    return view->timeline.first - view->since >= 60;
}

struct range_text history_describe_range(const struct history_view *view)
{
    int64_t first = view->timeline.first;
    struct range_text ret;

    snprintf(ret.text, sizeof(ret.text), "%s of %s: nothing is recorded from %s to %s",
             show_duration((uint64_t)(view->until - first)).text,
             show_duration((uint64_t)(view->until - view->since)).text, show_time(view->since).text,
             show_time(first).text);
    return ret;
}

int64_t history_recorded_until(const struct history_view *view)
{
    int64_t end = view->timeline.last + 60;

    return view->timeline.last == 0 ? 0 : end < view->until ? end : view->until;
}

/* ---- tables, comma-separated values and JSON --------------------------------------------- */

static const char *mark_of(const struct timeline_step *step)
{
    return step->warming ? "warming" : step->partial ? "partial" : step->running ? "running" : "";
}

static void history_table(const struct history_view *view)
{
    static const char *const headings[] = {"FROM", "LOWEST",   "MEAN",      "HIGHEST",   "ENTERED",
                                           "LEFT", "DEPARTED", "PAGEVIEWS", "HEARTBEATS"};
    struct libscols_table *table = table_new();

    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        table_column(table, headings[i], i ? COLUMN_RIGHT : COLUMN_LEFT);
    table_column(table, "", COLUMN_LEFT);
    for (size_t i = 0; i < view->timeline.length; i++) {
        const struct timeline_step *step = &view->timeline.steps[i];
        const uint64_t values[] = {step->entries, step->leaves, step->departures, step->pageviews,
                                   step->heartbeats};
        char minimum[24], mean[32], maximum[24], texts[5][24] = {"-", "-", "-", "-", "-"};
        snprintf(minimum, sizeof(minimum), "%" PRIu64, step->minimum);
        snprintf(mean, sizeof(mean), "%.1f", step->mean);
        snprintf(maximum, sizeof(maximum), "%" PRIu64, step->maximum);
        for (size_t j = 0; step->has_traffic && j < 5; j++)
            snprintf(texts[j], sizeof(texts[j]), "%" PRIu64, values[j]);
        table_line(table, (const char *const[]){show_time(step->start).text, minimum, mean, maximum,
                                                texts[0], texts[1], texts[2], texts[3], texts[4],
                                                mark_of(step)});
    }
    table_print(table);
}

static void history_csv(const struct history_view *view)
{
    static const char *const headings[] = {
        "site",    "room",    "country",    "source",  "time",       "step_s",
        "seconds", "minimum", "mean",       "maximum", "heartbeats", "pageviews",
        "entries", "leaves",  "departures", "warming", "running",    "partial"};
    struct csv csv = {.out = stdout};
    bool show = isatty(STDOUT_FILENO);

    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        csv_text(&csv, headings[i]);
    csv_end_line(&csv);
    for (size_t i = 0; i < view->timeline.length; i++) {
        const struct timeline_step *step = &view->timeline.steps[i];
        const uint64_t traffic[] = {step->heartbeats, step->pageviews, step->entries, step->leaves,
                                    step->departures};
        csv_name(&csv, view->scope.site, show);
        for (enum presence_kind kind = PRESENCE_ROOM; kind <= PRESENCE_SOURCE; kind++)
            csv_name(&csv, scope_label(&view->scope, kind), show);
        csv_text(&csv, show_time(step->start).text);
        csv_integer(&csv, view->step_s);
        csv_integer(&csv, step->seconds);
        csv_integer(&csv, step->minimum);
        csv_number(&csv, step->mean);
        csv_integer(&csv, step->maximum);
        for (size_t j = 0; j < sizeof(traffic) / sizeof(traffic[0]); j++)
            csv_known(&csv, traffic[j], step->has_traffic);
        csv_integer(&csv, step->warming);
        csv_integer(&csv, step->running);
        csv_integer(&csv, step->partial);
        csv_end_line(&csv);
    }
}

static json_t *json_of_step(const struct timeline_step *step)
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
    json_object_set_new(object, "minimum", json_of_number(step->minimum));
    json_object_set_new(object, "mean", json_real(step->mean));
    json_object_set_new(object, "maximum", json_of_number(step->maximum));
    for (size_t i = 0; i < sizeof(integers) / sizeof(integers[0]); i++)
        json_object_set_new(object, integers[i].name,
                            step->has_traffic ? json_of_number(integers[i].value) : json_null());
    json_object_set_new(object, "warming", json_boolean(step->warming));
    json_object_set_new(object, "running", json_boolean(step->running));
    if (step->partial)
        json_object_set_new(object, "partial", json_true());
    return object;
}

static json_t *json_of_time(int64_t seconds)
{
    return seconds ? json_string(show_time(seconds).text) : json_null();
}

static void history_json(const struct history_view *view)
{
    const struct answer *answer = &view->answer;
    json_t *object = json_object(), *steps = json_array();

    for (size_t i = 0; i < view->timeline.length; i++)
        json_array_append_new(steps, json_of_step(&view->timeline.steps[i]));
    json_set_scope(object, &view->scope);
    json_object_set_new(object, "window_s", json_integer(answer->window_s));
    json_object_set_new(object, "count", json_of_count(*answer));
    json_object_set_new(object, "since", json_string(show_time(view->since).text));
    json_object_set_new(object, "until", json_string(show_time(view->until).text));
    json_object_set_new(object, "recorded_since", json_of_time(view->timeline.first));
    json_object_set_new(object, "recorded_until", json_of_time(history_recorded_until(view)));
    json_object_set_new(object, "step_s", json_integer(view->step_s));
    json_object_set_new(object, "history", steps);
    json_set_marks(object, *answer);
    json_print(object);
}

/* ---- graphs ------------------------------------------------------------------------------ */

/* Get the terminal's columns and the rows that a graph may have. */
static void graph_size(unsigned *ret_columns, unsigned *ret_rows)
{
    const char *columns = getenv("COLUMNS");
    unsigned rows = ROWS_DEFAULT + ROWS_BESIDE;

    *ret_columns = columns ? (unsigned)strtoul(columns, NULL, 10) : 80;
    if (isatty(STDOUT_FILENO))
        terminal_size(ret_columns, &rows);
    rows = rows > ROWS_BESIDE ? rows - ROWS_BESIDE : 0;
    *ret_rows = rows < ROWS_DEFAULT ? rows : ROWS_DEFAULT;
    if (*ret_columns < GRAPH_COLUMNS_MIN)
        *ret_columns = GRAPH_COLUMNS_MIN;
    if (*ret_rows < GRAPH_ROWS_MIN)
        *ret_rows = GRAPH_ROWS_MIN;
}

static void print_canvas(const struct canvas *canvas)
{
    for (unsigned row = 0; row < canvas->rows; row++) {
        char *text = canvas_row(canvas, row);
        puts(text ? text : "");
        free(text);
    }
}

static void print_header(const struct history_view *view)
{
    const struct answer *answer = &view->answer;
    const char *bold = show_in_colour() ? "\033[1m" : "", *plain = *bold ? "\033[0m" : "";

    printf("%s%s", bold, scope_describe(&view->scope).text);
    if (answer->known)
        printf(": %" PRIu64 " visitor%s in the last %s, as of %s", answer->count,
               plural_of(answer->count), show_window(answer->window_s).text,
               show_time(answer->as_of).text);
    printf("%s%s%s\n", answer->stale ? " [stale]" : "", answer->warming ? " [warming]" : "", plain);
    if (history_is_shortened(view))
        printf("%s\n", history_describe_range(view).text);
}

/* Print the maximum and the step that had it. */
static void print_highest(const struct timeline *timeline, uint64_t maximum, int64_t began)
{
    if (timeline->step_s <= 60)
        printf("highest %" PRIu64 " in the minute of %s", maximum, show_time(began).text);
    else
        printf("highest %" PRIu64 " in the %s from %s", maximum, show_window(timeline->step_s).text,
               show_time(began).text);
}

static void print_sum(const struct timeline *timeline)
{
    int64_t highest;
    struct timeline_step sum = timeline_sum(timeline, &highest);

    print_highest(timeline, sum.maximum, highest);
    printf(", lowest %" PRIu64 ", mean %.1f\n", sum.minimum, sum.mean);
    if (!sum.has_traffic)
        return;
    printf("%" PRIu64 " entered, %" PRIu64 " left and %" PRIu64 " departed silently; %" PRIu64
           " pageview%s, %" PRIu64 " heartbeat%s\n",
           sum.entries, sum.leaves, sum.departures, sum.pageviews, plural_of(sum.pageviews),
           sum.heartbeats, plural_of(sum.heartbeats));
}

static void history_graph(const struct history_view *view, const struct options *options)
{
    const struct timeline *timeline = &view->timeline;
    int64_t since = view->until - SPAN_MIN;
    unsigned columns, rows;
    struct canvas canvas;
    struct graph graph = {0};

    graph_size(&columns, &rows);
    if (timeline->first < since || view->step_s > 60) /* a long step would fill unknown time */
        since = timeline->first;
    if (since < view->since)
        since = view->since;
    if (graph_init(timeline->steps, timeline->length, view->step_s, SPAN_MIN, since, view->until,
                   &graph) < 0 ||
        canvas_init(columns, rows, options->unicode, show_in_colour(), &canvas) < 0) {
        report("out of memory");
        exit(EXIT_FAILED);
    }
    graph_draw(&canvas, 0, 0, rows, columns, &graph);
    print_header(view);
    print_canvas(&canvas);
    print_sum(timeline);
    canvas_free(&canvas);
    graph_free(&graph);
}

/* ---- all of these ------------------------------------------------------------------------- */

void history_print(const struct history_view *view, const struct options *options)
{
    if (options->json)
        history_json(view);
    else if (options->csv)
        history_csv(view);
    else if (options->table)
        history_table(view);
    else
        history_graph(view, options);
}

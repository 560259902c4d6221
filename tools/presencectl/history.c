/* history.c - print counts over time, of segment and database: as a graph, table, CSV or JSON. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "archive/archive.h"
#include "graph.h"
#include "scope.h"
#include "show.h"
#include "terminal.h"
#include "timeline.h"

#define DEFAULT_SINCE 21600 /* seconds: six hours */
#define TABLE_LINES   60    /* a table of a longer time gets longer steps */
#define GRAPH_STEPS   2880  /* likewise a graph, where a column can show several steps */
#define ROWS_DEFAULT  18
#define SPAN_MIN      1800 /* seconds: a graph shows at least so much, with blanks before it */
#define ROWS_BESIDE   6    /* lines above and below the graph, and the prompt */

struct history_view {
    struct scope scope;
    struct presence_reading reading;
    int64_t since, until; /* Unix seconds */
    uint32_t step_s;      /* of the timeline */
    struct timeline timeline;
    bool has_database; /* the database was read, too */
};

/* ---- tables, comma-separated values and JSON --------------------------------------------- */

static const char *mark_of(const struct presence_minute *step)
{
    return step->warming ? "warming" : step->running ? "running" : "";
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

static void history_csv(const struct history_view *view)
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
        csv_name(&csv, view->scope.site, show);
        for (enum presence_kind kind = PRESENCE_ROOM; kind <= PRESENCE_SOURCE; kind++)
            csv_name(&csv, scope_label(&view->scope, kind), show);
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

/* Return when the last minute ends, or ended; 0: there is none. */
static int64_t recorded_until(const struct history_view *view)
{
    int64_t end = view->timeline.last + 60;

    return view->timeline.last == 0 ? 0 : end < view->until ? end : view->until;
}

static json_t *json_of_time(int64_t seconds)
{
    return seconds ? json_string(show_time(seconds).text) : json_null();
}

static void history_json(const struct history_view *view)
{
    const struct presence_reading *reading = &view->reading;
    json_t *object = json_object(), *steps = json_array();

    for (size_t i = 0; i < view->timeline.length; i++)
        json_array_append_new(steps, json_of_step(&view->timeline.steps[i]));
    json_set_scope(object, &view->scope);
    json_object_set_new(object, "window_s", json_integer(reading->window_s));
    json_object_set_new(object, "count", json_of_count(reading));
    json_object_set_new(object, "since", json_string(show_time(view->since).text));
    json_object_set_new(object, "until", json_string(show_time(view->until).text));
    json_object_set_new(object, "recorded_since", json_of_time(view->timeline.first));
    json_object_set_new(object, "recorded_until", json_of_time(recorded_until(view)));
    json_object_set_new(object, "step_s", json_integer(view->step_s));
    json_object_set_new(object, "history", steps);
    json_set_marks(object, reading);
    json_print(object);
}

/* ---- the time that is covered ------------------------------------------------------------ */

/* True if the first minutes of the time that was asked for are not recorded. */
static bool is_shortened(const struct history_view *view)
{
    return view->timeline.first - view->since >= 60;
}

/* Format which part of the time is recorded, as a clause. */
struct range_text {
    char text[160];
};

static struct range_text describe_range(const struct history_view *view)
{
    int64_t first = view->timeline.first;
    struct range_text ret;

    snprintf(ret.text, sizeof(ret.text), "%s of %s: nothing is recorded from %s to %s",
             show_duration((uint64_t)(view->until - first)).text,
             show_duration((uint64_t)(view->until - view->since)).text, show_time(view->since).text,
             show_time(first).text);
    return ret;
}

/* Report what the history does not cover. The graph says by itself where it begins. */
static void report_range(struct presence *presence, const struct history_view *view,
                         const struct options *options)
{
    bool is_graph = !options->json && !options->csv && !options->table;

    if (is_shortened(view) && !is_graph && options->since.kind != SINCE_NONE)
        report("this history is %s%s", describe_range(view).text,
               view->has_database ? "" : "; the collector keeps 24 h, presence-recorder more");
    if (!presence)
        report("this history is of the database alone, which ends at %s",
               show_time(recorded_until(view)).text);
}

static void report_future(const struct history_view *view)
{
    uint64_t future = view->timeline.future;

    if (future)
        report("left out %" PRIu64 " minute%s of the database that %s still to come: the clock was "
               "ahead when they were recorded",
               future, plural_of(future), future == 1 ? "is" : "are");
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
    const struct presence_reading *reading = &view->reading;
    const char *bold = show_in_colour() ? "\033[1m" : "", *plain = *bold ? "\033[0m" : "";

    printf("%s%s", bold, scope_describe(&view->scope).text);
    if (view->reading.known)
        printf(": %" PRIu32 " visitor%s in the last %s, as of %s", reading->count,
               plural_of(reading->count), show_window(reading->window_s).text,
               show_time(reading->as_of).text);
    printf("%s%s%s\n", reading->stale ? " [stale]" : "", reading->warming ? " [warming]" : "",
           plain);
    if (is_shortened(view))
        printf("%s\n", describe_range(view).text);
}

/* Print the maximum and the step that had it. */
static void print_highest(const struct timeline *timeline, uint32_t maximum, int64_t began)
{
    if (timeline->step_s <= 60)
        printf("highest %" PRIu32 " in the minute of %s", maximum, show_time(began).text);
    else
        printf("highest %" PRIu32 " in the %s from %s", maximum, show_window(timeline->step_s).text,
               show_time(began).text);
}

static void print_sum(const struct timeline *timeline)
{
    int64_t highest;
    struct presence_minute sum = timeline_sum(timeline, &highest);

    print_highest(timeline, sum.maximum, highest);
    printf(", lowest %" PRIu32 ", mean %.1f\n", sum.minimum, sum.mean);
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

/* ---- loading ----------------------------------------------------------------------------- */

/* Find the shortest round step, in seconds, that divides the span into at most `most` steps. */
static uint32_t round_step(int64_t span_s, unsigned most)
{
    static const uint32_t steps[] = {60,   120,   300,   600,   900,   1800,
                                     3600, 10800, 21600, 43200, 86400, 7 * 86400};
    size_t i = 0;

    while (i + 1 < sizeof(steps) / sizeof(steps[0]) && span_s > (int64_t)steps[i] * most)
        i++;
    return steps[i];
}

/* Choose the step for a history that begins at `since`. */
static uint32_t choose_step(const struct history_view *view, const struct options *options,
                            int64_t since)
{
    if (options->step_s)
        return options->step_s;
    if (options->csv || options->json)
        return 60;
    return round_step(view->until - since, options->table ? TABLE_LINES : GRAPH_STEPS);
}

/* Load the segment's minutes: none if there is no segment, or the scope has no history in it.
 * Returns 0 or a negative errno. */
static int load_segment(struct presence *presence, const struct history_view *view,
                        struct presence_history *ret)
{
    const struct scope *scope = &view->scope;

    *ret = (struct presence_history){0};
    if (!presence)
        return 0;
    int r = presence_history(presence, scope->kind, scope->site, scope->name, view->since, 0, ret);
    return r == -ENOENT || r == -EOPNOTSUPP ? 0 : r;
}

static int add_recorded(void *context, const struct archive_minute *minute)
{
    return timeline_add(context, minute);
}

/* Add the database's minutes. Returns an exit status. */
static int add_database(const struct options *options, struct history_view *view)
{
    const struct scope *scope = &view->scope;
    struct archive *archive;
    int status = database_open(options, &archive);

    view->has_database = archive != NULL;
    if (status != EXIT_FINE || !archive)
        return status;
    /* Load from a minute earlier on, since by the segment's clock a minute may start later. */
    int r = archive_history(archive, scope->kind, scope->site, scope->name, view->since - 60,
                            add_recorded, &view->timeline);
    if (r < 0)
        status = report_database_error(r, options, archive);
    archive_close(archive);
    return status;
}

static int load_timeline(struct presence *presence, const struct options *options,
                         struct history_view *view)
{
    struct presence_history held;
    int r = load_segment(presence, view, &held);

    if (r < 0)
        return report_error(r, presence, options);
    timeline_begin(&held, view->since, view->step_s, &view->timeline);
    view->timeline.until = view->until;
    int status = add_database(options, view);
    if (status != EXIT_FINE)
        return status;
    r = timeline_end(&view->timeline);
    if (r < 0) {
        report("out of memory; a longer --step needs less");
        return EXIT_FAILED;
    }
    return EXIT_FINE;
}

/* Load the timeline in steps that suit what is recorded, if that is much less than was asked for.
 */
static int load_history(struct presence *presence, const struct options *options,
                        struct history_view *view)
{
    view->step_s = choose_step(view, options, view->since);
    int status = load_timeline(presence, options, view);
    if (status != EXIT_FINE || view->timeline.length == 0)
        return status;
    uint32_t step_s = choose_step(view, options, view->timeline.first);
    if (step_s == view->step_s)
        return EXIT_FINE;
    view->step_s = step_s;
    timeline_free(&view->timeline);
    return load_timeline(presence, options, view);
}

/* Report why neither the segment nor the database has a minute. Returns an exit status. */
static int report_no_history(struct presence *presence, const struct options *options,
                             const struct history_view *view)
{
    struct scope_text place = scope_describe(&view->scope);
    struct presence_status status;

    if (!presence) {
        report("the database has nothing of %s since %s", place.text, show_time(view->since).text);
        return EXIT_STALE;
    }
    if (!view->reading.exists)
        return report_answer(presence, &view->reading, NULL, place.text);
    int r = presence_status(presence, &status);
    if (r < 0)
        return report_error(r, presence, options);
    if (status.histories_capacity == 0)
        report("this collector keeps no histories; start presenced with --max-histories");
    else if (view->scope.kind == PRESENCE_SITE)
        report("no history of %s: the collector had none left; raise its --max-histories",
               place.text);
    else
        report("no history of %s: the collector keeps only that of the busiest %s", place.text,
               kind_plural(view->scope.kind));
    return EXIT_ABSENT;
}

static void show(const struct history_view *view, const struct options *options)
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

static int report_rest(struct presence *presence, const struct history_view *view)
{
    struct scope_text place = scope_describe(&view->scope);

    if (!presence) /* run() has reported why */
        return EXIT_STALE;
    return report_reading(presence, &view->reading, "this is the history",
                          view->reading.exists ? place.text : NULL);
}

int command_history(struct presence *presence, const struct options *options, char **arguments)
{
    struct timespec now;

    /* time() may be one second behind the clock that --since was counted back from. */
    clock_gettime(CLOCK_REALTIME, &now);
    struct history_view view = {.until = now.tv_sec};
    if (!scope_parse(options, arguments, &view.scope))
        return EXIT_USAGE;
    view.since = since_seconds(&options->since, DEFAULT_SINCE, view.until);
    if (view.since >= view.until) {
        report("--since is not in the past");
        return EXIT_USAGE;
    }
    int r = scope_load(presence, &view.scope, 0, &view.reading);
    if (r < 0)
        return report_error(r, presence, options);
    int status = load_history(presence, options, &view);
    if (status == EXIT_FINE) {
        if (view.timeline.length > 0 || options->json)
            show(&view, options);
        if (view.timeline.length > 0)
            report_range(presence, &view, options);
        report_future(&view);
        status = view.timeline.length > 0 ? report_rest(presence, &view)
                                          : report_no_history(presence, options, &view);
    }
    timeline_free(&view.timeline);
    return status;
}

/* history_graph.c - a history drawn for people. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "graph.h"
#include "history.h"
#include "show.h"

#define ROWS_DEFAULT 18
#define SPAN_MIN     1800 /* seconds: what is known for less has blanks before it */
#define ROWS_BESIDE  6    /* of what is said above and below, and the prompt */

/* The terminal's columns and the rows a graph may have. */
static void graph_size(unsigned *ret_columns, unsigned *ret_rows)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size = {0};

    *ret_columns = columns ? (unsigned)strtoul(columns, NULL, 10) : 80;
    *ret_rows = ROWS_DEFAULT;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        *ret_columns = size.ws_col;
        if (size.ws_row > ROWS_BESIDE && size.ws_row - ROWS_BESIDE < (int)*ret_rows)
            *ret_rows = size.ws_row - ROWS_BESIDE;
    }
    if (*ret_columns < GRAPH_COLUMNS_MIN)
        *ret_columns = GRAPH_COLUMNS_MIN;
    if (*ret_rows < GRAPH_ROWS_MIN)
        *ret_rows = GRAPH_ROWS_MIN;
}

/* Where a graph begins: with what is known, if that is later than what was asked for; and where a
 * step does, or the running one would be split. */
static int64_t graph_begin(const struct history_view *view)
{
    const struct timeline *timeline = &view->timeline;
    int64_t last = timeline->steps[timeline->length - 1].start;
    int64_t begin = view->until - SPAN_MIN;

    if (begin > timeline->steps[0].start)
        begin = timeline->steps[0].start;
    if (begin < view->since)
        begin = view->since;
    return last - (last - begin) / view->step_s * view->step_s;
}

/* A point a step; NULL: no memory. */
static struct graph_point *make_points(const struct history_view *view, struct graph *ret)
{
    int64_t begin = graph_begin(view);
    int64_t count = (view->until - begin) / view->step_s + 1;
    struct graph_point *points = calloc((size_t)count, sizeof(*points));

    for (size_t i = 0; points && i < view->timeline.length; i++) {
        const struct presence_minute *step = &view->timeline.steps[i];
        int64_t index = (step->start - begin) / view->step_s;
        if (step->start < begin || index >= count || step->seconds == 0)
            continue;
        points[index] =
            (struct graph_point){.mean = step->mean, .maximum = step->maximum, .known = true};
    }
    *ret = (struct graph){
        .points = points, .count = (unsigned)count, .begin = begin, .step_s = view->step_s};
    return points;
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

    printf("%s%s", bold, place_describe(&view->place).text);
    if (view->known)
        printf(": %" PRIu32 " visitor%s in the last %s, as of %s", reading->count,
               reading->count == 1 ? "" : "s", show_window(reading->window_s).text,
               show_time(reading->as_of).text);
    printf("%s%s%s\n", reading->stale ? " [stale]" : "", reading->warming ? " [warming]" : "",
           plain);
}

/* "in the minute of", or how long the step is in which it was. */
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
    printf("%" PRIu64 " entered, %" PRIu64 " left and %" PRIu64 " went silently; %" PRIu64
           " pageviews, %" PRIu64 " heartbeats\n",
           sum.entries, sum.leaves, sum.departures, sum.pageviews, sum.heartbeats);
}

void history_graph(const struct history_view *view, const struct options *options)
{
    unsigned columns, rows;
    struct canvas canvas;
    struct graph graph;
    struct graph_point *points = make_points(view, &graph);

    graph_size(&columns, &rows);
    if (!points || canvas_open(columns, rows, options->unicode, show_in_colour(), &canvas) < 0) {
        free(points);
        complain("out of memory");
        exit(EXIT_FAILED);
    }
    graph_draw(&canvas, 0, 0, rows, columns, &graph);
    print_header(view);
    print_canvas(&canvas);
    print_sum(&view->timeline);
    canvas_close(&canvas);
    free(points);
}

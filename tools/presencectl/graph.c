#include "graph.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY             86400
#define EIGHTHS         8
#define ROWS_PER_LABEL  3
#define COLUMNS_BETWEEN 10 /* at least, from one time label to the next */

static const char *const blocks[EIGHTHS + 1] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};

/* The area of the bars, and its scale. */
struct plot {
    unsigned row, column, rows, columns;
    unsigned labels; /* column of the scale's labels */
    double top;      /* value at the upper edge */
};

/* Add a step to a point. Two minutes share one if the wall clock was set between them. */
static void add_point(struct graph_point *point, const struct timeline_step *step)
{
    point->mean = point->known ? (point->mean + step->mean) / 2 : step->mean;
    point->maximum = fmax(point->maximum, (double)step->maximum);
    point->known = true;
}

int graph_init(const struct timeline_step *steps, size_t length, uint32_t step_s,
               uint32_t span_min_s, int64_t since, int64_t until, struct graph *ret)
{
    int64_t first = steps[0].start, last = steps[length - 1].start;
    int64_t from = until - span_min_s < first ? until - span_min_s : first;

    if (from < since)
        from = since;
    if (from >= until) /* the first minute has just begun */
        from = until - 1;
    int64_t begin = last > from ? last - (last - from + step_s - 1) / step_s * step_s : last;
    struct graph graph = {
        .count = (unsigned)((until - begin) / step_s + 1), .begin = begin, .step_s = step_s};
    graph.before_s = (uint32_t)(from - begin);
    graph.after_s = (uint32_t)(begin + (int64_t)graph.count * step_s - until);
    graph.points = calloc(graph.count, sizeof(*graph.points));
    if (!graph.points)
        return -ENOMEM;
    for (size_t i = 0; i < length; i++) {
        int64_t index = (steps[i].start - begin) / step_s;
        if (steps[i].start >= begin && index < graph.count && steps[i].seconds)
            add_point(&graph.points[index], &steps[i]);
    }
    *ret = graph;
    return 0;
}

void graph_free(struct graph *graph)
{
    free(graph->points);
    *graph = (struct graph){0};
}

/* Compute how many seconds the graph shows. */
static uint64_t span_of(const struct graph *graph)
{
    return (uint64_t)graph->count * graph->step_s - graph->before_s - graph->after_s;
}

/* Find the step at the left edge of a column. */
static unsigned step_at(const struct graph *graph, unsigned columns, unsigned index)
{
    return (unsigned)((graph->before_s + index * span_of(graph) / columns) / graph->step_s);
}

struct graph_point graph_column(const struct graph *graph, unsigned columns, unsigned index)
{
    unsigned first = step_at(graph, columns, index);
    unsigned end = index + 1 < columns ? step_at(graph, columns, index + 1) : graph->count;
    struct graph_point sum = {0};
    unsigned known = 0;

    for (unsigned i = first; i < graph->count && (i < end || i == first); i++) {
        const struct graph_point *point = &graph->points[i];
        if (!point->known)
            continue;
        known++;
        sum.mean += point->mean;
        sum.maximum = fmax(sum.maximum, point->maximum);
    }
    if (known == 0)
        return (struct graph_point){0};
    return (struct graph_point){.mean = sum.mean / known, .maximum = sum.maximum, .known = true};
}

/* Find the step with the highest maximum, and that maximum: 0 if no step has visitors. */
static unsigned find_peak(const struct graph *graph, double *ret_maximum)
{
    unsigned peak = 0;

    *ret_maximum = 0;
    for (unsigned i = 0; i < graph->count; i++) {
        if (graph->points[i].known && graph->points[i].maximum > *ret_maximum) {
            *ret_maximum = graph->points[i].maximum;
            peak = i;
        }
    }
    return peak;
}

/* ---- bars -------------------------------------------------------------------------------- */

/* Compute a bar's height in eighths of a row; a value above 0 gets at least one. */
static unsigned height_of(double value, double top, unsigned rows)
{
    double height = top > 0 ? round(value / top * rows * EIGHTHS) : 0;

    if (height < 1)
        return value > 0;
    return height > rows * EIGHTHS ? rows * EIGHTHS : (unsigned)height;
}

/* Compute how many eighths a bar fills of the row that starts `below` eighths above the axis. */
static unsigned filled(unsigned height, unsigned below)
{
    return height <= below ? 0 : height - below < EIGHTHS ? height - below : EIGHTHS;
}

/* Draw a cell: `bar` eighths of it for the mean, `band` eighths for the maximum behind. */
static void draw_cell(struct canvas *canvas, unsigned row, unsigned column, unsigned bar,
                      unsigned band)
{
    if (!canvas->unicode) {
        if (bar >= EIGHTHS / 2 || (bar && bar == band))
            canvas_put(canvas, row, column, INK_GRAPH, INK_PLAIN, "#");
        else if (band >= EIGHTHS / 2)
            canvas_put(canvas, row, column, INK_BAND, INK_PLAIN, ":");
    } else if (bar == 0 && band > 0 && canvas->in_colour) {
        canvas_put(canvas, row, column, INK_BAND, INK_PLAIN, blocks[band]);
    } else if (bar == 0 && band >= EIGHTHS / 2) {
        canvas_put(canvas, row, column, INK_BAND, INK_PLAIN, "░");
    } else if (bar > 0) {
        bool behind = bar < EIGHTHS && band == EIGHTHS;
        canvas_put(canvas, row, column, INK_GRAPH, behind ? INK_BAND : INK_PLAIN, blocks[bar]);
    }
}

static void draw_bar(struct canvas *canvas, const struct plot *plot, unsigned index,
                     const struct graph_point *point)
{
    unsigned bar = height_of(point->mean, plot->top, plot->rows);
    unsigned band = height_of(point->maximum, plot->top, plot->rows);

    for (unsigned i = 0; i < plot->rows; i++)
        draw_cell(canvas, plot->row + plot->rows - 1 - i, plot->column + index,
                  filled(bar, i * EIGHTHS), filled(band, i * EIGHTHS));
}

/* Label the peak above the bars. */
static void mark_peak(struct canvas *canvas, const struct plot *plot, const struct graph *graph)
{
    double count;
    unsigned highest = find_peak(graph, &count);

    if (count == 0)
        return;
    uint64_t end_s = (highest + UINT64_C(1)) * graph->step_s - graph->before_s;
    unsigned index = (unsigned)((end_s * plot->columns - 1) / span_of(graph));
    if (index >= plot->columns)
        index = plot->columns - 1;
    char text[64];
    snprintf(text, sizeof(text), "%.0f", count);
    unsigned row = plot->row - 1, width = (unsigned)strlen(text);
    canvas_put(canvas, row, plot->column + index, INK_BOLD, INK_PLAIN, canvas->unicode ? "▼" : "v");
    if (index + 2 + width <= plot->columns)
        canvas_text(canvas, row, plot->column + index + 2, width, INK_BOLD, text);
    else if (index >= width + 1)
        canvas_text(canvas, row, plot->column + index - 1 - width, width, INK_BOLD, text);
}

/* ---- labels ------------------------------------------------------------------------------ */

double graph_scale_step(double highest, unsigned most)
{
    static const double factors[] = {1, 2, 5};

    for (double power = 1;; power *= 10) {
        for (unsigned i = 0; i < 3; i++) {
            double step = factors[i] * power;
            if (step * (most ? most : 1) >= highest)
                return step;
        }
    }
}

int64_t graph_time_step(double column_s, unsigned columns)
{
    static const int64_t steps[] = {
        60,       2 * 60,   5 * 60,   10 * 60,   15 * 60, 30 * 60, 3600,
        2 * 3600, 3 * 3600, 6 * 3600, 12 * 3600, DAY,     2 * DAY, 7 * DAY,
    };
    double least = column_s * columns;

    for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if ((double)steps[i] >= least)
            return steps[i];
    }
    int64_t step = 14 * DAY;
    while ((double)step < least)
        step *= 2;
    return step;
}

struct graph_label graph_number(double value)
{
    static const struct {
        double size;
        const char *unit;
    } units[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    struct graph_label label;

    for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (value < 10 * units[i].size && (value < units[i].size || units[i].size < 1e6))
            continue;
        snprintf(label.text, sizeof(label.text), "%.4g%s", value / units[i].size, units[i].unit);
        return label;
    }
    snprintf(label.text, sizeof(label.text), "%.0f", value);
    return label;
}

struct graph_label graph_time(int64_t seconds)
{
    time_t time = seconds;
    struct graph_label label = {"?"};
    char month[8];
    struct tm parts;

    if (!gmtime_r(&time, &parts))
        return label;
    strftime(month, sizeof(month), "%b", &parts);
    if (seconds % DAY == 0)
        snprintf(label.text, sizeof(label.text), "%d %s", parts.tm_mday, month);
    else
        strftime(label.text, sizeof(label.text), "%H:%M", &parts);
    return label;
}

/* ---- axes -------------------------------------------------------------------------------- */

/* Compute the width of the scale's widest label in columns. */
static unsigned scale_width(const struct canvas *canvas, double step, double top)
{
    unsigned widest = 1;

    for (unsigned i = 1; i * step <= top; i++) {
        unsigned width = canvas_width(canvas, graph_number(i * step).text);
        widest = width > widest ? width : widest;
    }
    return widest;
}

static void draw_scale(struct canvas *canvas, const struct plot *plot, double step)
{
    unsigned axis = plot->column - 1;

    for (unsigned i = 0; i < plot->rows; i++)
        canvas_put(canvas, plot->row + i, axis, INK_DIM, INK_PLAIN, canvas->unicode ? "│" : "|");
    for (unsigned label = 0; label * step <= plot->top; label++) {
        double value = label * step;
        unsigned up = (unsigned)round(value / plot->top * plot->rows);
        unsigned row = plot->row + plot->rows - up;
        canvas_right(canvas, row, plot->labels, axis - 1 - plot->labels, INK_DIM,
                     graph_number(value).text);
        if (up > 0)
            canvas_put(canvas, row, axis, INK_DIM, INK_PLAIN, canvas->unicode ? "┤" : "+");
    }
}

static void draw_axis(struct canvas *canvas, const struct plot *plot, const struct graph *graph)
{
    unsigned row = plot->row + plot->rows;

    canvas_put(canvas, row, plot->column - 1, INK_DIM, INK_PLAIN, canvas->unicode ? "└" : "+");
    for (unsigned i = 0; i < plot->columns; i++) {
        bool known = graph_column(graph, plot->columns, i).known;
        const char *line = known ? (canvas->unicode ? "─" : "-") : (canvas->unicode ? "┈" : ".");
        canvas_put(canvas, row, plot->column + i, INK_DIM, INK_PLAIN, line);
    }
}

static void draw_times(struct canvas *canvas, const struct plot *plot, const struct graph *graph)
{
    double column_s = (double)span_of(graph) / plot->columns;
    int64_t step = graph_time_step(column_s, COLUMNS_BETWEEN);
    unsigned row = plot->row + plot->rows, free_from = 1;
    int64_t from = graph->begin + graph->before_s;
    int64_t time = (from + step - 1) / step * step;

    canvas_text(canvas, row + 1, plot->labels, plot->column - plot->labels, INK_DIM, "UTC");

    for (;; time += step) {
        unsigned index = (unsigned)((double)(time - from) / column_s);
        if (index >= plot->columns)
            break;
        struct graph_label label = graph_time(time);
        unsigned width = (unsigned)strlen(label.text);
        unsigned at = index > width / 2 ? index - width / 2 : 0;
        if (at < free_from && free_from <= index + 1)
            at = free_from;
        if (at < free_from || at + width > plot->columns)
            continue;
        canvas_put(canvas, row, plot->column + index, INK_DIM, INK_PLAIN,
                   canvas->unicode ? "┴" : "+");
        canvas_text(canvas, row + 1, plot->column + at, width, INK_DIM, label.text);
        free_from = at + width + 1;
    }
}

/* ---- graphs ------------------------------------------------------------------------------ */

void graph_draw(struct canvas *canvas, unsigned row, unsigned column, unsigned rows,
                unsigned columns, const struct graph *graph)
{
    if (rows < GRAPH_ROWS_MIN || columns < GRAPH_COLUMNS_MIN || graph->count == 0)
        return;
    struct plot plot = {.row = row + 1, .rows = rows - 3, .labels = column};
    double highest;
    find_peak(graph, &highest);
    double step = graph_scale_step(highest, (plot.rows + ROWS_PER_LABEL - 1) / ROWS_PER_LABEL);
    plot.top = fmax(step, ceil(highest / step) * step);
    plot.column = column + scale_width(canvas, step, plot.top) + 2;
    plot.columns = columns - (plot.column - column);

    draw_axis(canvas, &plot, graph);
    draw_scale(canvas, &plot, step);
    draw_times(canvas, &plot, graph);
    for (unsigned i = 0; i < plot.columns; i++) {
        struct graph_point point = graph_column(graph, plot.columns, i);
        if (point.known)
            draw_bar(canvas, &plot, i, &point);
    }
    mark_peak(canvas, &plot, graph);
}

void graph_sparkline(struct canvas *canvas, unsigned row, unsigned column, unsigned columns,
                     const struct graph *graph)
{
    struct plot plot = {.row = row, .column = column, .rows = 1, .columns = columns};

    find_peak(graph, &plot.top);
    for (unsigned i = 0; i < columns && graph->count; i++) {
        struct graph_point point = graph_column(graph, columns, i);
        if (point.known)
            draw_bar(canvas, &plot, i, &point);
    }
}

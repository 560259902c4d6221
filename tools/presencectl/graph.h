/* graph.h - draw a count over time as bars with a scale and a time axis. */
#ifndef PRESENCECTL_GRAPH_H
#define PRESENCECTL_GRAPH_H

#include "canvas.h"
#include "timeline.h"

#define GRAPH_ROWS_MIN    4 /* the peak's label, one row of bars, the axis, its times */
#define GRAPH_COLUMNS_MIN 16

/* The measurements of one step of time. */
struct graph_point {
    double mean, maximum; /* at least 0 */
    bool known;           /* false: no collector ran, which is not 0 visitors */
};

struct graph {
    struct graph_point *points; /* one per step */
    unsigned count;
    int64_t begin;     /* Unix seconds of the first step */
    uint32_t step_s;   /* seconds */
    uint32_t before_s; /* of the first step, seconds before the graph begins */
    uint32_t after_s;  /* of the last step, seconds after it ends: the future */
};

/* Build a graph of `length` steps of `step_s` seconds, oldest first; at least one. It begins with
 * the first of them, but at least `span_min_s` before `until` and not before `since`, and ends at
 * `until` (Unix seconds): the first and the last step may be shown in part. Release it with
 * graph_free. Returns 0 or -ENOMEM. */
int graph_init(const struct timeline_step *steps, size_t length, uint32_t step_s,
               uint32_t span_min_s, int64_t since, int64_t until, struct graph *ret);
void graph_free(struct graph *graph);

/* Sum up the steps that column `index` of `columns` shows: the mean of the known steps' means, and
 * the highest of their maxima. */
struct graph_point graph_column(const struct graph *graph, unsigned columns, unsigned index);

/* Draw a graph of `rows` (at least GRAPH_ROWS_MIN) by `columns` (at least GRAPH_COLUMNS_MIN) cells:
 * bars up to the mean, the maximum behind them, a label at the peak, a scale that begins at 0, and
 * times in UTC. Unknown steps are blank above a dotted axis. */
void graph_draw(struct canvas *canvas, unsigned row, unsigned column, unsigned rows,
                unsigned columns, const struct graph *graph);

/* Draw one row of bars without axes, scaled to the highest. */
void graph_sparkline(struct canvas *canvas, unsigned row, unsigned column, unsigned columns,
                     const struct graph *graph);

/* Find the step of a scale that reaches `highest` with at most `most` labels above 0: 1, 2 or 5
 * times a power of ten, at least 1. */
double graph_scale_step(double highest, unsigned most);

/* Find the step of a time axis in seconds: a round time that takes at least `columns` columns of
 * `column_s` seconds each. */
int64_t graph_time_step(double column_s, unsigned columns);

/* Format a number in at most five columns: 950, 12k, 1.5M. */
struct graph_label {
    char text[16];
};
struct graph_label graph_number(double value);

/* Format Unix seconds for the time axis: 14:30, or the date at midnight. */
struct graph_label graph_time(int64_t seconds);

#endif

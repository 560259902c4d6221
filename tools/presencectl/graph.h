/* graph.h - a number over time as bars of blocks, with a scale and a time axis. */
#ifndef PRESENCECTL_GRAPH_H
#define PRESENCECTL_GRAPH_H

#include "canvas.h"

#define GRAPH_ROWS_MIN    4 /* one for the peak, one of bars, the axis and its times */
#define GRAPH_COLUMNS_MIN 16

/* What was measured in one step of time. */
struct graph_point {
    double mean, maximum; /* at least 0 */
    bool known;           /* otherwise nobody was there to measure, which is not 0 */
};

struct graph {
    const struct graph_point *points; /* one a step */
    unsigned count;
    int64_t begin;   /* Unix seconds of the first step */
    uint32_t step_s; /* seconds */
};

/* Points of `count` steps drawn in `columns` columns: what column `index` stands for. The mean is
 * that of the known steps, the maximum their highest. */
struct graph_point graph_column(const struct graph *graph, unsigned columns, unsigned index);

/* Draw from `row` on, `rows` high (GRAPH_ROWS_MIN or more) and `columns` wide (GRAPH_COLUMNS_MIN
 * or more): bars up to the mean, the maximum behind them, where the highest was, a scale that
 * begins at 0, and times in UTC. Unknown steps are blank above a dotted axis. */
void graph_draw(struct canvas *canvas, unsigned row, unsigned column, unsigned rows,
                unsigned columns, const struct graph *graph);

/* One row of bars alone, scaled to the highest of them. */
void graph_sparkline(struct canvas *canvas, unsigned row, unsigned column, unsigned columns,
                     const struct graph *graph);

/* ---- graph_axis.c ---- */

/* The step between the labels of a scale that has at most `most` of them above 0 and reaches
 * `highest`: 1, 2 or 5 times a power of ten, at least 1. */
double graph_scale_step(double highest, unsigned most);

/* The seconds between the labels of a time axis: a round time, such that each has `columns` columns
 * or more of `column_s` seconds. */
int64_t graph_time_step(double column_s, unsigned columns);

/* 950, 12k, 1.5M: at most five columns. */
struct graph_label {
    char text[16];
};
struct graph_label graph_number(double value);

/* A time of the axis: 14:30, or the date where that is what counts: at midnight. */
struct graph_label graph_time(int64_t seconds);

#endif

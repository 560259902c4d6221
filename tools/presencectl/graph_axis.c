#include <stdio.h>
#include <time.h>

#include "graph.h"

#define DAY 86400

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

#include <inttypes.h>
#include <stdio.h>

#include "presencectl.h"
#include "show.h"

#define COUNTERS_MAX 256

static void print_json(const struct presence_counter *counters, size_t count)
{
    json_t *object = json_object();

    for (size_t i = 0; i < count; i++)
        json_object_set_new(object, counters[i].name, json_integer((json_int_t)counters[i].value));
    json_print(object);
}

static void print_table(const struct presence_counter *counters, size_t count, bool all)
{
    struct libscols_table *table = table_new();

    table_column(table, "COUNTER", COLUMN_LEFT);
    table_column(table, "VALUE", COLUMN_RIGHT);
    table_column(table, "COUNTS", COLUMN_WRAPPED);
    for (size_t i = 0; i < count; i++) {
        char value[24];
        if (counters[i].value == 0 && !all)
            continue;
        snprintf(value, sizeof(value), "%" PRIu64, counters[i].value);
        struct libscols_line *line =
            table_line(table, (const char *const[]){counters[i].name, value, counters[i].help});
        if (counters[i].value == 0)
            scols_line_set_color(line, "\033[2m");
    }
    table_print(table);
}

int command_stats(struct presence *presence, const struct options *options, char **arguments)
{
    struct presence_counter counters[COUNTERS_MAX];
    struct presence_status status;
    size_t count = presence_counters(presence, counters, COUNTERS_MAX);
    int r = presence_status(presence, &status);

    (void)arguments;
    if (r < 0)
        return complain_of(r, presence, options);
    if (count > COUNTERS_MAX)
        count = COUNTERS_MAX;
    if (options->json)
        print_json(counters, count);
    else
        print_table(counters, count, options->all);
    status.warming = false; /* counters are whole all the same */
    return note_status(&status, "these are the counters");
}

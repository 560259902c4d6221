/* show.h - tables, lines and JSON on stdout. */
#ifndef PRESENCECTL_SHOW_H
#define PRESENCECTL_SHOW_H

#include <jansson.h>
#include <libsmartcols.h>
#include <stdbool.h>
#include <stdint.h>

#include "name.h"
#include "times.h"

/* A name in a line of others on stdout. On a terminal one that is written from right to left is
 * fenced off from them by invisible marks. */
struct shown_line_name {
    char text[SHOW_NAME_SIZE + 6];
};
struct shown_line_name show_line_name(const char *name);

/* Is stdout a terminal that wants colours? */
bool show_in_colour(void);

/* A table for stdout. Exits when there is no memory, as do all of these. */
struct libscols_table *table_new(void);

enum column_flags {
    COLUMN_LEFT = 0,
    COLUMN_RIGHT = SCOLS_FL_RIGHT,
    COLUMN_CUT = SCOLS_FL_TRUNC,    /* shortened where a terminal is too narrow */
    COLUMN_WRAPPED = SCOLS_FL_WRAP, /* continued on the next line there */
};

void table_column(struct libscols_table *table, const char *heading, enum column_flags flags);

/* Append a line of strings, one a column. */
struct libscols_line *table_line(struct libscols_table *table, const char *const *cells);

/* Print and free. */
void table_print(struct libscols_table *table);

/* Print an object on one line and free it. */
void json_print(json_t *object);

/* The fields that follow every number. */
void json_set_moment(json_t *object, bool stale, bool warming, int64_t as_of);

#endif

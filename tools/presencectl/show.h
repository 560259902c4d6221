/* show.h - tables, lines, comma-separated values and JSON on stdout. */
#ifndef PRESENCECTL_SHOW_H
#define PRESENCECTL_SHOW_H

#include <jansson.h>
#include <libsmartcols.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "answer.h"
#include "common/json_number.h"
#include "common/time_text.h"
#include "name.h"
#include "presence/presence.h"

/* True if stdout is a terminal and neither NO_COLOR nor TERM=dumb is set. */
bool show_in_colour(void);

/* Allocate a table for stdout. Like all functions of tables, exits if out of memory. */
struct libscols_table *table_new(void);

enum column_flags {
    COLUMN_LEFT = 0,
    COLUMN_RIGHT = SCOLS_FL_RIGHT,
    COLUMN_CUT = SCOLS_FL_TRUNC,    /* truncated if the terminal is too narrow */
    COLUMN_WRAPPED = SCOLS_FL_WRAP, /* wrapped if the terminal is too narrow */
};

void table_column(struct libscols_table *table, const char *heading, enum column_flags flags);

/* Append a line with a string for each column. */
struct libscols_line *table_line(struct libscols_table *table, const char *const *cells);

/* Print the table and free it. */
void table_print(struct libscols_table *table);

/* ---- comma-separated values, as of RFC 4180 ---- */

/* A writer; start with {.out = ...}. */
struct csv {
    FILE *out;
    unsigned fields; /* of the current line */
};

/* Write a field that strangers sent, or an empty one for NULL. If a spreadsheet would read it as a
 * formula, an apostrophe is put before it. `show` escapes it for a terminal, as show_name does. */
void csv_name(struct csv *csv, const char *name, bool show);

void csv_text(struct csv *csv, const char *text);
void csv_integer(struct csv *csv, uint64_t value);

/* Write an integer, or an empty field if it is not known. */
void csv_known(struct csv *csv, uint64_t value, bool known);

/* Write a number with two decimals. */
void csv_number(struct csv *csv, double value);

void csv_end_line(struct csv *csv);

/* ---- JSON ---- */

/* Print an object on one line and release it. */
void json_print(json_t *object);

/* Build a string, or null for an empty text. Of a text that is no UTF-8, all bytes that are not
 * ASCII are escaped as \xff. */
json_t *json_text(const char *text);

/* Build the count of an answer, null if unknown, and the age of its last heartbeat, null if there
 * is none, or it is not known. */
json_t *json_of_count(struct answer answer);
json_t *json_of_last_heartbeat(struct answer answer);

/* Set "stale", "warming" and "as_of"; json_set_marks sets "partial" too. */
void json_set_moment(json_t *object, bool stale, bool warming, int64_t as_of);
void json_set_marks(json_t *object, struct answer answer);

#endif

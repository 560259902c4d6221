/* show.h - make names, times and numbers fit to be seen. */
#ifndef PRESENCECTL_SHOW_H
#define PRESENCECTL_SHOW_H

#include <jansson.h>
#include <libsmartcols.h>
#include <stdbool.h>
#include <stdint.h>

#include "presence/presence.h"

#define SHOW_NAME_SIZE     (PRESENCE_NAME_MAX * 10 + 1) /* each byte as \u{10FFFF} */
#define SHOW_TIME_SIZE     32
#define SHOW_DURATION_SIZE 32

struct shown_name {
    char text[SHOW_NAME_SIZE];
};

struct shown_time {
    char text[SHOW_TIME_SIZE];
};

struct shown_duration {
    char text[SHOW_DURATION_SIZE];
};

/* Names are compared as bytes and may look like anything: what is not printable, has no width or
 * turns the direction of writing is shown as \u{XXXX}. `name` is valid UTF-8. */
struct shown_name show_name(const char *name);

/* Unix seconds as 2026-01-31T12:00:00Z. */
struct shown_time show_time(int64_t seconds);

/* 12 s, 5 min, 3 h, 2 d: rounded down, at least two of the unit except for seconds. */
struct shown_duration show_duration(uint64_t seconds);

/* A window: like a duration, but exact. */
struct shown_duration show_window(uint32_t seconds);

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

/* csv.h - comma-separated values on stdout, as of RFC 4180. */
#ifndef PRESENCECTL_CSV_H
#define PRESENCECTL_CSV_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The line being written; start with {.out = ...}. */
struct csv {
    FILE *out;
    unsigned fields; /* of this line, so far */
};

/* A field that came from strangers. One that a spreadsheet would take for a formula begins with an
 * apostrophe. `show` makes it fit for a terminal. NULL is an empty field. */
void csv_name(struct csv *csv, const char *name, bool show);

void csv_text(struct csv *csv, const char *text);
void csv_integer(struct csv *csv, uint64_t value);

/* With two digits behind the point. */
void csv_number(struct csv *csv, double value);

void csv_end_line(struct csv *csv);

#endif

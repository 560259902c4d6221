/* canvas.h - a rectangle of character cells: what graphs and the live view are drawn on.
 *
 * Text is cut to the columns it is given, a wide character takes two, combining marks stay in the
 * cell of what they belong to, and nothing that is drawn can move anything else.
 */
#ifndef PRESENCECTL_CANVAS_H
#define PRESENCECTL_CANVAS_H

#include <stdbool.h>
#include <stdint.h>

#include "name.h"

#define CANVAS_ROWS_MAX    500
#define CANVAS_COLUMNS_MAX 1000

enum ink {
    INK_PLAIN,
    INK_BOLD,
    INK_DIM,
    INK_GRAPH, /* what is measured */
    INK_BAND,  /* how far it reached beyond that */
    INK_GOOD,
    INK_WARN,
    INK_BAD,
    INK_TITLE, /* reversed */
};

struct canvas_cell {
    char text[4 * (1 + SHOW_MARKS_MAX) + 1]; /* empty: a space, or the rest of a wide one */
    uint8_t ink;
    uint8_t behind; /* INK_PLAIN, or INK_BAND: the background */
    bool is_rest;
    bool opens, closes; /* text with writing from right to left */
};

struct canvas {
    unsigned columns, rows;
    bool unicode;   /* otherwise everything is ASCII */
    bool in_colour; /* rows come with escape sequences */
    struct canvas_cell *cells;
};

/* A blank canvas, 1 to CANVAS_..._MAX each way: more or less is made to fit. Released with
 * canvas_close. -ENOMEM. */
int canvas_open(unsigned columns, unsigned rows, bool unicode, bool in_colour, struct canvas *ret);
void canvas_close(struct canvas *canvas);

/* Columns that text takes when it is drawn. */
unsigned canvas_width(const struct canvas *canvas, const char *text);

/* Draw UTF-8 in at most `width` columns; what is longer ends with an ellipsis, what does not fit
 * the canvas is left out, and what is not printable is shown as a question mark. Returns the column
 * after it. */
unsigned canvas_text(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
                     enum ink ink, const char *text);

/* The same at the right end of these columns. */
void canvas_right(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
                  enum ink ink, const char *text);

/* printf, as wide as there is room in the row. Returns the column after it. */
unsigned canvas_print(struct canvas *canvas, unsigned row, unsigned column, enum ink ink,
                      const char *format, ...) __attribute__((format(printf, 5, 6)));

/* One character of one column, with something behind it. */
void canvas_put(struct canvas *canvas, unsigned row, unsigned column, enum ink ink, enum ink behind,
                const char *character);

/* Ink a row's columns without changing their text. */
void canvas_ink(struct canvas *canvas, unsigned row, enum ink ink);

/* A row as text for a terminal, without a newline and without blanks at its end unless they are
 * coloured. To be freed. NULL: no memory. */
char *canvas_row(const struct canvas *canvas, unsigned row);

#endif

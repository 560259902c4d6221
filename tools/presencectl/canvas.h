/* canvas.h - a rectangle of character cells, on which graphs and the live view are drawn.
 *
 * Text is cut to the columns it is given. A wide character takes two, a combining mark stays in the
 * cell of its base character, and no text can move another. */
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
    INK_GRAPH, /* the mean */
    INK_BAND,  /* the maximum, behind it */
    INK_GOOD,
    INK_WARN,
    INK_BAD,
    INK_TITLE, /* reversed */
};

struct canvas_cell {
    char text[4 * (1 + SHOW_MARKS_MAX) + 1]; /* empty: a space, or a wide one's second column */
    uint8_t ink;
    uint8_t behind;     /* the background: INK_PLAIN or INK_BAND */
    bool is_rest;       /* the second column of a wide character */
    bool opens, closes; /* first and last cell of text with right-to-left letters */
};

struct canvas {
    unsigned columns, rows;
    bool unicode;   /* false: draw in ASCII only */
    bool in_colour; /* rows have colour sequences */
    struct canvas_cell *cells;
};

/* Allocate a blank canvas; each side is clamped to 1 to CANVAS_..._MAX. Release it with
 * canvas_free. Returns 0 or -ENOMEM. */
int canvas_init(unsigned columns, unsigned rows, bool unicode, bool in_colour, struct canvas *ret);
void canvas_free(struct canvas *canvas);

/* Count the columns that UTF-8 text takes. */
unsigned canvas_width(const struct canvas *canvas, const char *text);

/* Draw UTF-8 text in at most `width` columns, within the canvas. Longer text ends with an ellipsis,
 * characters that are not printable are drawn as question marks. Returns the column after it. */
unsigned canvas_text(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
                     enum ink ink, const char *text);

/* Draw text right-aligned in `width` columns. */
void canvas_right(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
                  enum ink ink, const char *text);

/* Draw formatted text up to the end of the row. Returns the column after it. */
unsigned canvas_print(struct canvas *canvas, unsigned row, unsigned column, enum ink ink,
                      const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Draw one character of one column with a background. */
void canvas_put(struct canvas *canvas, unsigned row, unsigned column, enum ink ink, enum ink behind,
                const char *character);

/* Set the ink of a whole row and keep its text. */
void canvas_ink(struct canvas *canvas, unsigned row, enum ink ink);

/* Format a row for a terminal, without a newline and without trailing blanks unless they are
 * coloured. Returns a string to be freed, or NULL if out of memory. */
char *canvas_row(const struct canvas *canvas, unsigned row);

#endif

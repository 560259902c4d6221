#include "canvas.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "common/place.h"
#include "common/text_stream.h"

#define TEXT_MAX 4096 /* bytes of one canvas_print */

static const char *const ink_codes[] = {
    [INK_PLAIN] = "",  [INK_BOLD] = "1",  [INK_DIM] = "2",  [INK_GRAPH] = "36", [INK_BAND] = "34",
    [INK_GOOD] = "32", [INK_WARN] = "33", [INK_BAD] = "31", [INK_TITLE] = "7",
};

static unsigned clamp(unsigned value, unsigned most)
{
    return value < 1 ? 1 : value > most ? most : value;
}

int canvas_init(unsigned columns, unsigned rows, bool unicode, bool in_colour, struct canvas *ret)
{
    struct canvas canvas = {
        .columns = clamp(columns, CANVAS_COLUMNS_MAX),
        .rows = clamp(rows, CANVAS_ROWS_MAX),
        .unicode = unicode,
        .in_colour = in_colour,
    };

    canvas.cells = calloc((size_t)canvas.columns * canvas.rows, sizeof(*canvas.cells));
    if (!canvas.cells)
        return -ENOMEM;
    *ret = canvas;
    return 0;
}

void canvas_free(struct canvas *canvas)
{
    free(canvas->cells);
    canvas->cells = NULL;
}

static struct canvas_cell *cell_at(const struct canvas *canvas, unsigned row, unsigned column)
{
    if (row >= canvas->rows || column >= canvas->columns)
        return NULL;
    return &canvas->cells[(size_t)row * canvas->columns + column];
}

/* ---- characters -------------------------------------------------------------------------- */

/* A character to draw. */
struct glyph {
    char text[5];
    unsigned width; /* 0: a combining mark */
};

/* Parse the next character. Returns the text after it. */
static const char *next_glyph(const struct canvas *canvas, const char *text, struct glyph *ret)
{
    uint32_t value = 0;
    size_t size = place_character(text, &value);
    int width = size ? wcwidth((wchar_t)value) : -1;

    if (width < 0 || width > 2 || (size > 1 && !canvas->unicode)) {
        *ret = (struct glyph){.text = "?", .width = 1};
        return text + (size ? size : 1);
    }
    *ret = (struct glyph){.width = (unsigned)width};
    memcpy(ret->text, text, size);
    return text + size;
}

unsigned canvas_width(const struct canvas *canvas, const char *text)
{
    unsigned width = 0;
    struct glyph glyph;

    while (*text) {
        text = next_glyph(canvas, text, &glyph);
        width += glyph.width;
    }
    return width;
}

/* Blank a cell, and both columns of a wide character that it is part of. */
static void clear_cell(struct canvas *canvas, unsigned row, unsigned column)
{
    struct canvas_cell *cell = cell_at(canvas, row, column);
    struct canvas_cell *next = cell_at(canvas, row, column + 1);

    if (cell->is_rest)
        cell_at(canvas, row, column - 1)->text[0] = '\0';
    if (next && next->is_rest)
        next->is_rest = false;
    *cell = (struct canvas_cell){0};
}

static void put_glyph(struct canvas *canvas, unsigned row, unsigned column, enum ink ink,
                      const struct glyph *glyph)
{
    for (unsigned i = 0; i < glyph->width; i++) {
        clear_cell(canvas, row, column + i);
        cell_at(canvas, row, column + i)->ink = (uint8_t)ink;
        cell_at(canvas, row, column + i)->is_rest = i > 0;
    }
    strcpy(cell_at(canvas, row, column)->text, glyph->text);
}

void canvas_put(struct canvas *canvas, unsigned row, unsigned column, enum ink ink, enum ink behind,
                const char *character)
{
    struct glyph glyph;

    if (!cell_at(canvas, row, column))
        return;
    next_glyph(canvas, character, &glyph);
    if (glyph.width != 1)
        return;
    put_glyph(canvas, row, column, ink, &glyph);
    cell_at(canvas, row, column)->behind = (uint8_t)behind;
}

/* ---- text -------------------------------------------------------------------------------- */

/* Draw characters up to column `end`, each with at most SHOW_MARKS_MAX combining marks: more would
 * grow into the rows above and below. Returns the column after the last and, unless none was drawn,
 * its cell. */
static unsigned draw_glyphs(struct canvas *canvas, unsigned row, unsigned column, unsigned end,
                            enum ink ink, const char *text, struct canvas_cell **ret_last)
{
    unsigned marks = SHOW_MARKS_MAX; /* a leading mark has no base character */
    struct glyph glyph;

    while (*text) {
        text = next_glyph(canvas, text, &glyph);
        if (glyph.width == 0) {
            if (marks++ < SHOW_MARKS_MAX)
                strcat((*ret_last)->text, glyph.text);
            continue;
        }
        if (column + glyph.width > end)
            break;
        put_glyph(canvas, row, column, ink, &glyph);
        *ret_last = cell_at(canvas, row, column);
        column += glyph.width;
        marks = 0;
    }
    return column;
}

unsigned canvas_text(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
                     enum ink ink, const char *text)
{
    unsigned room = column < canvas->columns ? canvas->columns - column : 0;

    if (width > room)
        width = room;
    if (row >= canvas->rows || width == 0 || !*text)
        return column;
    struct canvas_cell *first = cell_at(canvas, row, column), *last = first;
    bool is_cut = canvas_width(canvas, text) > width;
    column = draw_glyphs(canvas, row, column, column + width - is_cut, ink, text, &last);
    if (is_cut) {
        canvas_put(canvas, row, column, ink, INK_PLAIN, canvas->unicode ? "…" : "~");
        last = cell_at(canvas, row, column++);
    }
    if (canvas->unicode && has_right_to_left(text)) {
        first->opens = true;
        last->closes = true;
    }
    return column;
}

void canvas_right(struct canvas *canvas, unsigned row, unsigned column, unsigned width,
                  enum ink ink, const char *text)
{
    unsigned wanted = canvas_width(canvas, text);

    if (wanted < width) {
        column += width - wanted;
        width = wanted;
    }
    canvas_text(canvas, row, column, width, ink, text);
}

unsigned canvas_print(struct canvas *canvas, unsigned row, unsigned column, enum ink ink,
                      const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return canvas_text(canvas, row, column, canvas->columns, ink, text);
}

void canvas_ink(struct canvas *canvas, unsigned row, enum ink ink)
{
    for (unsigned column = 0; column < canvas->columns && row < canvas->rows; column++)
        cell_at(canvas, row, column)->ink = (uint8_t)ink;
}

/* ---- rows -------------------------------------------------------------------------------- */

/* Count a row's columns up to the last that is visible. */
static unsigned columns_used(const struct canvas *canvas, unsigned row)
{
    unsigned used = canvas->columns;

    while (used > 0) {
        const struct canvas_cell *cell = cell_at(canvas, row, used - 1);
        bool is_blank = !cell->is_rest && (!cell->text[0] || strcmp(cell->text, " ") == 0);
        if (!is_blank || (canvas->in_colour && (cell->behind || cell->ink == INK_TITLE)))
            break;
        used--;
    }
    return used;
}

static void change_ink(FILE *out, const struct canvas_cell *cell)
{
    fputs("\033[0", out);
    if (*ink_codes[cell->ink])
        fprintf(out, ";%s", ink_codes[cell->ink]);
    if (cell->behind)
        fputs(";44", out); /* INK_BAND as a background */
    fputc('m', out);
}

static void write_cells(const struct canvas *canvas, unsigned row, FILE *out)
{
    unsigned used = columns_used(canvas, row);
    struct canvas_cell current = {0};

    for (unsigned column = 0; column < used; column++) {
        const struct canvas_cell *cell = cell_at(canvas, row, column);
        if (cell->is_rest)
            continue;
        if (canvas->in_colour && (cell->ink != current.ink || cell->behind != current.behind)) {
            change_ink(out, cell);
            current = *cell;
        }
        fprintf(out, "%s%s%s", cell->opens ? NAME_LEFT_TO_RIGHT : "",
                cell->text[0] ? cell->text : " ", cell->closes ? NAME_LEFT_TO_RIGHT : "");
    }
    if (current.ink || current.behind)
        fputs("\033[0m", out);
}

char *canvas_row(const struct canvas *canvas, unsigned row)
{
    struct text_stream stream;
    FILE *out = text_stream_open(&stream);

    if (!out)
        return NULL;
    if (row < canvas->rows)
        write_cells(canvas, row, out);
    return text_stream_close(&stream, NULL);
}

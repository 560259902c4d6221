#include "show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "presencectl.h"

#define TABLE_CELL_MAX (SHOW_NAME_SIZE + 8)

/* ---- lines ------------------------------------------------------------------------------- */

struct shown_line_name show_line_name(const char *name)
{
    struct shown_line_name shown;
    const char *mark = isatty(STDOUT_FILENO) && name_turns(name) ? NAME_LEFT_TO_RIGHT : "";

    snprintf(shown.text, sizeof(shown.text), "%s%s%s", mark, show_name(name).text, mark);
    return shown;
}

/* ---- tables ------------------------------------------------------------------------------ */

bool show_in_colour(void)
{
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(no_colour && *no_colour) &&
           !(terminal && strcmp(terminal, "dumb") == 0);
}

static void must(bool succeeded)
{
    if (succeeded)
        return;
    complain("out of memory");
    exit(EXIT_FAILED);
}

struct libscols_table *table_new(void)
{
    struct libscols_table *table = scols_new_table();

    must(table && scols_table_set_column_separator(table, "  ") == 0);
    scols_table_enable_noencoding(table, 1); /* cells are fit to be seen already */
    scols_table_enable_colors(table, show_in_colour());
    return table;
}

void table_column(struct libscols_table *table, const char *heading, enum column_flags flags)
{
    must(scols_table_new_column(table, heading, 0, (int)flags) != NULL);
}

struct libscols_line *table_line(struct libscols_table *table, const char *const *cells)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);

    must(line != NULL);
    for (size_t i = 0; i < scols_table_get_ncols(table); i++) {
        /* A name from right to left must not take what is beside it along; it may be cut, so it is
         * the next cell that begins with a mark. */
        bool turned = i > 0 && isatty(STDOUT_FILENO) && name_turns(cells[i - 1]);
        char marked[TABLE_CELL_MAX];
        if (turned)
            snprintf(marked, sizeof(marked), NAME_LEFT_TO_RIGHT "%s", cells[i]);
        must(scols_line_set_data(line, i, turned ? marked : cells[i]) == 0);
    }
    return line;
}

void table_print(struct libscols_table *table)
{
    must(scols_print_table(table) == 0);
    scols_unref_table(table);
}

/* ---- JSON -------------------------------------------------------------------------------- */

void json_print(json_t *object)
{
    /* On a terminal even valid names may do harm. */
    size_t flags =
        JSON_COMPACT | JSON_REAL_PRECISION(12) | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0);
    char *text = json_dumps(object, flags);

    json_decref(object);
    must(text != NULL);
    puts(text);
    free(text);
}

void json_set_moment(json_t *object, bool stale, bool warming, int64_t as_of)
{
    json_object_set_new(object, "stale", json_boolean(stale));
    json_object_set_new(object, "warming", json_boolean(warming));
    json_object_set_new(object, "as_of", json_string(show_time(as_of).text));
}

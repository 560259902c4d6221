#include "show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json_whole.h"
#include "presencectl.h"

#define TABLE_CELL_MAX (SHOW_NAME_SIZE + 8)

/* ---- tables ------------------------------------------------------------------------------ */

bool show_in_colour(void)
{
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(no_colour && *no_colour) &&
           !(terminal && strcmp(terminal, "dumb") == 0);
}

/* Exit if an allocation failed. */
static void must(bool succeeded)
{
    if (succeeded)
        return;
    report("out of memory");
    exit(EXIT_FAILED);
}

struct libscols_table *table_new(void)
{
    struct libscols_table *table = scols_new_table();

    must(table && scols_table_set_column_separator(table, "  ") == 0);
    scols_table_enable_noencoding(table, 1); /* show_name() has escaped the cells */
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
        /* A right-to-left name must not reorder the next cell. The mark goes to that cell's start,
         * since the name may be truncated. */
        bool turned = i > 0 && isatty(STDOUT_FILENO) && has_right_to_left(cells[i - 1]);
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

/* ---- comma-separated values -------------------------------------------------------------- */

static void separate(struct csv *csv)
{
    if (csv->fields++)
        fputc(',', csv->out);
}

void csv_text(struct csv *csv, const char *text)
{
    separate(csv);
    if (!strpbrk(text, ",\"\r\n") && *text != ' ') {
        fputs(text, csv->out);
        return;
    }
    fputc('"', csv->out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', csv->out);
        fputc(*text, csv->out);
    }
    fputc('"', csv->out);
}

/* True if a spreadsheet could read the name as a formula: after spaces, it begins with one of four
 * characters, in ASCII or full-width. */
static bool is_formula(const char *name)
{
    static const char *const begins[] = {"=", "+", "-", "@", "＝", "＋", "－", "＠"};

    name += strspn(name, " ");
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        if (strncmp(name, begins[i], strlen(begins[i])) == 0)
            return true;
    }
    return false;
}

void csv_name(struct csv *csv, const char *name, bool show)
{
    char text[SHOW_NAME_SIZE + 1];

    if (!name)
        name = "";
    snprintf(text, sizeof(text), "%s%s", is_formula(name) ? "'" : "",
             show ? show_name(name).text : name);
    csv_text(csv, text);
}

void csv_integer(struct csv *csv, uint64_t value)
{
    separate(csv);
    fprintf(csv->out, "%" PRIu64, value);
}

void csv_known(struct csv *csv, uint64_t value, bool known)
{
    if (known)
        csv_integer(csv, value);
    else
        csv_text(csv, "");
}

void csv_number(struct csv *csv, double value)
{
    separate(csv);
    fprintf(csv->out, "%.2f", value);
}

void csv_end_line(struct csv *csv)
{
    fputs("\r\n", csv->out);
    csv->fields = 0;
}

/* ---- JSON -------------------------------------------------------------------------------- */

void json_print(json_t *object)
{
    /* A terminal could interpret characters of names: escape all that is not ASCII. */
    size_t flags =
        JSON_COMPACT | JSON_REAL_PRECISION(12) | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0);
    char *text = json_whole_text(object, flags);

    must(text != NULL);
    puts(text);
    free(text);
}

/* Build a string of bytes that are no UTF-8, as a path may be: escape all that is not ASCII. */
static json_t *json_of_bytes(const char *bytes)
{
    char *text = malloc(strlen("\\xff") * strlen(bytes) + 1), *end = text;

    must(text != NULL);
    for (; *bytes; bytes++)
        end +=
            sprintf(end, *bytes >= ' ' && *bytes <= '~' ? "%c" : "\\x%02x", (unsigned char)*bytes);
    *end = '\0';
    json_t *string = json_string(text);
    free(text);
    return string;
}

json_t *json_text(const char *text)
{
    json_t *string = *text ? json_string(text) : json_null();

    return string ? string : json_of_bytes(text);
}

json_t *json_of_count(struct answer answer)
{
    return answer.known ? json_of_number(answer.count) : json_null();
}

json_t *json_of_last_heartbeat(struct answer answer)
{
    return answer.has_heartbeat ? json_of_number(answer.last_heartbeat_s) : json_null();
}

void json_set_marks(json_t *object, struct answer answer)
{
    json_object_set_new(object, "stale", json_boolean(answer.stale));
    json_object_set_new(object, "warming", json_boolean(answer.warming));
    json_object_set_new(object, "partial", json_boolean(answer.partial));
    json_object_set_new(object, "as_of", json_string(show_time(answer.as_of).text));
}

void json_set_moment(json_t *object, bool stale, bool warming, int64_t as_of)
{
    json_object_set_new(object, "stale", json_boolean(stale));
    json_object_set_new(object, "warming", json_boolean(warming));
    json_object_set_new(object, "as_of", json_string(show_time(as_of).text));
}

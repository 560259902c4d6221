#include "show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wctype.h>

#include "presence/utf8.h"
#include "presencectl.h"

/* ---- names ------------------------------------------------------------------------------- */

/* Printable to iswprint, but invisible or able to rearrange what is around it (UAX 9, UTR 36). */
static bool is_deceptive(uint32_t character)
{
    static const uint32_t ranges[][2] = {
        {0x00ad, 0x00ad}, {0x034f, 0x034f}, {0x061c, 0x061c}, {0x115f, 0x1160},   {0x180b, 0x180f},
        {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0x3164, 0x3164},   {0xfe00, 0xfe0f},
        {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xffa0, 0xffa0}, {0xe0000, 0xe0fff},
    };

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        if (character >= ranges[i][0] && character <= ranges[i][1])
            return true;
    }
    return false;
}

/* The code point of a valid character of `size` bytes. */
static uint32_t character_value(const uint8_t *bytes, uint32_t size)
{
    if (size == 1)
        return bytes[0];
    uint32_t value = bytes[0] & (0x7fu >> size);
    for (uint32_t i = 1; i < size; i++)
        value = value << 6 | (bytes[i] & 0x3f);
    return value;
}

struct shown_name show_name(const char *name)
{
    const uint8_t *bytes = (const uint8_t *)name;
    uint32_t length = (uint32_t)strnlen(name, PRESENCE_NAME_MAX);
    struct shown_name shown;
    size_t used = 0;

    for (uint32_t i = 0; i < length;) {
        uint32_t size = utf8_character_size(bytes + i, length - i);
        if (size == 0)
            break;
        uint32_t character = character_value(bytes + i, size);
        if (iswprint((wint_t)character) && !is_deceptive(character)) {
            memcpy(shown.text + used, bytes + i, size);
            used += size;
        } else {
            used += (size_t)sprintf(shown.text + used, "\\u{%04" PRIX32 "}", character);
        }
        i += size;
    }
    shown.text[used] = '\0';
    return shown;
}

/* ---- times ------------------------------------------------------------------------------- */

struct shown_time show_time(int64_t seconds)
{
    time_t time = seconds;
    struct shown_time shown = {"?"};
    struct tm parts;

    if (gmtime_r(&time, &parts))
        strftime(shown.text, sizeof(shown.text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return shown;
}

struct shown_duration show_duration(uint64_t seconds)
{
    static const struct {
        uint64_t seconds;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    struct shown_duration shown;
    size_t unit = 0;

    while (units[unit].seconds > 1 && seconds < 2 * units[unit].seconds)
        unit++;
    snprintf(shown.text, sizeof(shown.text), "%" PRIu64 " %s", seconds / units[unit].seconds,
             units[unit].name);
    return shown;
}

struct shown_duration show_window(uint32_t seconds)
{
    struct shown_duration shown;
    const char *unit = seconds % 3600 == 0 ? "h" : seconds % 60 == 0 ? "min" : "s";
    uint32_t size = seconds % 3600 == 0 ? 3600 : seconds % 60 == 0 ? 60 : 1;

    snprintf(shown.text, sizeof(shown.text), "%" PRIu32 " %s", seconds / size, unit);
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
    for (size_t i = 0; i < scols_table_get_ncols(table); i++)
        must(scols_line_set_data(line, i, cells[i]) == 0);
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
    size_t flags = JSON_COMPACT | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0);
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

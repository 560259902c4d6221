#include "csv.h"

#include <inttypes.h>
#include <string.h>

#include "name.h"

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

void csv_name(struct csv *csv, const char *name, bool show)
{
    char text[SHOW_NAME_SIZE + 1];

    if (!name)
        name = "";
    bool is_formula = *name && strchr("=+-@", *name);
    snprintf(text, sizeof(text), "%s%s", is_formula ? "'" : "", show ? show_name(name).text : name);
    csv_text(csv, text);
}

void csv_integer(struct csv *csv, uint64_t value)
{
    separate(csv);
    fprintf(csv->out, "%" PRIu64, value);
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

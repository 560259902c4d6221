#include "exposition.h"

#include <inttypes.h>
#include <string.h>

#define PREFIX "presence_"

static const char *type_name(const struct exposition *exposition)
{
    switch (exposition->type) {
    case FAMILY_COUNTER:
        return "counter";
    case FAMILY_INFO:
        return exposition->format == FORMAT_OPENMETRICS ? "info" : "gauge";
    case FAMILY_GAUGE:
        break;
    }
    return "gauge";
}

static const char *suffix(enum family_type type)
{
    return type == FAMILY_COUNTER ? "_total" : type == FAMILY_INFO ? "_info" : "";
}

/* Write a label's value; line feeds, backslashes and double quotes need an escape. */
static void write_escaped(FILE *out, const char *text)
{
    for (;;) {
        size_t plain = strcspn(text, "\\\"\n");
        fwrite(text, 1, plain, out);
        text += plain;
        if (!*text)
            return;
        fputc('\\', out);
        fputc(*text == '\n' ? 'n' : *text, out);
        text++;
    }
}

/* Find the unit that a name ends with, which OpenMetrics names in a line of its own; or NULL. */
static const char *unit_of(const char *name)
{
    static const char *const units[] = {"seconds", "bytes"};
    const char *last = strrchr(name, '_');

    for (size_t i = 0; last && i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(last + 1, units[i]) == 0)
            return units[i];
    }
    return NULL;
}

void exposition_family(struct exposition *exposition, const char *name, enum family_type type,
                       const char *help)
{
    FILE *out = exposition->out;

    exposition->name = name;
    exposition->type = type;
    /* OpenMetrics names the family here, the older format its samples. */
    const char *end = exposition->format == FORMAT_OPENMETRICS ? "" : suffix(type);
    const char *unit = exposition->format == FORMAT_OPENMETRICS ? unit_of(name) : NULL;
    fprintf(out, "# HELP " PREFIX "%s%s %s\n", name, end, help);
    fprintf(out, "# TYPE " PREFIX "%s%s %s\n", name, end, type_name(exposition));
    if (unit)
        fprintf(out, "# UNIT " PREFIX "%s %s\n", name, unit);
}

void exposition_sample(struct exposition *exposition, const struct label *labels, size_t count,
                       uint64_t value)
{
    FILE *out = exposition->out;

    fprintf(out, PREFIX "%s%s", exposition->name, suffix(exposition->type));
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%c%s=\"", i ? ',' : '{', labels[i].name);
        write_escaped(out, labels[i].value);
        fputc('"', out);
    }
    fprintf(out, "%s %" PRIu64 "\n", count ? "}" : "", value);
}

void exposition_gauge(struct exposition *exposition, const char *name, const char *help,
                      uint64_t value)
{
    exposition_family(exposition, name, FAMILY_GAUGE, help);
    exposition_sample(exposition, NULL, 0, value);
}

void exposition_end(struct exposition *exposition)
{
    if (exposition->format == FORMAT_OPENMETRICS)
        fputs("# EOF\n", exposition->out);
}

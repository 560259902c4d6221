/* options_export - print a program's table of options as JSON, for tools/generated/render.py. Runs
 * while the tree is built. */
#include <inttypes.h>
#include <stdio.h>

#include "options.h"
#include "options_help.h"

static void print_text(const char *name, const char *text)
{
    printf(",\n  \"%s\": ", name);
    if (!text) {
        fputs("null", stdout);
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '\n')
            fputs("\\n", stdout);
        else
            printf("%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
    }
    putchar('"');
}

static void print_words(const struct option_entry *entry)
{
    fputs(",\n  \"words\": [", stdout);
    for (unsigned i = (unsigned)entry->min; entry->words && entry->words[i]; i++)
        printf("%s\"%s\"", i == entry->min ? "" : ", ", entry->words[i]);
    putchar(']');
}

static void print_command(const struct option_command *command, const char *before)
{
    printf("%s{\"name\": \"%s\"", before, command->name);
    print_text("arguments", command->arguments);
    print_text("summary", command->summary);
    print_text("details", command->details);
    putchar('}');
}

static void print_entry(const struct option_entry *entry)
{
    bool is_list = entry->kind == OPTION_KIND_LIST || entry->repeatable;

    printf(
        "{\"heading\": %s, \"flag\": %s, \"repeatable\": %s, \"line_only\": %s, \"max\": %" PRIu64
        ", \"commands\": %" PRIu32,
        entry->kind == OPTION_KIND_HEADING ? "true" : "false",
        entry->kind == OPTION_KIND_FLAG ? "true" : "false", is_list ? "true" : "false",
        entry->line_only ? "true" : "false", is_list ? entry->max : 0, entry->commands);
    print_text("name", entry->name);
    print_text("argument", entry->argument);
    print_text("help", entry->help);
    print_text("details", entry->details);
    print_text("variable", entry->variable);
    print_text("fallback", entry->fallback);
    print_text("example", entry->example);
    print_text("suggestions", entry->suggestions);
    print_words(entry);
    putchar('}');
}

static void print_entries(const char *name, const struct option_entry *entries, unsigned count)
{
    const char *before = "";

    printf("\"%s\": [", name);
    for (unsigned i = 0; i < count; i++) {
        if (entries[i].renamed)
            continue;
        fputs(before, stdout);
        print_entry(&entries[i]);
        before = ",\n";
    }
    putchar(']');
}

int main(void)
{
    const struct option_table *table = &options_table;

    printf("{\"program\": \"%s\",\n\"commands\": [", table->program);
    for (unsigned i = 0; i < table->command_count; i++)
        print_command(&table->commands[i], i ? ",\n" : "");
    fputs("],\n", stdout);
    print_entries("entries", table->entries, table->count);
    fputs(",\n", stdout);
    print_entries("common", options_common, OPTIONS_COMMON);
    puts("}");
    return 0;
}

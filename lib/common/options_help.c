#include "options_help.h"

#include <stdio.h>
#include <string.h>

#define COLUMNS     80
#define NAMES_WIDTH 32 /* a longer option has a line of its own */

const struct option_entry options_common[OPTIONS_COMMON] = {
    {"config", OPTION_KIND_TEXT, .argument = "FILE",
     .help = "read these options from a file, a NAME = VALUE a line",
     .details = "See presence.conf(5)."},
    {"help", OPTION_KIND_FLAG, .help = "show this help; also -h"},
    {"version", OPTION_KIND_FLAG, .help = "show the version"},
};

/* ---- rows -------------------------------------------------------------------------------- */

static unsigned format_name(const struct option_entry *entry, char *ret, size_t size)
{
    return (unsigned)snprintf(ret, size, "--%s%s%s", entry->name, entry->argument ? " " : "",
                              entry->argument ? entry->argument : "");
}

/* Print a text in columns from `indent`, which the cursor has reached already. */
static void print_wrapped(const char *text, unsigned indent)
{
    unsigned column = indent;

    while (*text) {
        size_t length = strcspn(text, " ");
        if (column > indent && column + 1 + length > COLUMNS) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        }
        column += (unsigned)printf("%s%.*s", column > indent ? " " : "", (int)length, text);
        text += length;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_entry(const struct option_entry *entry, unsigned width)
{
    char name[128], text[1024];
    bool is_list = entry->kind == OPTION_KIND_LIST || entry->repeatable;
    unsigned length = format_name(entry, name, sizeof(name));

    printf("  %-*s  ", (int)width, name);
    if (length > width)
        printf("\n%*s", (int)width + 4, "");
    int used = snprintf(text, sizeof(text), "%s%s", entry->help, is_list ? "; repeatable" : "");
    if (entry->variable && entry->fallback)
        snprintf(text + used, sizeof(text) - (size_t)used, " ($%s, or %s)", entry->variable,
                 entry->fallback);
    else if (entry->variable || entry->fallback)
        snprintf(text + used, sizeof(text) - (size_t)used, " (%s%s)", entry->variable ? "$" : "",
                 entry->variable ? entry->variable : entry->fallback);
    print_wrapped(text, width + 4);
}

/* True if the help of `command`, or that of the program, shows the entry. */
static bool is_shown(const struct option_table *table, const struct option_command *command,
                     const struct option_entry *entry)
{
    return !entry->renamed &&
           (!command || !entry->commands || entry->commands >> (command - table->commands) & 1);
}

static void print_entries(const struct option_table *table, const struct option_command *command)
{
    unsigned width = 0;
    char name[128];

    for (unsigned i = 0; i < table->count; i++) {
        const struct option_entry *entry = &table->entries[i];
        unsigned length = format_name(entry, name, sizeof(name));
        if (entry->kind != OPTION_KIND_HEADING && is_shown(table, command, entry) &&
            length > width && length <= NAMES_WIDTH)
            width = length;
    }
    for (unsigned i = 0; i < table->count; i++) {
        const struct option_entry *entry = &table->entries[i];
        if (entry->kind == OPTION_KIND_HEADING)
            printf("\n%s:\n", entry->name);
        else if (is_shown(table, command, entry))
            print_entry(entry, width);
    }
    for (unsigned i = 0; i < OPTIONS_COMMON; i++)
        print_entry(&options_common[i], width);
}

/* ---- help -------------------------------------------------------------------------------- */

static void print_commands(const struct option_table *table)
{
    printf("\nCommands:\n");
    for (unsigned i = 0; i < table->command_count; i++)
        printf("  %-7s %-11s  %s\n", table->commands[i].name, table->commands[i].arguments,
               table->commands[i].summary);
    printf("  %-7s %-11s  %s\n\nOptions:\n", "help", "[COMMAND]", "explain a command");
}

void options_print_help(const struct option_table *table, const struct option_command *command)
{
    if (command) {
        printf("Usage: %s %s%s%s [OPTION]...\n\nShow %s.\n%s%s\nOptions:\n", table->program,
               command->name, *command->arguments ? " " : "", command->arguments, command->summary,
               command->details, *command->details ? "\n" : "");
        print_entries(table, command);
        return;
    }
    if (table->usage)
        printf("Usage: %s\n\n%s\n", table->usage, table->purpose);
    else
        printf("Usage: %s [OPTION]...\n\n%s\n", table->program, table->purpose);
    if (table->commands)
        print_commands(table);
    else
        putchar('\n');
    print_entries(table, NULL);
    printf("\n%s", table->notes
                       ? table->notes
                       : "Exit status: 0 stopped by a signal, 1 failure, 2 wrong usage.\n");
}

/* options_help.h - print an option table as help, for options.c. */
#ifndef PRESENCE_OPTIONS_HELP_H
#define PRESENCE_OPTIONS_HELP_H

#include "options.h"

/* The options that every program has: --config, --help and --version. */
#define OPTIONS_COMMON 3
extern const struct option_entry options_common[OPTIONS_COMMON];

/* Print to stdout the help of a command, or of the whole program where it is NULL. */
void options_print_help(const struct option_table *table, const struct option_command *command);

#endif

/* option_table.h - a program's options, from one table: on its command line, and in a file with a
 * NAME = VALUE a line. The command line wins over the file, as it is read after it. */
#ifndef PRESENCE_OPTION_TABLE_H
#define PRESENCE_OPTION_TABLE_H

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct option_entry {
    const char *name;
    /* Take a value into what is read; false after saying what is wrong with it. */
    bool (*take)(void *target, const char *name, const char *value);
    const char *argument; /* NULL: a flag, which a file sets to yes or no */
    const char *help;     /* in lines */
};

struct option_table {
    const char *program;
    const char *purpose; /* for --help: what it does, in a line */
    const char *notes;   /* and lines that stand before the exit status; or "" */
    const struct option_entry *entries;
    unsigned count;
    void (*log)(const char *format, ...) __attribute__((format(printf, 1, 2)));
};

enum option_verdict {
    OPTION_RUN,
    OPTION_DONE,  /* --help or --version was answered */
    OPTION_WRONG, /* one line was printed that says what */
};

/* What getopt_long returns: different values, or it takes the first of several that an abbreviation
 * stands for. The entries' come first, and none is '?'. */
#define OPTION_FIRST 256

static inline void option_print(const char *name, const char *argument, const char *help)
{
    char option[64];

    snprintf(option, sizeof(option), "--%s%s%s", name, argument ? " " : "",
             argument ? argument : "");
    for (const char *left = option; help; left = "") {
        const char *end = strchr(help, '\n');
        printf("  %-25s %.*s\n", left, end ? (int)(end - help) : (int)strlen(help), help);
        help = end ? end + 1 : NULL;
    }
}

static inline void option_print_help(const struct option_table *table)
{
    printf("Usage: %s [OPTION]...\n%s\n\n", table->program, table->purpose);
    for (unsigned i = 0; i < table->count; i++)
        option_print(table->entries[i].name, table->entries[i].argument, table->entries[i].help);
    option_print("config", "FILE", "read these options from a file, a NAME = VALUE a line");
    option_print("help", NULL, "show this");
    option_print("version", NULL, "show the version");
    printf("\nPRESENCE_SEGMENT sets the segment's path where --segment does not.\n%s"
           "Exit status: 0 stopped by a signal, 1 failure, 2 wrong usage.\n",
           table->notes);
}

struct option_file {
    const struct option_table *table;
    void *target;
    const char *path;
    bool failed;
};

/* inih's callback: 1 goes on. */
static inline int option_take_line(void *user, const char *section, const char *name,
                                   const char *value)
{
    struct option_file *file = user;
    const struct option_table *table = file->table;

    (void)section;
    if (file->failed)
        return 1; /* one line is enough */
    for (unsigned i = 0; i < table->count; i++) {
        if (strcmp(name, table->entries[i].name) == 0) {
            file->failed = !table->entries[i].take(file->target, name, value);
            return 1;
        }
    }
    table->log("%s: there is no option '%.100s'; see %s --help", file->path, name, table->program);
    file->failed = true;
    return 1;
}

static inline bool option_read_file(const struct option_table *table, const char *path,
                                    void *target)
{
    struct option_file file = {table, target, path, false};
    struct stat status;
    int r = stat(path, &status) < 0 ? -1 : 0;

    if (r == 0 && S_ISDIR(status.st_mode)) {
        errno = EISDIR; /* inih would take it for an empty file */
        r = -1;
    }
    if (r == 0)
        r = ini_parse(path, option_take_line, &file);
    if (r < 0)
        table->log("cannot read the configuration file %s: %s", path,
                   r == -1 ? strerror(errno) : "out of memory");
    if (r > 0 && !file.failed)
        table->log("%s:%d: not a NAME = VALUE line", path, r);
    return r == 0 && !file.failed;
}

/* For getopt_long; to be freed. NULL: out of memory. */
static inline struct option *option_list(const struct option_table *table)
{
    struct option *list = calloc(table->count + 4, sizeof(*list));
    int next = OPTION_FIRST;

    if (!list)
        return NULL;
    for (unsigned i = 0; i < table->count; i++)
        list[i] = (struct option){table->entries[i].name,
                                  table->entries[i].argument ? required_argument : no_argument,
                                  NULL, next++};
    struct option *own = list + table->count;
    own[0] = (struct option){"config", required_argument, NULL, next++};
    own[1] = (struct option){"help", no_argument, NULL, next++};
    own[2] = (struct option){"version", no_argument, NULL, next};
    return list;
}

/* What was found on the command line. */
static inline enum option_verdict option_take(const struct option_table *table, unsigned place,
                                              void *target, const char **ret_file)
{
    if (place < table->count) {
        const struct option_entry *entry = &table->entries[place];
        return !target || entry->take(target, entry->name, optarg ? optarg : "yes") ? OPTION_RUN
                                                                                    : OPTION_WRONG;
    }
    if (place == table->count) {
        *ret_file = optarg;
        return OPTION_RUN;
    }
    if (place == table->count + 1)
        option_print_help(table);
    else
        printf("%s %s\n", table->program, PRESENCE_VERSION);
    return OPTION_DONE;
}

/* Go through the command line once: for the file's name alone where `target` is NULL. */
static inline enum option_verdict option_read_arguments(const struct option_table *table,
                                                        const struct option *list, int argc,
                                                        char **argv, void *target,
                                                        const char **ret_file)
{
    enum option_verdict verdict = OPTION_RUN;
    int value;

    optind = 0; /* glibc: start over */
    while (verdict == OPTION_RUN && (value = getopt_long(argc, argv, "", list, NULL)) != -1)
        verdict = value == '?'
                      ? OPTION_WRONG /* getopt_long has said why */
                      : option_take(table, (unsigned)(value - OPTION_FIRST), target, ret_file);
    if (verdict == OPTION_RUN && optind < argc) {
        table->log("unexpected argument '%.100s'; see %s --help", argv[optind], table->program);
        verdict = OPTION_WRONG;
    }
    return verdict;
}

/* Read the file that --config names, and the command line, into `target`, which has the defaults.
 * One thread. */
static inline enum option_verdict option_table_read(const struct option_table *table, int argc,
                                                    char **argv, void *target)
{
    struct option *list = option_list(table);
    const char *path = NULL;

    if (!list) {
        table->log("out of memory");
        return OPTION_WRONG;
    }
    enum option_verdict verdict = option_read_arguments(table, list, argc, argv, NULL, &path);
    if (verdict == OPTION_RUN && path && !option_read_file(table, path, target))
        verdict = OPTION_WRONG;
    if (verdict == OPTION_RUN)
        verdict = option_read_arguments(table, list, argc, argv, target, &path);
    free(list);
    return verdict;
}

#endif

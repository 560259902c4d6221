/* options.h - a program's options from one table: its command line, its configuration file, --help,
 * --version, and at build time its manual's list of options and its bash completion.
 *
 *     static const struct option_entry entries[] = {
 *         OPTION_SEGMENT(struct options, segment),
 *         {"workers", OPTION_UINT32(struct options, workers), .min = 1, .max = 64,
 *          .argument = "N", .help = "receiving threads", .fallback = "4"},
 *     };
 *     const struct option_table options_table = {
 *         .program = "presenced", .purpose = "Count visitors.", OPTION_ENTRIES(entries)};
 *
 * All functions: one thread, at the program's start. */
#ifndef PRESENCE_OPTIONS_H
#define PRESENCE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "presence/presence.h"

enum option_kind {
    OPTION_KIND_FLAG = 1,
    OPTION_KIND_TEXT,
    OPTION_KIND_LIST,
    OPTION_KIND_UINT32,
    OPTION_KIND_UINT64,
    OPTION_KIND_DECIMAL,
    OPTION_KIND_DURATION,
    OPTION_KIND_WORD,
    OPTION_KIND_PARSED,
    OPTION_KIND_HEADING,
};

/* The values of a repeatable option, in the order given; the file's come first. */
struct option_list {
    char **items; /* allocated, each of them too */
    unsigned count;
};

struct option_entry {
    const char *name; /* without the dashes; of a heading its text */
    enum option_kind kind;
    size_t offset;                               /* of the value in the target */
    uint64_t min, max;                           /* as the kind says below; both included */
    double decimal_min, decimal_max;             /* both included */
    const char *const *words;                    /* of a WORD: from index `min` to a NULL */
    int (*check)(char *value);                   /* of TEXT and LIST, or NULL */
    int (*parse)(void *value, const char *text); /* of PARSED */
    const char *argument;    /* the value's name in --help, such as "ADDR:PORT"; not of a FLAG */
    const char *expected;    /* for "--x takes EXPECTED, not 'y'"; NULL: as the kind words it */
    const char *help;        /* a phrase for --help and the manual: "serve here"; is wrapped */
    const char *details;     /* sentences that only the manual has, or NULL */
    const char *variable;    /* an environment variable that sets it otherwise, or NULL */
    const char *fallback;    /* its value when nothing else sets it, or NULL: the target's own */
    const char *example;     /* a value for the shipped configuration, if there is no fallback */
    const char *suggestions; /* words for the completion, separated by spaces, or NULL */
    uint32_t commands;       /* bit N: it belongs to command N; 0: to all of them */
    const char *elsewhere;   /* a clause: what the other commands do without it; or NULL */
    bool repeatable;         /* a PARSED value may be given more than once; a LIST always may */
    bool line_only;          /* a file may not set it: it would make a service end at once */
    bool secret;             /* never shown in messages, and wiped from the command line */
    const char *renamed;     /* the option's new name, if this is a former one; otherwise NULL */
};

/* The kind and the place of a value; the compiler checks the member's type. */
#define OPTION_PLACE(kind_, of, member, type) \
    .kind = (kind_), .offset = offsetof(of, member) + 0 * sizeof(&((of *)0)->member == (type *)0)

/* bool. A file sets it to yes or no. */
#define OPTION_FLAG(of, member) OPTION_PLACE(OPTION_KIND_FLAG, of, member, bool)
/* char *, allocated; not empty, at most `max` bytes (0: any number). `check` may edit it in place,
 * and returns 0 or -EINVAL. */
#define OPTION_TEXT(of, member) OPTION_PLACE(OPTION_KIND_TEXT, of, member, char *)
/* struct option_list of such texts. `max`: how many, at most (0: any number). */
#define OPTION_LIST(of, member) OPTION_PLACE(OPTION_KIND_LIST, of, member, struct option_list)
/* Whole decimal numbers from `min` to `max`. */
#define OPTION_UINT32(of, member) OPTION_PLACE(OPTION_KIND_UINT32, of, member, uint32_t)
#define OPTION_UINT64(of, member) OPTION_PLACE(OPTION_KIND_UINT64, of, member, uint64_t)
/* double from `decimal_min` to `decimal_max`. */
#define OPTION_DECIMAL(of, member) OPTION_PLACE(OPTION_KIND_DECIMAL, of, member, double)
/* uint32_t seconds from `min` to `max`, given as 90, 90s, 5m, 1h, 2d or 1w. */
#define OPTION_DURATION(of, member) OPTION_PLACE(OPTION_KIND_DURATION, of, member, uint32_t)
/* An enum or unsigned: the index in `words_`. */
#define OPTION_WORD(of, member, words_)                                                   \
    .kind = OPTION_KIND_WORD,                                                             \
    .offset = offsetof(of, member) + 0 / (sizeof(((of *)0)->member) == sizeof(unsigned)), \
    .words = (words_)
/* Any member, which `parse_` sets; `value` points to it. It returns 0, -EINVAL ("--x takes
 * EXPECTED, not 'y'"), -ENOSPC ("--x can be given at most MAX times"), or another negative errno,
 * and leaves the value alone on failure. */
#define OPTION_PARSED(of, member, parse_) \
    .kind = OPTION_KIND_PARSED, .offset = offsetof(of, member), .parse = (parse_)
/* The same, but `value` points to the whole target. */
#define OPTION_PARSED_INTO(parse_) .kind = OPTION_KIND_PARSED, .parse = (parse_)
/* A line of --help between two groups of options: {OPTION_HEADING("A load")}. */
#define OPTION_HEADING(text) .name = (text), .kind = OPTION_KIND_HEADING
/* A former name: {OPTION_RENAMED("max-visitors", "max-entries")}. Using it is an error that names
 * the new one. */
#define OPTION_RENAMED(from, to) \
    .name = (from), .kind = OPTION_KIND_TEXT, .argument = "VALUE", .renamed = (to)
/* The whole entry of --segment, a TEXT that is never NULL once parsed. */
#define OPTION_SEGMENT(of, member, ...)                                            \
    {                                                                              \
        "segment", OPTION_TEXT(of, member),                                        \
            .argument = "PATH", .expected = "the path of the collector's segment", \
            .help = "the collector's segment", .variable = "PRESENCE_SEGMENT",     \
            .fallback = PRESENCE_DEFAULT_SEGMENT, ##__VA_ARGS__                    \
    }

/* A command of a program that has several. */
struct option_command {
    const char *name;
    const char *arguments; /* for people, such as "SITE [ROOM]"; "" */
    const char *summary;   /* a phrase that fits behind "Show" */
    const char *details;   /* lines for its help; "" */
    unsigned arguments_min, arguments_max;
};

/* Read a configuration file and call `line` with each of its options, until that returns false.
 * Returns 0, the number of the first line that is malformed, -ECANCELED if `line` has returned
 * false or one line was printed, or another negative errno. */
typedef int (*option_file_reader)(const char *path,
                                  bool (*line)(void *context, const char *name, const char *value),
                                  void *context);

struct option_table {
    const char *program; /* it has --config, --help or -h, and --version, too */
    const char *usage;   /* lines behind "Usage: "; NULL: "PROGRAM [OPTION]..." */
    const char *purpose; /* what the program does, in lines */
    const char *notes;   /* lines at the end of --help; NULL: the exit statuses of a daemon */
    const struct option_entry *entries;
    unsigned count;                        /* at most 64 */
    const struct option_command *commands; /* or NULL */
    unsigned command_count;                /* at most 32 */
    option_file_reader read_file;          /* options_read_file, for --config */
};

#define OPTION_ENTRIES(array) .entries = (array), .count = sizeof(array) / sizeof((array)[0])
#define OPTION_COMMANDS(array) \
    .commands = (array), .command_count = sizeof(array) / sizeof((array)[0])

/* The program's own table, which its options.c defines: options_export.c makes the manual's list of
 * options and the completion from it. */
extern const struct option_table options_table;

/* The parts of a command line. */
struct option_use {
    const struct option_table *table;
    uint64_t given;     /* bit N: entry N was on the command line or in the file */
    unsigned command;   /* index, of a table with commands */
    unsigned arguments; /* index in argv, which is reordered, of the first argument */
    const char *config; /* the file that --config names, in argv; NULL: none */
};

enum option_verdict {
    OPTION_RUN,
    OPTION_DONE,  /* --help or -h, --version or a command's help was printed to stdout */
    OPTION_WRONG, /* one line was printed to stderr */
};

/* Parse the command line, and the file that --config names, into `target`, which holds the defaults
 * that no `fallback` states. The command line wins over the file, the file over `variable`, that
 * over `fallback`; repeatable options add up. An option that takes one value and is given twice is
 * wrong, also a flag that a file has twice. With OPTION_RUN, release the texts and lists with
 * options_free; with the others nothing is left to release but what PARSED values own. */
enum option_verdict options_parse(const struct option_table *table, int argc, char **argv,
                                  void *target, struct option_use *ret);

/* Release the texts and lists of a target and set them to NULL and none. */
void options_free(const struct option_table *table, void *target);

/* True if the option was on the command line or in the file. */
bool option_given(const struct option_use *use, const char *name);

/* Print one line to stderr: "PROGRAM: --NAME: REASON". Returns OPTION_WRONG. For errors that only
 * several options together show. */
enum option_verdict option_wrong(const char *name, const char *reason, ...)
    __attribute__((format(printf, 2, 3)));

/* An option_file_reader for NAME = VALUE lines of at most 199 bytes; # and ; begin a comment, and
 * [sections] mean nothing. Links with inih. */
int options_read_file(const char *path,
                      bool (*line)(void *context, const char *name, const char *value),
                      void *context);

#endif

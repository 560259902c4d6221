/* presencectl.h - the commands' options, exit statuses and messages. */
#ifndef PRESENCECTL_H
#define PRESENCECTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/options.h"
#include "engine/engine_options.h"
#include "name.h"

#define QUIET_AGE 60 /* seconds; edges send one heartbeat a minute for each visitor */

enum exit_status {
    EXIT_FINE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_STALE = 3,
    EXIT_ABSENT = 4, /* no such site or room: nobody is there, or that is unknown */
};

enum command {
    COMMAND_COUNT,
    COMMAND_TOP,
    COMMAND_SITES,
    COMMAND_PEAK,
    COMMAND_HISTORY,
    COMMAND_EVENTS,
    COMMAND_WATCH,
    COMMAND_EXPLAIN,
    COMMAND_SEEN,
    COMMAND_SENDERS,
    COMMAND_STATS,
    COMMAND_STATUS,
    COMMAND_VERIFY,
    COMMAND_FORGET,
};

enum since_kind {
    SINCE_NONE,
    SINCE_TIME,
    SINCE_NUMBER, /* a number alone: seconds ago, or a sequence number */
};

/* The value of --since. */
struct since {
    enum since_kind kind;
    int64_t time_us; /* Unix microseconds */
    uint64_t number;
};

struct options {
    char *segment;
    struct engine_options engine; /* without a URL: the segment is read */
    uint32_t window_s;            /* 0: the default */
    uint64_t limit;               /* 0: all */
    enum presence_kind by;
    char *country; /* two capital letters, or NULL */
    char *source;  /* or NULL */
    struct since since;
    uint32_t step_s; /* 0: the default of the format */
    char *database;  /* NULL: the default one, if it exists */
    bool json;       /* wins over the other formats */
    bool table, csv, names;
    bool all;
    bool follow;
    bool unicode; /* the terminal's locale is UTF-8 */
};

/* Run a command and return its exit status. `arguments` ends with NULL. `presence` is NULL if there
 * is no segment, for the commands that can print the database alone. */
int command_count(struct presence *presence, const struct options *options, char **arguments);
int command_top(struct presence *presence, const struct options *options, char **arguments);
int command_sites(struct presence *presence, const struct options *options, char **arguments);
int command_seen(struct presence *presence, const struct options *options, char **arguments);
int command_senders(struct presence *presence, const struct options *options, char **arguments);
int command_stats(struct presence *presence, const struct options *options, char **arguments);
int command_status(struct presence *presence, const struct options *options, char **arguments);
int command_verify(struct presence *presence, const struct options *options, char **arguments);
int command_peak(struct presence *presence, const struct options *options, char **arguments);
int command_history(struct presence *presence, const struct options *options, char **arguments);
int command_events(struct presence *presence, const struct options *options, char **arguments);
int command_watch(struct presence *presence, const struct options *options, char **arguments);
int command_explain(struct presence *presence, const struct options *options, char **arguments);

/* The same of all groups of collectors, whose counts are in an engine (--engine), and commands
 * about these alone. */
struct engine_reader;

int groups_count(struct engine_reader *reader, const struct options *options, char **arguments);
int groups_top(struct engine_reader *reader, const struct options *options, char **arguments);
int groups_sites(struct engine_reader *reader, const struct options *options, char **arguments);
int groups_peak(struct engine_reader *reader, const struct options *options, char **arguments);
int groups_history(struct engine_reader *reader, const struct options *options, char **arguments);
int groups_status(struct engine_reader *reader, const struct options *options, char **arguments);
int groups_forget(struct engine_reader *reader, const struct options *options, char **arguments);

/* Return what a number adds to a noun: "" for 1, otherwise "s". */
static inline const char *plural_of(uint64_t number)
{
    return number == 1 ? "" : "s";
}

/* ---- options.c ---- */

/* Why a command has no --engine. */
#define ONE_COLLECTOR "it is of one collector: run it on that collector's machine"

/* Convert --since to Unix seconds: a number counts seconds before `now`, and without --since it is
 * `otherwise_s` before `now`. */
int64_t since_seconds(const struct since *since, uint32_t otherwise_s, int64_t now);

/* Return a kind's name in the singular ("room") and in the plural ("rooms"). */
const char *kind_name(enum presence_kind kind);
const char *kind_plural(enum presence_kind kind);

/* ---- scope.c; see scope.h too ---- */

/* Check a site's name from the command line and lower-case it in place. Returns false after
 * reporting that no site can have this name. */
bool argument_site(char *text);

/* ---- listing.c ---- */

/* Drop a site's rooms, countries or sources with nobody in the window. Those whose visitors could
 * not all be counted stay. Returns how many were dropped. */
size_t listing_drop_empty(struct presence_listing *listing);

/* ---- database.c ---- */

struct archive;

/* Open the database of presence-recorder, which must be of an engine's groups with --engine, and of
 * a collector without. `*ret`, to be released with archive_close, is NULL if the default database
 * does not exist, or can't be used, beside a segment. Returns EXIT_FINE, or EXIT_FAILED after
 * reporting why. */
int database_open(const struct options *options, struct archive **ret);

/* True if the database exists and may be read. */
bool database_is_readable(const struct options *options);

/* Report that an engine has a place, and the database nothing of it. Returns EXIT_ABSENT. */
int report_unrecorded(const struct options *options, const char *place);

/* Report a failed call into `archive`. Returns EXIT_FAILED. */
int report_database_error(int error, const struct options *options, const struct archive *archive);

/* ---- report.c: messages on stderr ---- */

/* Print one line on stderr, after the program's name. Names in it must come from show_name: unlike
 * log_error it keeps UTF-8. */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Report a failed call into libpresence. Returns EXIT_FAILED, or EXIT_USAGE if an argument was
 * wrong. */
int report_error(int error, struct presence *presence, const struct options *options);

/* Report the marks of a printed number: stale, warming, partial or quiet. `what` names it ("this is
 * the count"); `place` is where its heartbeats come from, or NULL if their age does not matter.
 * Both are printed as they are. Returns EXIT_FINE or EXIT_STALE. */
int report_reading(struct presence *presence, const struct presence_reading *reading,
                   const char *what, const char *place);

/* Report the marks of a place's reading as report_reading does or, if the place does not exist,
 * that nobody is there or that this is unknown. Returns EXIT_FINE, EXIT_STALE or EXIT_ABSENT. */
int report_answer(struct presence *presence, const struct presence_reading *reading,
                  const char *what, const char *place);

/* Report the marks of a collector's status: stale or warming. Returns EXIT_FINE or EXIT_STALE. */
int report_status(const struct presence_status *status, const char *what);

#endif

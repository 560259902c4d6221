/* presencectl.h - what the commands share: their table, options and exit status. */
#ifndef PRESENCECTL_H
#define PRESENCECTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "name.h"

#define QUIET_AGE 60 /* seconds: edges send a heartbeat a visitor and minute */

enum exit_status {
    EXIT_FINE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_STALE = 3,
    EXIT_UNKNOWN = 4, /* no such site or room */
};

/* A bit for each option that only some commands have. */
enum option_bit {
    OPTION_WINDOW = 1,
    OPTION_BY = 2,
    OPTION_LIMIT = 4,
    OPTION_ALL = 8,
    OPTION_SINCE = 16,
    OPTION_STEP = 32,
    OPTION_TABLE = 64,
    OPTION_CSV = 128,
    OPTION_FOLLOW = 256,
    OPTION_DATABASE = 512,
    OPTION_COUNTRY = 1024,
    OPTION_SOURCE = 2048,
};

/* Those that say which place of a site a command is about. */
#define OPTIONS_PLACE (OPTION_COUNTRY | OPTION_SOURCE)

enum since_kind {
    SINCE_UNSAID,
    SINCE_TIME,
    SINCE_NUMBER, /* a number alone: what it counts is the command's to say */
};

/* Where to begin. */
struct since {
    enum since_kind kind;
    int64_t time_us; /* Unix microseconds */
    uint64_t number;
};

struct options {
    const char *segment; /* NULL: $PRESENCE_SEGMENT, or the default */
    uint32_t window_s;   /* 0: the default */
    size_t limit;        /* 0: all */
    enum presence_kind by;
    char country[3];    /* two capital letters, or empty */
    const char *source; /* NULL: none */
    struct since since;
    uint32_t step_s;      /* 0: as the form needs it */
    const char *database; /* NULL: $PRESENCE_DATABASE, or the default if it is there */
    bool json;            /* before table and csv */
    bool table, csv;
    bool all;
    bool follow;
    bool unicode;   /* the terminal's locale is UTF-8 */
    unsigned given; /* enum option_bit */
};

struct command {
    const char *name;
    const char *arguments; /* for people */
    const char *summary;
    const char *details;
    int arguments_min, arguments_max;
    unsigned options; /* enum option_bit that it understands */
    size_t limit;     /* when none is given */
    int (*run)(struct presence *presence, const struct options *options, char **arguments);
};

/* Each returns an exit status. `arguments` ends with NULL. `presence` is NULL where there is no
 * segment, for a command that can do with the database alone. */
int command_count(struct presence *presence, const struct options *options, char **arguments);
int command_top(struct presence *presence, const struct options *options, char **arguments);
int command_sites(struct presence *presence, const struct options *options, char **arguments);
int command_seen(struct presence *presence, const struct options *options, char **arguments);
int command_stats(struct presence *presence, const struct options *options, char **arguments);
int command_status(struct presence *presence, const struct options *options, char **arguments);
int command_verify(struct presence *presence, const struct options *options, char **arguments);
int command_peak(struct presence *presence, const struct options *options, char **arguments);
int command_history(struct presence *presence, const struct options *options, char **arguments);
int command_events(struct presence *presence, const struct options *options, char **arguments);
int command_watch(struct presence *presence, const struct options *options, char **arguments);
int command_explain(struct presence *presence, const struct options *options, char **arguments);

/* ---- options.c ---- */

/* "300", "90s", "5m", "1h" in seconds, at least 1. False when it is none of them. */
bool option_window(const char *text, uint32_t *ret);

bool option_number(const char *text, size_t *ret);

/* "90", "90s", "5m", "6h", "2d" or "1w" in seconds, at least 1. */
bool option_duration(const char *text, uint32_t *ret);

/* A time: a duration ago, "2026-01-31", "2026-01-31T12:00", with seconds and their fraction too if
 * wanted, in UTC, with a Z or without; or a number. `now_us`: Unix microseconds. */
bool option_since(const char *text, int64_t now_us, struct since *ret);

/* Unix seconds of --since, a number of it being seconds ago; `otherwise_s` ago if it is not said.
 */
int64_t since_or(const struct since *since, uint32_t otherwise_s, int64_t now);

/* "room", "country" or "source". */
bool option_kind(const char *text, enum presence_kind *ret);

/* Two letters, which are made capitals. */
bool option_country(const char *text, char ret[3]);

/* The window that a count is for when it is not there to say so itself, rounded as it would be. */
uint32_t window_or_default(const struct options *options, const struct presence_status *status);

/* "room", and "rooms". */
const char *kind_name(enum presence_kind kind);
const char *kind_plural(enum presence_kind kind);

/* ---- place.c; what it is about has place.h ---- */

/* Check a site's name from the command line, and make its ASCII letters lower-case, in place.
 * Complains and returns false when no such name can exist. */
bool argument_site(char *text);

/* ---- database.c ---- */

struct archive;

/* Open what presence-recorder keeps: NULL if there is none and none was asked for. Complains.
 * Returns EXIT_FINE or EXIT_FAILED. `*ret` is to be released with archive_close. */
int open_database(const struct options *options, struct archive **ret);

/* Is there a database that could be opened? */
bool database_is_there(const struct options *options);

/* A failed call into it. Returns EXIT_FAILED. */
int complain_of_database(int error, const struct options *options, const struct archive *archive);

/* ---- notes.c: what there is to say on stderr ---- */

/* One line on stderr, after the program's name. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, for a failed call into the library on the command's behalf. Returns EXIT_FAILED, or
 * EXIT_USAGE where the arguments were wrong. */
int complain_of(int error, struct presence *presence, const struct options *options);

/* A reading without a count, as of the collector's last tick. Errors as presence_status. */
int read_moment(struct presence *presence, const struct options *options,
                struct presence_reading *ret);

/* Nothing was found: say that, or that nothing is known because the collector is silent. `what` is
 * shown as it is. Returns EXIT_STALE or EXIT_UNKNOWN. */
int complain_unknown(struct presence *presence, const struct presence_status *status,
                     const char *what);

/* Say in what way the number that was printed is less than it seems: stale, warming or quiet.
 * `what` names it ("this is the count"); `place` where its heartbeats come from, or NULL if their
 * age does not matter. Both are shown as they are. Returns EXIT_FINE or EXIT_STALE. */
int note_reading(struct presence *presence, const struct presence_reading *reading,
                 const char *what, const char *place);

/* The same for what has no reading of its own. */
int note_status(const struct presence_status *status, const char *what);

#endif

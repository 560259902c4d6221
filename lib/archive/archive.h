/* archive.h - the database that presence-recorder writes and others read: SQLite in WAL mode. It is
 * of one machine's collector, or of the totals of groups of collectors (R9), never of both.
 *
 * A minute's key is its boot and its number since that boot, so none is stored twice, however often
 * it is put. The start of a boot is stored once for all of its minutes; the last known one counts,
 * as in the segment. Totals are of no boot: theirs is a made-up one, whose minute 0 began in 1970.
 *
 * Functions return 0 or a negative errno. -EIO is an error of SQLite's, and -EBUSY: another process
 * is in the way; archive_problem describes them, like all others. One thread at a time may use a
 * handle.
 */
#ifndef PRESENCE_ARCHIVE_H
#define PRESENCE_ARCHIVE_H

#include "presence/presence.h"

#define ARCHIVE_DEFAULT_PATH "/var/lib/presence/history.db"
#define ARCHIVE_VERSION      2 /* of the schema; a higher one is refused */

struct archive;

/* Whose counts a database has. The value is the version of its schema: programs that know only a
 * collector's refuse totals. */
enum archive_subject {
    ARCHIVE_OF_COLLECTOR = 1,
    ARCHIVE_OF_GROUPS = 2,
};

/* The key of a scope or a boot. */
typedef int64_t archive_id;

/* One minute of history: like struct presence_minute, but totals may exceed 32 bits. */
struct archive_minute {
    uint8_t boot_id[16];
    uint64_t minute; /* number since the boot */
    int64_t start;   /* Unix seconds */
    uint64_t minimum, maximum;
    double mean;
    uint32_t seconds; /* sampled */
    uint64_t heartbeats, pageviews, entries, leaves, departures;
    bool has_traffic; /* false: these five are unknown, and 0, as in all minutes of totals */
    bool warming;
    bool partial; /* some of it was sampled while totals were partial */
};

/* A scope's minutes in memory. */
struct archive_minutes {
    struct archive_minute *minutes; /* by start, oldest first */
    size_t length;
};

struct archive_peak {
    uint64_t count; /* 0: unknown */
    int64_t at;     /* Unix seconds */
};

struct archive_peaks {
    struct archive_peak today; /* of the day in question */
    struct archive_peak ever;
    int64_t since; /* Unix seconds: when the scope was first recorded */
};

/* Bytes of a text that says what went wrong and what to do, for a line "cannot read the database
 * PATH: TEXT". If SQLite has failed, it begins with SQLite's own words. */
#define ARCHIVE_PROBLEM_SIZE 512

/* Open a database to read it; release `*ret` with archive_close. It may be a copy, read-only or in
 * a directory that can't be written: then nothing is created beside it. On failure `ret_problem`
 * says why. Errors: -ENOENT; -EACCES; -EBADMSG no database of presence-recorder; -EPROTO written by
 * a newer one; -ENOMEM; -EIO. */
int archive_open(const char *path, struct archive **ret, char ret_problem[ARCHIVE_PROBLEM_SIZE]);

/* Open a database to read and write it, and create it if it is missing. Errors: likewise;
 * -EMEDIUMTYPE it is of another subject. */
int archive_open_writable(const char *path, enum archive_subject subject, struct archive **ret,
                          char ret_problem[ARCHIVE_PROBLEM_SIZE]);

/* Return whose counts a database has. */
enum archive_subject archive_subject(const struct archive *archive);

/* Close a database. NULL is fine. */
void archive_close(struct archive *archive);

/* Describe the last failure; valid until the next. */
const char *archive_problem(const struct archive *archive);

/* The state of a file that was opened to be written. */
enum archive_state {
    ARCHIVE_IN_PLACE,
    ARCHIVE_GONE,        /* nothing has its name: it was moved or deleted */
    ARCHIVE_REPLACED,    /* another file has its name, or a link leads elsewhere */
    ARCHIVE_OVERWRITTEN, /* it was written without SQLite, or its -wal or -shm file is gone */
};

/* Find out whether a writer's file is still the one at its path, as its last commit left it. If it
 * is not, nobody would find what is written to it: call archive_leave and open the path anew. */
enum archive_state archive_check(struct archive *archive);

/* Close a database that archive_check has found in this state. A file that was moved is then
 * complete. */
void archive_leave(struct archive *archive, enum archive_state state);

/* True if another process has written to a writer's database since the last commit, or since it was
 * opened: minutes that were stored may be missing. Call it after archive_begin: nobody else writes
 * then until the commit. Also false if that can't be found out. */
bool archive_was_written(struct archive *archive);

/* ---- reading ---- */

/* Receive one minute; called with each in turn. A negative errno ends the visit. */
typedef int (*archive_visit)(void *context, const struct archive_minute *minute);

/* Visit a scope's minutes that began at `since` (Unix seconds) or later: by boot, then by number,
 * each once, so that years need no memory. Finding none is no error. `name` is ignored for
 * PRESENCE_SITE. Returns the error of `visit`, too. */
int archive_history(struct archive *archive, enum presence_kind kind, const char *site,
                    const char *name, int64_t since, archive_visit visit, void *context);

/* Visit the minute of this number of all scopes and boots, in any order. */
typedef int (*archive_visit_scope)(void *context, const struct presence_scope *scope,
                                   const struct archive_minute *minute);
int archive_minutes_at(struct archive *archive, uint64_t number, archive_visit_scope visit,
                       void *context);

/* Load a scope's minutes that began at `since` or later and before `until` (Unix seconds); release
 * them with archive_minutes_free. Finding none is no error. Errors: -ENOMEM. */
int archive_load(struct archive *archive, enum presence_kind kind, const char *site,
                 const char *name, int64_t since, int64_t until, struct archive_minutes *ret);
void archive_minutes_free(struct archive_minutes *minutes);

/* Load a scope's peaks; `day` is the start of today, Unix seconds. Errors: -ENOENT unknown scope.
 */
int archive_peaks(struct archive *archive, enum presence_kind kind, const char *site,
                  const char *name, int64_t day, struct archive_peaks *ret);

/* ---- writing: all between a begin and a commit ---- */

int archive_begin(struct archive *archive);

/* Commit, and move everything from the -wal file to the database itself, so that the one file is
 * complete between two recordings. */
int archive_commit(struct archive *archive);
void archive_roll_back(struct archive *archive);

/* Find the key of a scope or a boot, or add it. `since`: when it was first recorded, Unix seconds;
 * the earliest is kept. `began`: the start of the boot's minute 0 in Unix seconds, by the current
 * wall clock; the last one is kept. */
int archive_put_scope(struct archive *archive, const struct presence_scope *scope, int64_t since,
                      archive_id *ret);
int archive_put_boot(struct archive *archive, const uint8_t boot_id[16], int64_t began,
                     archive_id *ret);

/* Find the number of the last stored minute. Errors: -ENOENT there is none. */
int archive_last_minute(struct archive *archive, archive_id scope, archive_id boot, uint64_t *ret);

/* Store a minute, unless it is stored already and was observed for longer; of totals also if for as
 * long. Its boot id and start don't matter. */
int archive_put_minute(struct archive *archive, archive_id scope, archive_id boot,
                       const struct archive_minute *minute);

/* Store a scope's peak of a day if it is higher than the stored one. */
int archive_put_peak(struct archive *archive, archive_id scope, const struct archive_peak *peak);

/* Make a minute and a peak of a collector's. */
struct archive_minute archive_minute_of(const struct presence_minute *minute);
struct archive_peak archive_peak_of(const struct presence_peak *peak);

/* Delete all minutes that began before `before`, Unix seconds, and earlier boots without minutes,
 * except the latest. The peaks stay. */
int archive_delete_before(struct archive *archive, int64_t before);

#endif

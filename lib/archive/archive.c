#include "archive.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "archive_handle.h"

#define STRING(x) #x
#define VALUE(x)  STRING(x)

/* A minute's number fits SQLite's signed integers; `began` is the same for all minutes of a boot.
 * `traffic` constrains the columns of what came and went, `columns` are further ones. */
#define SCHEMA(traffic, columns, version)                                                     \
    "CREATE TABLE scope ("                                                                    \
    " id INTEGER PRIMARY KEY,"                                                                \
    " kind INTEGER NOT NULL," /* enum presence_kind */                                        \
    " site TEXT NOT NULL,"                                                                    \
    " name TEXT NOT NULL,"     /* empty for a site */                                         \
    " since INTEGER NOT NULL," /* Unix seconds */                                             \
    " UNIQUE (kind, site, name));"                                                            \
    "CREATE TABLE boot ("                                                                     \
    " id INTEGER PRIMARY KEY,"                                                                \
    " boot_id BLOB NOT NULL UNIQUE,"                                                          \
    " began INTEGER NOT NULL);" /* Unix seconds of its minute 0 */                            \
    "CREATE TABLE minute ("                                                                   \
    " scope INTEGER NOT NULL REFERENCES scope (id),"                                          \
    " boot INTEGER NOT NULL REFERENCES boot (id),"                                            \
    " minute INTEGER NOT NULL," /* since the boot */                                          \
    " seconds INTEGER NOT NULL, minimum INTEGER NOT NULL, mean REAL NOT NULL,"                \
    " maximum INTEGER NOT NULL, heartbeats INTEGER" traffic ", pageviews INTEGER" traffic "," \
    " entries INTEGER" traffic ", leaves INTEGER" traffic ", departures INTEGER" traffic ","  \
    " warming INTEGER NOT NULL," columns " PRIMARY KEY (scope, boot, minute)) WITHOUT ROWID;" \
    "CREATE TABLE peak ("                                                                     \
    " scope INTEGER NOT NULL REFERENCES scope (id),"                                          \
    " day INTEGER NOT NULL," /* Unix seconds, of UTC */                                       \
    " count INTEGER NOT NULL,"                                                                \
    " at INTEGER NOT NULL," /* Unix seconds */                                                \
    " PRIMARY KEY (scope, day)) WITHOUT ROWID;"                                               \
    "PRAGMA application_id = " VALUE(ARCHIVE_APPLICATION_ID) "; PRAGMA user_version = " version

static const char collector_schema[] = SCHEMA(" NOT NULL", "", "1");
static const char groups_schema[] = SCHEMA("", " partial INTEGER NOT NULL,", "2");

/* COLUMNS and `column` are those that load_minute() loads. */
#define COLUMNS                                                                                 \
    "SELECT boot_id, minute, began + 60 * minute, seconds, minimum, mean, maximum, heartbeats," \
    " pageviews, entries, leaves, departures, warming, "
#define MINUTES(column)                                                            \
    COLUMNS column " FROM boot CROSS JOIN minute ON boot = boot.id AND scope = ?1" \
                   " AND minute >= (?2 - began + 59) / 60 ORDER BY boot.id, minute"
#define MINUTES_AT(column)                                                           \
    COLUMNS column ", kind, site, name FROM scope CROSS JOIN boot CROSS JOIN minute" \
                   " ON scope = scope.id AND boot = boot.id AND minute = ?1"

/* Of a minute that is put again, a collector's later figures are the better ones: the first may
 * have been of a minute that was still running. Of totals the first stay: the second are of a wall
 * clock that was set back. */
#define PUT_MINUTE(columns, values, updates, better)                                         \
    "INSERT INTO minute (scope, boot, minute, seconds, minimum, mean, maximum, heartbeats,"  \
    " pageviews, entries, leaves, departures, warming" columns ")"                           \
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13" values ")"             \
    " ON CONFLICT DO UPDATE SET seconds = excluded.seconds, minimum = excluded.minimum,"     \
    " mean = excluded.mean, maximum = excluded.maximum, heartbeats = excluded.heartbeats,"   \
    " pageviews = excluded.pageviews, entries = excluded.entries, leaves = excluded.leaves," \
    " departures = excluded.departures, warming = excluded.warming" updates                  \
    " WHERE excluded.seconds " better " minute.seconds"

static const char *const statements[STATEMENTS] = {
    [STATEMENT_FIND_SCOPE] = "SELECT id FROM scope WHERE kind = ?1 AND site = ?2 AND name = ?3",
    [STATEMENT_MINUTES] = MINUTES("0"),
    [STATEMENT_MINUTES_AT] = MINUTES_AT("0"),
    [STATEMENT_PEAK_OF_DAY] = "SELECT count, at FROM peak WHERE scope = ?1 AND day = ?2",
    [STATEMENT_PEAK_EVER] =
        "SELECT count, at FROM peak WHERE scope = ?1 ORDER BY count DESC, at LIMIT 1",
    [STATEMENT_SINCE] = "SELECT since FROM scope WHERE id = ?1",
    [STATEMENT_PUT_SCOPE] =
        "INSERT INTO scope (kind, site, name, since) VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT DO UPDATE SET since = min(since, excluded.since) RETURNING id",
    [STATEMENT_PUT_BOOT] = "INSERT INTO boot (boot_id, began) VALUES (?1, ?2)"
                           " ON CONFLICT DO UPDATE SET began = excluded.began RETURNING id",
    [STATEMENT_LAST_MINUTE] = "SELECT max(minute) FROM minute WHERE scope = ?1 AND boot = ?2",
    [STATEMENT_PUT_MINUTE] = PUT_MINUTE("", "", "", ">="),
    [STATEMENT_PUT_PEAK] = "INSERT INTO peak (scope, day, count, at) VALUES (?1, ?2, ?3, ?4)"
                           " ON CONFLICT DO UPDATE SET count = excluded.count, at = excluded.at"
                           " WHERE excluded.count > peak.count",
    [STATEMENT_SCOPE_BOOTS] = "SELECT scope.id, boot.id, (?1 - began + 59) / 60 FROM scope, boot",
    [STATEMENT_DELETE_MINUTES] =
        "DELETE FROM minute WHERE scope = ?1 AND boot = ?2 AND minute < ?3",
    [STATEMENT_DELETE_BOOTS] =
        "DELETE FROM boot WHERE began < ?1 AND id <> (SELECT max(id) FROM boot)"
        " AND NOT EXISTS (SELECT 1 FROM scope CROSS JOIN minute"
        " ON minute.scope = scope.id AND minute.boot = boot.id)",
};

const char *archive_schema(enum archive_subject subject)
{
    return subject == ARCHIVE_OF_GROUPS ? groups_schema : collector_schema;
}

const char *archive_sql(enum archive_subject subject, enum archive_statement which)
{
    if (subject == ARCHIVE_OF_GROUPS && which == STATEMENT_MINUTES)
        return MINUTES("partial");
    if (subject == ARCHIVE_OF_GROUPS && which == STATEMENT_MINUTES_AT)
        return MINUTES_AT("partial");
    if (subject == ARCHIVE_OF_GROUPS && which == STATEMENT_PUT_MINUTE)
        return PUT_MINUTE(", partial", ", ?14", ", partial = excluded.partial", ">");
    return statements[which];
}

/* ---- errors ------------------------------------------------------------------------------- */

/* Return advice on a result of SQLite's, to be appended to its message. */
static const char *advice_for(int result, bool is_writer)
{
    switch (result & 0xff) {
    case SQLITE_NOTADB:
        return is_writer
                   ? "it is no database of presence-recorder, or damaged: name another with "
                     "--database, or move it away"
                   : "it is not a database of presence-recorder, or damaged: check --database";
    case SQLITE_CORRUPT:
        return "restore a backup, or save what is left with sqlite3's .recover";
    case SQLITE_CANTOPEN:
        return is_writer ? "check that its directory exists and is writable"
                         : "check --database, or copy it to a directory that you may write";
    case SQLITE_READONLY:
        return "check the modes of the file and its directory, and that it is not on a read-only "
               "file system";
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return "run as its owner";
    case SQLITE_FULL:
        return "make room on its file system";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return "another program holds it: end that one, or wait";
    case SQLITE_IOERR:
        return "check its file system, and the kernel's log";
    case SQLITE_NOMEM:
        return "free some memory";
    default:
        return "check it with sqlite3's PRAGMA integrity_check";
    }
}

static int errno_for(int result)
{
    switch (result & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL: /* locks that did not get free */
        return -EBUSY;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return -EBADMSG;
    default:
        return -EIO;
    }
}

/* Find out why nothing can be created in a file's directory. SQLite does not tell: it tries once
 * more, only to read, and reports why that has failed. Returns an errno, or 0. */
static int find_directory_error(const char *path)
{
    char directory[PATH_MAX];
    int length = (int)(strrchr(path, '/') - path) + 1; /* open_archive() sees to one */

    if (snprintf(directory, sizeof(directory), "%.*s", length, path) >= (int)sizeof(directory))
        return ENAMETOOLONG;
    return faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) < 0 ? errno : 0;
}

int archive_result(struct archive *archive, int result)
{
    int r = errno_for(result);
    int cause = 0;

    if (r == 0)
        return 0;
    if ((result & 0xff) == SQLITE_CANTOPEN && archive->is_writer)
        cause = find_directory_error(archive->path);
    if (!cause && ((result & 0xff) == SQLITE_CANTOPEN || (result & 0xff) == SQLITE_IOERR))
        cause = sqlite3_system_errno(archive->database);
    snprintf(archive->problem, sizeof(archive->problem), "%s%s%s%s; %s",
             archive->database ? sqlite3_errmsg(archive->database) : sqlite3_errstr(result),
             cause ? " (" : "", cause ? strerror(cause) : "", cause ? ")" : "",
             advice_for(result, archive->is_writer));
    return r;
}

int archive_fail(struct archive *archive, int error, const char *problem)
{
    snprintf(archive->problem, sizeof(archive->problem), "%s", problem);
    return error;
}

const char *archive_problem(const struct archive *archive)
{
    return archive->problem;
}

/* ---- statements --------------------------------------------------------------------------- */

int archive_run(struct archive *archive, const char *sql)
{
    return archive_result(archive, sqlite3_exec(archive->database, sql, NULL, NULL, NULL));
}

sqlite3_stmt *archive_statement(struct archive *archive, enum archive_statement which)
{
    sqlite3_stmt *statement = archive->statements[which];

    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return statement;
}

int archive_step(struct archive *archive, sqlite3_stmt *statement)
{
    int result = sqlite3_step(statement);

    return result == SQLITE_ROW ? 1 : archive_result(archive, result);
}

int archive_select(struct archive *archive, sqlite3_stmt *statement, int64_t *ret)
{
    int r = archive_step(archive, statement);
    bool found = r == 1 && sqlite3_column_type(statement, 0) != SQLITE_NULL;

    if (found)
        *ret = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement); /* after the first row the statement has done all it does */
    return r < 0 ? r : found ? 0 : -ENOENT;
}

int archive_select_sql(struct archive *archive, const char *sql, int64_t *ret)
{
    sqlite3_stmt *statement;
    int r =
        archive_result(archive, sqlite3_prepare_v2(archive->database, sql, -1, &statement, NULL));

    if (r < 0)
        return r;
    r = archive_select(archive, statement, ret);
    sqlite3_finalize(statement);
    return r;
}

void archive_bind_scope(sqlite3_stmt *statement, enum presence_kind kind, const char *site,
                        const char *name)
{
    sqlite3_bind_int(statement, 1, (int)kind);
    sqlite3_bind_text(statement, 2, site, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 3, kind == PRESENCE_SITE ? "" : name, -1, SQLITE_STATIC);
}

int archive_find_scope(struct archive *archive, enum presence_kind kind, const char *site,
                       const char *name, archive_id *ret)
{
    sqlite3_stmt *statement = archive_statement(archive, STATEMENT_FIND_SCOPE);

    archive_bind_scope(statement, kind, site, name);
    return archive_select(archive, statement, ret);
}

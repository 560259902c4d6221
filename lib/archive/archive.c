#include "archive.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "archive_handle.h"

#define APPLICATION_ID  0x50524553 /* "PRES" */
#define BUSY_TIMEOUT_MS 5000
#define STRING(x)       #x
#define VALUE(x)        STRING(x)

/* A minute's number fits SQLite's signed integers; `began` is the same for all minutes of a boot.
 */
static const char schema[] =
    "CREATE TABLE scope ("
    " id INTEGER PRIMARY KEY,"
    " kind INTEGER NOT NULL," /* enum presence_kind */
    " site TEXT NOT NULL,"
    " name TEXT NOT NULL,"     /* empty for a site */
    " since INTEGER NOT NULL," /* Unix seconds */
    " UNIQUE (kind, site, name));"
    "CREATE TABLE boot ("
    " id INTEGER PRIMARY KEY,"
    " boot_id BLOB NOT NULL UNIQUE,"
    " began INTEGER NOT NULL);" /* Unix seconds of its minute 0 */
    "CREATE TABLE minute ("
    " scope INTEGER NOT NULL REFERENCES scope (id),"
    " boot INTEGER NOT NULL REFERENCES boot (id),"
    " minute INTEGER NOT NULL," /* since the boot */
    " seconds INTEGER NOT NULL, minimum INTEGER NOT NULL, mean REAL NOT NULL,"
    " maximum INTEGER NOT NULL, heartbeats INTEGER NOT NULL, pageviews INTEGER NOT NULL,"
    " entries INTEGER NOT NULL, leaves INTEGER NOT NULL, departures INTEGER NOT NULL,"
    " warming INTEGER NOT NULL,"
    " PRIMARY KEY (scope, boot, minute)) WITHOUT ROWID;"
    "CREATE TABLE peak ("
    " scope INTEGER NOT NULL REFERENCES scope (id),"
    " day INTEGER NOT NULL," /* Unix seconds, of UTC */
    " count INTEGER NOT NULL,"
    " at INTEGER NOT NULL," /* Unix seconds */
    " PRIMARY KEY (scope, day)) WITHOUT ROWID;"
    "PRAGMA application_id = " VALUE(APPLICATION_ID) ";"
                                                     "PRAGMA user_version = " VALUE(
                                                         ARCHIVE_VERSION) ";";

static const char *const statements[STATEMENTS] = {
    [STATEMENT_FIND_SCOPE] = "SELECT id FROM scope WHERE kind = ?1 AND site = ?2 AND name = ?3",
    [STATEMENT_MINUTES] =
        "SELECT boot_id, minute, began + 60 * minute, seconds, minimum, mean, maximum, heartbeats,"
        " pageviews, entries, leaves, departures, warming"
        " FROM boot CROSS JOIN minute ON boot = boot.id AND scope = ?1"
        " AND minute >= (?2 - began + 59) / 60 ORDER BY boot.id, minute",
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
    [STATEMENT_PUT_MINUTE] =
        "INSERT INTO minute (scope, boot, minute, seconds, minimum, mean, maximum, heartbeats,"
        " pageviews, entries, leaves, departures, warming)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
        " ON CONFLICT DO UPDATE SET seconds = excluded.seconds, minimum = excluded.minimum,"
        " mean = excluded.mean, maximum = excluded.maximum, heartbeats = excluded.heartbeats,"
        " pageviews = excluded.pageviews, entries = excluded.entries, leaves = excluded.leaves,"
        " departures = excluded.departures, warming = excluded.warming"
        " WHERE excluded.seconds >= minute.seconds",
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

int archive_result(int result)
{
    switch (result & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return -EBADMSG;
    default:
        return -EIO;
    }
}

int archive_run(struct archive *archive, const char *sql)
{
    return archive_result(sqlite3_exec(archive->database, sql, NULL, NULL, NULL));
}

sqlite3_stmt *archive_statement(struct archive *archive, enum archive_statement which)
{
    sqlite3_stmt *statement = archive->statements[which];

    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return statement;
}

int archive_step(sqlite3_stmt *statement)
{
    int result = sqlite3_step(statement);

    return result == SQLITE_ROW ? 1 : archive_result(result);
}

int archive_select(sqlite3_stmt *statement, int64_t *ret)
{
    int r = archive_step(statement);
    bool found = r == 1 && sqlite3_column_type(statement, 0) != SQLITE_NULL;

    if (found)
        *ret = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement); /* after the first row the statement has done all it does */
    return r < 0 ? r : found ? 0 : -ENOENT;
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
    return archive_select(statement, ret);
}

/* ---- opening ----------------------------------------------------------------------------- */

static int load_number(struct archive *archive, const char *sql, int64_t *ret)
{
    sqlite3_stmt *statement;
    int r = archive_result(sqlite3_prepare_v2(archive->database, sql, -1, &statement, NULL));

    if (r < 0)
        return r;
    r = archive_select(statement, ret);
    sqlite3_finalize(statement);
    return r == -ENOENT ? -EBADMSG : r;
}

/* Check that a database is ours and of a known version. Returns 1 if it is empty. */
static int check_schema(struct archive *archive)
{
    int64_t application, version, tables;
    int r = load_number(archive, "PRAGMA application_id", &application);

    if (r == 0)
        r = load_number(archive, "PRAGMA user_version", &version);
    if (r == 0)
        r = load_number(archive, "SELECT count(*) FROM sqlite_schema", &tables);
    if (r < 0)
        return r;
    if (application == 0 && version == 0 && tables == 0)
        return 1;
    if (application != APPLICATION_ID || version < 1)
        return -EBADMSG;
    return version > ARCHIVE_VERSION ? -EPROTO : 0;
}

static int prepare(struct archive *archive, unsigned count)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < count; i++)
        r = archive_result(sqlite3_prepare_v3(archive->database, statements[i], -1,
                                              SQLITE_PREPARE_PERSISTENT, &archive->statements[i],
                                              NULL));
    return r;
}

static int database_open(const char *path, int flags, struct archive **ret)
{
    struct archive *archive = calloc(1, sizeof(*archive));

    if (!archive)
        return -ENOMEM;
    *ret = archive;
    int result = sqlite3_open_v2(path, &archive->database, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (result != SQLITE_OK)
        return archive_result(result);
    sqlite3_extended_result_codes(archive->database, 1);
    return archive_result(sqlite3_busy_timeout(archive->database, BUSY_TIMEOUT_MS));
}

static int open_to_read(const char *path, struct archive **ret)
{
    int r = database_open(path, SQLITE_OPEN_READONLY, ret);

    if (r == 0)
        r = check_schema(*ret);
    if (r == 1)
        r = -EBADMSG;
    return r < 0 ? r : prepare(*ret, READING_STATEMENTS);
}

/* Switch to WAL, and keep its files in place: readers may not be allowed to create them. */
static int write_ahead(struct archive *archive)
{
    int keep = 1;

    sqlite3_file_control(archive->database, NULL, SQLITE_FCNTL_PERSIST_WAL, &keep);
    return archive_run(archive, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                "PRAGMA foreign_keys = ON;"
                                "PRAGMA journal_size_limit = 4194304");
}

/* Create the tables. If two processes do so at once, one waits and finds them created. */
static int create(struct archive *archive)
{
    int r = archive_run(archive, "BEGIN IMMEDIATE");

    if (r == 0)
        r = check_schema(archive);
    if (r == 1)
        r = archive_run(archive, schema);
    if (r == 0)
        return archive_run(archive, "COMMIT");
    archive_roll_back(archive);
    return r;
}

static int open_to_write(const char *path, struct archive **ret)
{
    int r = database_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, ret);

    if (r == 0)
        r = check_schema(*ret); /* before changing anything */
    if (r >= 0) {
        bool is_empty = r == 1;
        r = write_ahead(*ret);
        if (r == 0 && is_empty)
            r = create(*ret);
    }
    return r < 0 ? r : prepare(*ret, STATEMENTS);
}

static int open_with(int (*open)(const char *path, struct archive **ret), const char *path,
                     struct archive **ret)
{
    struct archive *archive = NULL;
    int r = open(path, &archive);

    if (r < 0)
        archive_close(archive);
    else
        *ret = archive;
    return r;
}

int archive_open(const char *path, struct archive **ret)
{
    return access(path, R_OK) < 0 ? -errno : open_with(open_to_read, path, ret);
}

int archive_open_writable(const char *path, struct archive **ret)
{
    if (access(path, R_OK | W_OK) < 0 && errno != ENOENT)
        return -errno;
    return open_with(open_to_write, path, ret);
}

void archive_close(struct archive *archive)
{
    if (!archive)
        return;
    for (unsigned i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(archive->statements[i]);
    sqlite3_close(archive->database);
    free(archive);
}

const char *archive_error(const struct archive *archive)
{
    return sqlite3_errmsg(archive->database);
}

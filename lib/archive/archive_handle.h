/* archive_handle.h - the statements of archive*.c, and how they are run. */
#ifndef PRESENCE_ARCHIVE_HANDLE_H
#define PRESENCE_ARCHIVE_HANDLE_H

#include <sqlite3.h>
#include <sys/stat.h>

#include "archive.h"

enum archive_statement {
    STATEMENT_FIND_SCOPE,
    STATEMENT_MINUTES,
    STATEMENT_MINUTES_AT,
    STATEMENT_PEAK_OF_DAY,
    STATEMENT_PEAK_EVER,
    STATEMENT_SINCE,
    READING_STATEMENTS,
    STATEMENT_PUT_SCOPE = READING_STATEMENTS,
    STATEMENT_PUT_BOOT,
    STATEMENT_LAST_MINUTE,
    STATEMENT_PUT_MINUTE,
    STATEMENT_PUT_PEAK,
    STATEMENT_SCOPE_BOOTS,
    STATEMENT_DELETE_MINUTES,
    STATEMENT_DELETE_BOOTS,
    STATEMENTS,
};

/* The file of a database that was opened to be written, and those beside it. */
struct archive_files {
    struct stat main, wal, shm; /* all zero: it does not exist */
};

#define ARCHIVE_APPLICATION_ID 0x50524553 /* "PRES" */

/* Return the SQL that creates the tables, and that of a statement. */
const char *archive_schema(enum archive_subject subject);
const char *archive_sql(enum archive_subject subject, enum archive_statement which);

struct archive {
    sqlite3 *database;
    sqlite3_stmt *statements[STATEMENTS];
    char *path; /* as it was given */
    char *real; /* without links, as SQLite names the files beside it */
    bool is_writer;
    enum archive_subject subject; /* of a writer's new file: what it is to be */
    struct archive_files files;   /* of a writer, after its last commit */
    int64_t data_version;         /* likewise; changes when another process commits */
    char problem[ARCHIVE_PROBLEM_SIZE];
};

/* Convert SQLite's result to 0 or a negative errno, and describe an error in `problem`. */
int archive_result(struct archive *archive, int result);

/* Describe an error that is not SQLite's in `problem`. Returns `error`. */
int archive_fail(struct archive *archive, int error, const char *problem);

/* Remember the files as they are now. Errors: -ENOMEM. */
int archive_remember_files(struct archive *archive);

/* Run SQL without results. */
int archive_run(struct archive *archive, const char *sql);

/* Reset a statement and clear its bindings. */
sqlite3_stmt *archive_statement(struct archive *archive, enum archive_statement which);

/* Run a bound statement up to its next row. Returns 1 if there is one, 0, or a negative errno. */
int archive_step(struct archive *archive, sqlite3_stmt *statement);

/* Run a bound statement that selects one integer, and reset it. Errors: -ENOENT no row, or NULL. */
int archive_select(struct archive *archive, sqlite3_stmt *statement, int64_t *ret);

/* Run SQL that selects one integer. Errors: likewise. */
int archive_select_sql(struct archive *archive, const char *sql, int64_t *ret);

/* Find the key of a scope. Errors: -ENOENT. */
int archive_find_scope(struct archive *archive, enum presence_kind kind, const char *site,
                       const char *name, archive_id *ret);

/* Bind a scope's names as parameters 1 to 3. */
void archive_bind_scope(sqlite3_stmt *statement, enum presence_kind kind, const char *site,
                        const char *name);

#endif

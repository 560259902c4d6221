/* archive_handle.h - what the files of the archive share: statements and how they are run. */
#ifndef PRESENCE_ARCHIVE_HANDLE_H
#define PRESENCE_ARCHIVE_HANDLE_H

#include <sqlite3.h>

#include "archive.h"

enum archive_statement {
    STATEMENT_FIND_SCOPE,
    STATEMENT_MINUTES,
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
    STATEMENT_FORGET_MINUTES,
    STATEMENT_FORGET_BOOTS,
    STATEMENTS,
};

struct archive {
    sqlite3 *database;
    sqlite3_stmt *statements[STATEMENTS];
};

/* SQLite's result as ours. */
int archive_result(int result);

/* Run SQL without results. */
int archive_run(struct archive *archive, const char *sql);

/* Begin a statement: reset, with nothing bound. */
sqlite3_stmt *archive_statement(struct archive *archive, enum archive_statement which);

/* Run a bound statement without results, or up to its first row: 1 if there is one. */
int archive_step(sqlite3_stmt *statement);

/* The id of a scope. -ENOENT. */
int archive_find_scope(struct archive *archive, enum presence_kind kind, const char *site,
                       const char *name, archive_id *ret);

/* Bind a scope's names as parameters 1 to 3. */
void archive_bind_scope(sqlite3_stmt *statement, enum presence_kind kind, const char *site,
                        const char *name);

#endif

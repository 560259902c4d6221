/* archive_handle.h - prepare and run the statements of archive*.c. */
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
    STATEMENT_DELETE_MINUTES,
    STATEMENT_DELETE_BOOTS,
    STATEMENTS,
};

struct archive {
    sqlite3 *database;
    sqlite3_stmt *statements[STATEMENTS];
};

/* Convert SQLite's result to 0 or a negative errno. */
int archive_result(int result);

/* Run SQL without results. */
int archive_run(struct archive *archive, const char *sql);

/* Reset a statement and clear its bindings. */
sqlite3_stmt *archive_statement(struct archive *archive, enum archive_statement which);

/* Run a bound statement up to its next row. Returns 1 if there is one, 0, or a negative errno. */
int archive_step(sqlite3_stmt *statement);

/* Run a bound statement that selects one integer, and reset it. Errors: -ENOENT no row, or NULL. */
int archive_select(sqlite3_stmt *statement, int64_t *ret);

/* Find the key of a scope. Errors: -ENOENT. */
int archive_find_scope(struct archive *archive, enum presence_kind kind, const char *site,
                       const char *name, archive_id *ret);

/* Bind a scope's names as parameters 1 to 3. */
void archive_bind_scope(sqlite3_stmt *statement, enum presence_kind kind, const char *site,
                        const char *name);

#endif

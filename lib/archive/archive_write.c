#include <errno.h>

#include "archive_handle.h"

#define DAY 86400

int archive_begin(struct archive *archive)
{
    return archive_run(archive, "BEGIN IMMEDIATE");
}

/* Move the -wal file's contents to the database. A reader who is in the way for longer than the
 * busy timeout leaves some for the next time. */
static int checkpoint(struct archive *archive)
{
    int r =
        archive_result(archive, sqlite3_wal_checkpoint_v2(archive->database, NULL,
                                                          SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));

    return r == -EBUSY ? 0 : r;
}

int archive_commit(struct archive *archive)
{
    int64_t version = archive->data_version;
    int r = archive_select_sql(archive, "PRAGMA data_version", &version); /* nobody else commits */

    if (r == 0)
        r = archive_run(archive, "COMMIT");
    if (r < 0)
        return r;
    archive->data_version = version;
    r = checkpoint(archive);
    int remembered = archive_remember_files(archive); /* they may have changed all the same */
    return r < 0 ? r : remembered;
}

void archive_roll_back(struct archive *archive)
{
    if (!sqlite3_get_autocommit(archive->database))
        sqlite3_exec(archive->database, "ROLLBACK", NULL, NULL, NULL); /* `problem` stays */
}

static int run_bound(struct archive *archive, sqlite3_stmt *statement)
{
    int r = archive_step(archive, statement);

    sqlite3_reset(statement);
    return r;
}

int archive_put_scope(struct archive *archive, const struct presence_scope *scope, int64_t since,
                      archive_id *ret)
{
    sqlite3_stmt *statement = archive_statement(archive, STATEMENT_PUT_SCOPE);

    archive_bind_scope(statement, scope->kind, scope->site, scope->name);
    sqlite3_bind_int64(statement, 4, since);
    return archive_select(archive, statement, ret);
}

int archive_put_boot(struct archive *archive, const uint8_t boot_id[16], int64_t began,
                     archive_id *ret)
{
    sqlite3_stmt *statement = archive_statement(archive, STATEMENT_PUT_BOOT);

    sqlite3_bind_blob(statement, 1, boot_id, 16, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, began);
    return archive_select(archive, statement, ret);
}

int archive_last_minute(struct archive *archive, archive_id scope, archive_id boot, uint64_t *ret)
{
    sqlite3_stmt *statement = archive_statement(archive, STATEMENT_LAST_MINUTE);

    sqlite3_bind_int64(statement, 1, scope);
    sqlite3_bind_int64(statement, 2, boot);
    int64_t number;
    int r = archive_select(archive, statement, &number);
    if (r == 0)
        *ret = (uint64_t)number;
    return r;
}

int archive_put_minute(struct archive *archive, archive_id scope, archive_id boot,
                       const struct archive_minute *minute)
{
    sqlite3_stmt *statement = archive_statement(archive, STATEMENT_PUT_MINUTE);
    const uint64_t traffic[] = {minute->heartbeats, minute->pageviews, minute->entries,
                                minute->leaves, minute->departures};

    sqlite3_bind_int64(statement, 1, scope);
    sqlite3_bind_int64(statement, 2, boot);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)minute->minute);
    sqlite3_bind_int64(statement, 4, minute->seconds);
    sqlite3_bind_int64(statement, 5, (sqlite3_int64)minute->minimum);
    sqlite3_bind_double(statement, 6, minute->mean);
    sqlite3_bind_int64(statement, 7, (sqlite3_int64)minute->maximum);
    if (minute->has_traffic) /* an unbound parameter is NULL */
        for (int i = 0; i < 5; i++)
            sqlite3_bind_int64(statement, 8 + i, (sqlite3_int64)traffic[i]);
    sqlite3_bind_int64(statement, 13, minute->warming);
    if (archive->subject == ARCHIVE_OF_GROUPS)
        sqlite3_bind_int64(statement, 14, minute->partial);
    return run_bound(archive, statement);
}

int archive_put_peak(struct archive *archive, archive_id scope, const struct archive_peak *peak)
{
    sqlite3_stmt *statement = archive_statement(archive, STATEMENT_PUT_PEAK);

    sqlite3_bind_int64(statement, 1, scope);
    sqlite3_bind_int64(statement, 2, peak->at / DAY * DAY);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)peak->count);
    sqlite3_bind_int64(statement, 4, peak->at);
    return run_bound(archive, statement);
}

struct archive_minute archive_minute_of(const struct presence_minute *minute)
{
    return (struct archive_minute){
        .minute = minute->minute,
        .start = minute->start,
        .minimum = minute->minimum,
        .maximum = minute->maximum,
        .mean = minute->mean,
        .seconds = minute->seconds,
        .heartbeats = minute->heartbeats,
        .pageviews = minute->pageviews,
        .entries = minute->entries,
        .leaves = minute->leaves,
        .departures = minute->departures,
        .has_traffic = true,
        .warming = minute->warming,
    };
}

struct archive_peak archive_peak_of(const struct presence_peak *peak)
{
    return (struct archive_peak){.count = peak->count, .at = peak->at};
}

static int delete_minutes(struct archive *archive, sqlite3_stmt *row)
{
    sqlite3_stmt *statement = archive_statement(archive, STATEMENT_DELETE_MINUTES);

    for (int i = 0; i < 3; i++)
        sqlite3_bind_int64(statement, i + 1, sqlite3_column_int64(row, i));
    return run_bound(archive, statement);
}

int archive_delete_before(struct archive *archive, int64_t before)
{
    sqlite3_stmt *pairs = archive_statement(archive, STATEMENT_SCOPE_BOOTS);
    int r;

    sqlite3_bind_int64(pairs, 1, before);
    while ((r = archive_step(archive, pairs)) == 1) {
        r = delete_minutes(archive, pairs);
        if (r < 0)
            break;
    }
    sqlite3_reset(pairs);
    if (r < 0)
        return r;
    sqlite3_stmt *boots = archive_statement(archive, STATEMENT_DELETE_BOOTS);
    sqlite3_bind_int64(boots, 1, before);
    return run_bound(archive, boots);
}

#include <errno.h>
#include <string.h>

#include "archive_handle.h"

/* Load the current row of STATEMENT_MINUTES. Any value may be in it: others may write the file. */
static struct archive_minute load_minute(sqlite3_stmt *row)
{
    struct archive_minute loaded = {
        .minute =
            {
                .minute = (uint64_t)sqlite3_column_int64(row, 1),
                .start = sqlite3_column_int64(row, 2),
                .seconds = (uint32_t)sqlite3_column_int64(row, 3),
                .minimum = (uint32_t)sqlite3_column_int64(row, 4),
                .mean = sqlite3_column_double(row, 5),
                .maximum = (uint32_t)sqlite3_column_int64(row, 6),
                .heartbeats = (uint64_t)sqlite3_column_int64(row, 7),
                .pageviews = (uint64_t)sqlite3_column_int64(row, 8),
                .entries = (uint64_t)sqlite3_column_int64(row, 9),
                .leaves = (uint64_t)sqlite3_column_int64(row, 10),
                .departures = (uint64_t)sqlite3_column_int64(row, 11),
                .warming = sqlite3_column_int(row, 12) != 0,
            },
    };
    const void *boot_id = sqlite3_column_blob(row, 0);

    if (boot_id && sqlite3_column_bytes(row, 0) == sizeof(loaded.boot_id))
        memcpy(loaded.boot_id, boot_id, sizeof(loaded.boot_id));
    return loaded;
}

int archive_history(struct archive *archive, enum presence_kind kind, const char *site,
                    const char *name, int64_t since, archive_visit visit, void *context)
{
    archive_id scope;
    int r = archive_find_scope(archive, kind, site, name, &scope);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    sqlite3_stmt *statement = archive_statement(archive, STATEMENT_MINUTES);
    sqlite3_bind_int64(statement, 1, scope);
    sqlite3_bind_int64(statement, 2, since);
    while ((r = archive_step(archive, statement)) == 1) {
        struct archive_minute minute = load_minute(statement);
        r = visit(context, &minute);
        if (r < 0)
            break;
    }
    sqlite3_reset(statement);
    return r;
}

/* Load the count and time that a bound statement selects; without a row the count is 0. */
static int load_peak(struct archive *archive, sqlite3_stmt *statement, struct presence_peak *ret)
{
    int r = archive_step(archive, statement);

    *ret = (struct presence_peak){0};
    if (r == 1) {
        ret->count = (uint32_t)sqlite3_column_int64(statement, 0);
        ret->at = sqlite3_column_int64(statement, 1);
    }
    sqlite3_reset(statement);
    return r < 0 ? r : 0;
}

int archive_peaks(struct archive *archive, enum presence_kind kind, const char *site,
                  const char *name, int64_t day, struct archive_peaks *ret)
{
    struct archive_peaks peaks;
    archive_id scope;
    int r = archive_find_scope(archive, kind, site, name, &scope);

    if (r < 0)
        return r;
    sqlite3_stmt *statement = archive_statement(archive, STATEMENT_PEAK_OF_DAY);
    sqlite3_bind_int64(statement, 1, scope);
    sqlite3_bind_int64(statement, 2, day);
    r = load_peak(archive, statement, &peaks.today);
    if (r < 0)
        return r;
    statement = archive_statement(archive, STATEMENT_PEAK_EVER);
    sqlite3_bind_int64(statement, 1, scope);
    r = load_peak(archive, statement, &peaks.ever);
    if (r < 0)
        return r;
    statement = archive_statement(archive, STATEMENT_SINCE);
    sqlite3_bind_int64(statement, 1, scope);
    r = archive_select(archive, statement, &peaks.since);
    if (r == 0)
        *ret = peaks;
    return r;
}

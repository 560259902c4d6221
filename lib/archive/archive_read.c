#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive_handle.h"

/* Load a column that is never negative. */
static uint64_t load_count(sqlite3_stmt *row, int column)
{
    int64_t value = sqlite3_column_int64(row, column);

    return value < 0 ? 0 : (uint64_t)value;
}

/* Load the current row of STATEMENT_MINUTES. Any value may be in it: others may write the file. */
static struct archive_minute load_minute(sqlite3_stmt *row)
{
    struct archive_minute loaded = {
        .minute = (uint64_t)sqlite3_column_int64(row, 1),
        .start = sqlite3_column_int64(row, 2),
        .seconds = (uint32_t)sqlite3_column_int64(row, 3),
        .minimum = load_count(row, 4),
        .mean = sqlite3_column_double(row, 5),
        .maximum = load_count(row, 6),
        .has_traffic = sqlite3_column_type(row, 7) != SQLITE_NULL,
        .heartbeats = load_count(row, 7),
        .pageviews = load_count(row, 8),
        .entries = load_count(row, 9),
        .leaves = load_count(row, 10),
        .departures = load_count(row, 11),
        .warming = sqlite3_column_int(row, 12) != 0,
        .partial = sqlite3_column_int(row, 13) != 0,
    };
    const void *boot_id = sqlite3_column_blob(row, 0);

    if (boot_id && sqlite3_column_bytes(row, 0) == sizeof(loaded.boot_id))
        memcpy(loaded.boot_id, boot_id, sizeof(loaded.boot_id));
    return loaded;
}

static void load_text(sqlite3_stmt *row, int column, char ret[PRESENCE_NAME_MAX + 1])
{
    const unsigned char *text = sqlite3_column_text(row, column);

    snprintf(ret, PRESENCE_NAME_MAX + 1, "%s", text ? (const char *)text : "");
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

int archive_minutes_at(struct archive *archive, uint64_t number, archive_visit_scope visit,
                       void *context)
{
    sqlite3_stmt *statement = archive_statement(archive, STATEMENT_MINUTES_AT);
    int r;

    sqlite3_bind_int64(statement, 1, (sqlite3_int64)number);
    while ((r = archive_step(archive, statement)) == 1) {
        struct archive_minute minute = load_minute(statement);
        struct presence_scope scope = {.kind =
                                           (enum presence_kind)sqlite3_column_int(statement, 14)};
        load_text(statement, 15, scope.site);
        load_text(statement, 16, scope.name);
        r = visit(context, &scope, &minute);
        if (r < 0)
            break;
    }
    sqlite3_reset(statement);
    return r;
}

/* ---- minutes in memory -------------------------------------------------------------------- */

struct loading {
    struct archive_minutes minutes;
    size_t capacity;
    int64_t until;
};

static int append(void *context, const struct archive_minute *minute)
{
    struct loading *loading = context;
    struct archive_minutes *minutes = &loading->minutes;

    if (minute->start >= loading->until)
        return 0;
    if (minutes->length == loading->capacity) {
        size_t more = loading->capacity ? loading->capacity * 2 : 256;
        struct archive_minute *all = reallocarray(minutes->minutes, more, sizeof(*all));
        if (!all)
            return -ENOMEM;
        minutes->minutes = all;
        loading->capacity = more;
    }
    minutes->minutes[minutes->length++] = *minute;
    return 0;
}

static int compare_starts(const void *left, const void *right)
{
    const struct archive_minute *a = left, *b = right;

    return a->start < b->start ? -1 : a->start > b->start;
}

int archive_load(struct archive *archive, enum presence_kind kind, const char *site,
                 const char *name, int64_t since, int64_t until, struct archive_minutes *ret)
{
    struct loading loading = {.until = until};
    int r = archive_history(archive, kind, site, name, since, append, &loading);

    if (r < 0) {
        archive_minutes_free(&loading.minutes);
        return r;
    }
    if (loading.minutes.length > 1)
        qsort(loading.minutes.minutes, loading.minutes.length, sizeof(struct archive_minute),
              compare_starts);
    *ret = loading.minutes;
    return 0;
}

void archive_minutes_free(struct archive_minutes *minutes)
{
    free(minutes->minutes);
    *minutes = (struct archive_minutes){0};
}

/* ---- peaks -------------------------------------------------------------------------------- */

/* Load the count and time that a bound statement selects; without a row the count is 0. */
static int load_peak(struct archive *archive, sqlite3_stmt *statement, struct archive_peak *ret)
{
    int r = archive_step(archive, statement);

    *ret = (struct archive_peak){0};
    if (r == 1) {
        ret->count = load_count(statement, 0);
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

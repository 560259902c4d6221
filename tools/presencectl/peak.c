/* peak.c - print the highest numbers of visitors, today and ever. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "archive/archive.h"
#include "scope.h"
#include "show.h"

#define DAY 86400

struct view {
    struct scope scope;
    struct presence_peaks peaks;
    struct presence_reading reading; /* of the place, now */
};

static json_t *json_of_peak(const struct presence_peak *peak)
{
    return json_pack("{s:I, s:o}", "count", (json_int_t)peak->count, "at",
                     peak->count ? json_string(show_time(peak->at).text) : json_null());
}

static void print_json(const struct view *view, bool known)
{
    json_t *object = json_object();
    const struct presence_peaks *peaks = &view->peaks;

    json_set_scope(object, &view->scope);
    json_object_set_new(object, "window_s", json_integer(view->reading.window_s));
    json_object_set_new(object, "today", known ? json_of_peak(&peaks->today) : json_null());
    json_object_set_new(object, "ever", known ? json_of_peak(&peaks->ever) : json_null());
    json_object_set_new(object, "since",
                        known ? json_string(show_time(peaks->since).text) : json_null());
    json_set_marks(object, &view->reading);
    json_print(object);
}

static void add_line(struct libscols_table *table, const char *name,
                     const struct presence_peak *peak)
{
    char count[16];

    snprintf(count, sizeof(count), "%" PRIu32, peak->count);
    table_line(table,
               (const char *const[]){name, count, peak->count ? show_time(peak->at).text : "-"});
}

static void print_table(const struct view *view)
{
    const char *bold = show_in_colour() ? "\033[1m" : "", *plain = *bold ? "\033[0m" : "";
    struct libscols_table *table = table_new();

    printf("%s%s: most visitors in %s, since %s%s%s%s\n", bold, scope_describe(&view->scope).text,
           show_window(view->reading.window_s).text, show_time(view->peaks.since).text,
           view->reading.stale ? " [stale]" : "", view->reading.warming ? " [warming]" : "", plain);
    table_column(table, "PEAK", COLUMN_LEFT);
    table_column(table, "VISITORS", COLUMN_RIGHT);
    table_column(table, "AT", COLUMN_LEFT);
    add_line(table, "today", &view->peaks.today);
    add_line(table, "ever", &view->peaks.ever);
    table_print(table);
}

/* Replace a peak by the other if that is higher, or as high and earlier. */
static void raise(struct presence_peak *peak, const struct archive_peak *other)
{
    uint32_t count = other->count < UINT32_MAX ? (uint32_t)other->count : UINT32_MAX;

    if (count > peak->count || (count == peak->count && other->at < peak->at))
        *peak = (struct presence_peak){.count = count, .at = other->at};
}

/* Merge the database's peaks. Sets `known` if it has the scope. Returns an exit status. */
static int add_database(const struct options *options, struct view *view, bool *known)
{
    struct presence_peaks *peaks = &view->peaks;
    struct archive_peaks kept;
    struct archive *archive;
    int status = database_open(options, &archive);

    if (status != EXIT_FINE || !archive)
        return status;
    int r = archive_peaks(archive, view->scope.kind, view->scope.site, view->scope.name, peaks->day,
                          &kept);
    if (r < 0 && r != -ENOENT)
        status = report_database_error(r, options, archive);
    archive_close(archive);
    if (r < 0)
        return status;
    raise(&peaks->today, &kept.today);
    raise(&peaks->ever, &kept.ever);
    if (!*known || kept.since < peaks->since)
        peaks->since = kept.since;
    *known = true;
    return EXIT_FINE;
}

/* Load the segment's peaks. Sets `known` if it has the scope. Returns 0 or a negative errno. */
static int load_segment(struct presence *presence, struct view *view, bool *known)
{
    const struct scope *scope = &view->scope;
    int r = scope_load(presence, scope, 0, &view->reading);

    view->peaks.day = time(NULL) / DAY * DAY;
    if (r < 0 || !presence)
        return r;
    r = presence_peaks(presence, scope->kind, scope->site, scope->name, &view->peaks);
    *known = r == 0;
    return r == -ENOENT ? 0 : r;
}

static int report_rest(struct presence *presence, const struct view *view, bool known)
{
    struct scope_text place = scope_describe(&view->scope);

    if (!presence) {
        if (!known)
            report("the database has no peak of %s", place.text);
        return EXIT_STALE;
    }
    return known ? report_reading(presence, &view->reading, "these are the peaks", NULL)
                 : report_answer(presence, &view->reading, NULL, place.text);
}

int command_peak(struct presence *presence, const struct options *options, char **arguments)
{
    struct view view = {0};
    bool known = false;

    if (!scope_parse(options, arguments, &view.scope))
        return EXIT_USAGE;
    int r = load_segment(presence, &view, &known);
    if (r < 0)
        return report_error(r, presence, options);
    int status = add_database(options, &view, &known);
    if (status != EXIT_FINE)
        return status;
    if (options->json)
        print_json(&view, known);
    else if (known)
        print_table(&view);
    return report_rest(presence, &view, known);
}

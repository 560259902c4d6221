/* peak.c - print the highest numbers of visitors, today and ever. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "archive/archive.h"
#include "groups.h"
#include "scope.h"
#include "show.h"

#define DAY 86400

struct view {
    struct scope scope;
    struct answer answer; /* of the place, now */
    bool known;           /* segment or database has the place */
    struct archive_peak today, ever;
    int64_t day;   /* when today began; Unix seconds */
    int64_t since; /* likewise, since when the place is recorded */
};

static json_t *json_of_peak(const struct archive_peak *peak)
{
    return json_pack("{s:o, s:o}", "count", json_of_number(peak->count), "at",
                     peak->count ? json_string(show_time(peak->at).text) : json_null());
}

static void print_json(const struct view *view)
{
    json_t *object = json_object();
    bool known = view->known;

    json_set_scope(object, &view->scope);
    json_object_set_new(object, "window_s", json_integer(view->answer.window_s));
    json_object_set_new(object, "today", known ? json_of_peak(&view->today) : json_null());
    json_object_set_new(object, "ever", known ? json_of_peak(&view->ever) : json_null());
    json_object_set_new(object, "since",
                        known ? json_string(show_time(view->since).text) : json_null());
    json_set_marks(object, view->answer);
    json_print(object);
}

static void add_line(struct libscols_table *table, const char *name,
                     const struct archive_peak *peak)
{
    char count[24];

    snprintf(count, sizeof(count), "%" PRIu64, peak->count);
    table_line(table,
               (const char *const[]){name, count, peak->count ? show_time(peak->at).text : "-"});
}

static void print_table(const struct view *view)
{
    const char *bold = show_in_colour() ? "\033[1m" : "", *plain = *bold ? "\033[0m" : "";
    struct libscols_table *table = table_new();

    printf("%s%s: most visitors in %s, since %s%s%s%s\n", bold, scope_describe(&view->scope).text,
           show_window(view->answer.window_s).text, show_time(view->since).text,
           view->answer.stale ? " [stale]" : "", view->answer.warming ? " [warming]" : "", plain);
    table_column(table, "PEAK", COLUMN_LEFT);
    table_column(table, "VISITORS", COLUMN_RIGHT);
    table_column(table, "AT", COLUMN_LEFT);
    add_line(table, "today", &view->today);
    add_line(table, "ever", &view->ever);
    table_print(table);
}

static void print_view(const struct options *options, const struct view *view)
{
    if (options->json)
        print_json(view);
    else if (view->known)
        print_table(view);
}

/* Replace a peak by the other if that is higher, or as high and earlier. */
static void raise(struct archive_peak *peak, const struct archive_peak *other)
{
    if (other->count > peak->count || (other->count == peak->count && other->at < peak->at))
        *peak = *other;
}

/* Merge the database's peaks. Returns an exit status. */
static int add_database(const struct options *options, struct view *view)
{
    struct archive_peaks kept;
    struct archive *archive;
    int status = database_open(options, &archive);

    if (status != EXIT_FINE || !archive)
        return status;
    int r = archive_peaks(archive, view->scope.kind, view->scope.site, view->scope.name, view->day,
                          &kept);
    if (r < 0 && r != -ENOENT)
        status = report_database_error(r, options, archive);
    archive_close(archive);
    if (r < 0)
        return status;
    raise(&view->today, &kept.today);
    raise(&view->ever, &kept.ever);
    if (!view->known || kept.since < view->since)
        view->since = kept.since;
    view->known = true;
    return EXIT_FINE;
}

/* Load the segment's peaks, if it has the place. Returns 0 or a negative errno. */
static int load_segment(struct presence *presence, struct view *view)
{
    const struct scope *scope = &view->scope;
    struct presence_peaks peaks;
    int r = presence_peaks(presence, scope->kind, scope->site, scope->name, &peaks);

    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    view->known = true;
    view->today = archive_peak_of(&peaks.today);
    view->ever = archive_peak_of(&peaks.ever);
    view->day = peaks.day;
    view->since = peaks.since;
    return 0;
}

/* Report that there is no number of now beside the peaks. Returns EXIT_STALE. */
static int report_database_alone(const struct view *view)
{
    if (!view->known)
        report("the database has no peak of %s", scope_describe(&view->scope).text);
    return EXIT_STALE;
}

int command_peak(struct presence *presence, const struct options *options, char **arguments)
{
    struct view view = {.day = time(NULL) / DAY * DAY};
    struct presence_reading reading;

    if (!scope_parse(options, arguments, &view.scope))
        return EXIT_USAGE;
    int r = scope_load(presence, &view.scope, 0, &reading);
    if (r == 0 && presence)
        r = load_segment(presence, &view);
    if (r < 0)
        return report_error(r, presence, options);
    view.answer = answer_of(&reading);
    int status = add_database(options, &view);
    if (status != EXIT_FINE)
        return status;
    print_view(options, &view);
    if (!presence)
        return report_database_alone(&view);
    return view.known ? report_reading(presence, &reading, "these are the peaks", NULL)
                      : report_answer(presence, &reading, NULL, scope_describe(&view.scope).text);
}

/* Report the marks of peaks of groups, or that there are none. Returns an exit status. */
static int report_groups(struct engine_reader *reader, const struct options *options,
                         const struct view *view)
{
    const struct engine_state *state = engine_reader_state(reader);
    struct scope_text place = scope_describe(&view->scope);

    if (view->known)
        return groups_report_reading(state, &view->answer, "these are the peaks", NULL);
    if (!view->answer.exists)
        return groups_report_answer(state, &view->answer, NULL, place.text);
    return report_unrecorded(options, place.text);
}

int groups_peak(struct engine_reader *reader, const struct options *options, char **arguments)
{
    struct view view = {.day = time(NULL) / DAY * DAY};
    bool is_live;

    if (!scope_parse(options, arguments, &view.scope))
        return EXIT_USAGE;
    int status = groups_load_beside(reader, options, &view.scope, &view.answer, &is_live);
    if (status == EXIT_FINE)
        status = add_database(options, &view);
    if (status != EXIT_FINE)
        return status;
    print_view(options, &view);
    return is_live ? report_groups(reader, options, &view) : report_database_alone(&view);
}

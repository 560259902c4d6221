/* peak.c - when the most visitors were there. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "archive.h"
#include "place.h"
#include "show.h"

#define DAY 86400

struct view {
    struct place place;
    struct presence_peaks peaks;
    struct presence_reading moment; /* what there is to say of the collector */
};

static json_t *json_of_peak(const struct presence_peak *peak)
{
    json_t *object = json_object();

    json_object_set_new(object, "count", json_integer(peak->count));
    json_object_set_new(object, "at",
                        peak->count ? json_string(show_time(peak->at).text) : json_null());
    return object;
}

static void print_json(const struct view *view, bool known)
{
    json_t *object = json_object();
    const struct presence_peaks *peaks = &view->peaks;

    json_set_place(object, &view->place);
    json_object_set_new(object, "window_s", json_integer(view->moment.window_s));
    json_object_set_new(object, "today", known ? json_of_peak(&peaks->today) : json_null());
    json_object_set_new(object, "ever", known ? json_of_peak(&peaks->ever) : json_null());
    json_object_set_new(object, "since",
                        known ? json_string(show_time(peaks->since).text) : json_null());
    json_set_moment(object, view->moment.stale, view->moment.warming, view->moment.as_of);
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

    printf("%s%s: most visitors in %s, since %s%s%s%s\n", bold, place_describe(&view->place).text,
           show_window(view->moment.window_s).text, show_time(view->peaks.since).text,
           view->moment.stale ? " [stale]" : "", view->moment.warming ? " [warming]" : "", plain);
    table_column(table, "PEAK", COLUMN_LEFT);
    table_column(table, "VISITORS", COLUMN_RIGHT);
    table_column(table, "AT", COLUMN_LEFT);
    add_line(table, "today", &view->peaks.today);
    add_line(table, "ever", &view->peaks.ever);
    table_print(table);
}

/* Of two, the higher; of equals, the earlier. */
static void raise(struct presence_peak *peak, const struct presence_peak *other)
{
    if (other->count > peak->count || (other->count == peak->count && other->at < peak->at))
        *peak = *other;
}

/* Add what the database knows. Sets `known` if it knows the scope. */
static int add_database(const struct options *options, struct view *view, bool *known)
{
    struct presence_peaks *peaks = &view->peaks;
    struct archive_peaks kept;
    struct archive *archive;
    int status = open_database(options, &archive);

    if (status != EXIT_FINE || !archive)
        return status;
    int r = archive_peaks(archive, view->place.kind, view->place.site, view->place.name, peaks->day,
                          &kept);
    if (r < 0 && r != -ENOENT)
        status = complain_of_database(r, options, archive);
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

/* Read the segment. A scope that it does not know is no failure. */
static int read_segment(struct presence *presence, const struct options *options, struct view *view,
                        bool *known)
{
    int64_t now = time(NULL);

    view->peaks.day = now / DAY * DAY;
    view->moment =
        (struct presence_reading){.window_s = PRESENCE_DEFAULT_WINDOW, .stale = true, .as_of = now};
    if (!presence)
        return 0;
    int r = read_moment(presence, options, &view->moment);
    if (r < 0)
        return r;
    r = presence_peaks(presence, view->place.kind, view->place.site, view->place.name,
                       &view->peaks);
    *known = r == 0;
    return r == -ENOENT ? 0 : r;
}

static int note(struct presence *presence, const struct options *options, const struct view *view,
                bool known)
{
    struct presence_status status;
    struct place_name place = place_describe(&view->place);

    if (!presence) {
        if (!known)
            complain("the database knows no peak of %s", place.text);
        return EXIT_STALE;
    }
    int r = presence_status(presence, &status);
    if (r < 0)
        return complain_of(r, presence, options);
    return known ? note_status(&status, "these are the peaks")
                 : complain_unknown(presence, &status, place.text);
}

int command_peak(struct presence *presence, const struct options *options, char **arguments)
{
    struct view view = {0};
    bool known = false;

    if (!place_read(options, arguments, &view.place))
        return EXIT_USAGE;
    int r = read_segment(presence, options, &view, &known);
    if (r < 0)
        return complain_of(r, presence, options);
    int status = add_database(options, &view, &known);
    if (status != EXIT_FINE)
        return status;
    if (options->json)
        print_json(&view, known);
    else if (known)
        print_table(&view);
    return note(presence, options, &view, known);
}

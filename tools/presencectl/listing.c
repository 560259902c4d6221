/* listing.c - top and sites: tables of scopes, the busiest first. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "presencectl.h"
#include "show.h"

#define HOUR 3600

/* How many there were an hour ago. */
struct before {
    bool known;
    double mean; /* of the minute */
};

/* What either command has to show. */
struct view {
    const char *site; /* NULL: a listing of sites */
    enum presence_kind kind;
    bool known; /* the site is; otherwise there are no entries */
    struct presence_listing listing;
    size_t shown;          /* how many of the entries */
    struct before *before; /* of these, one each; NULL: it is not known of any */
};

/* ---- an hour ago ------------------------------------------------------------------------- */

/* The minute in which a scope was an hour before `as_of`, if it was observed. */
static struct before read_before(struct presence *presence, const struct view *view,
                                 const char *name)
{
    int64_t then = view->listing.site.as_of - HOUR;
    struct presence_history history;
    struct before before = {0};

    if (presence_history(presence, view->kind, view->site, name, then - 59, then + 1, &history) < 0)
        return before;
    if (history.length > 0) {
        before.known = history.minutes[history.length - 1].seconds > 0;
        before.mean = history.minutes[history.length - 1].mean;
    }
    presence_history_free(&history);
    return before;
}

/* Only the default window is sampled: with another there is nothing to compare with. */
static void read_all_before(struct presence *presence, const struct options *options,
                            struct view *view)
{
    if (options->window_s && options->window_s != PRESENCE_DEFAULT_WINDOW)
        return;
    view->before = calloc(view->shown + 1, sizeof(*view->before));
    for (size_t i = 0; view->before && i < view->shown; i++)
        view->before[i] = read_before(presence, view, view->listing.entries[i].name);
}

static struct before before_of(const struct view *view, size_t index)
{
    return view->before ? view->before[index] : (struct before){0};
}

/* ---- JSON -------------------------------------------------------------------------------- */

static double share_of(const struct view *view, const struct presence_entry *entry)
{
    uint32_t all = view->listing.site.count;

    return all ? (double)entry->count / (double)all : 0;
}

/* What is said of a label, and not of a site. */
static void json_set_trend(json_t *line, const struct view *view, size_t index)
{
    const struct presence_entry *entry = &view->listing.entries[index];
    struct before before = before_of(view, index);

    json_object_set_new(line, "share", json_real(share_of(view, entry)));
    json_object_set_new(line, "hour_ago", before.known ? json_real(before.mean) : json_null());
    json_object_set_new(line, "change",
                        before.known ? json_real(entry->count - before.mean) : json_null());
}

static void print_json(const struct view *view)
{
    const struct presence_reading *reading = &view->listing.site;
    json_t *object = json_object(), *entries = json_array();

    for (size_t i = 0; i < view->shown; i++) {
        const struct presence_entry *entry = &view->listing.entries[i];
        json_t *line = json_object();
        json_object_set_new(line, kind_name(view->kind), json_string(entry->name));
        json_object_set_new(line, "count", json_integer(entry->count));
        json_object_set_new(line, "last_heartbeat_s", json_integer(entry->last_heartbeat_s));
        if (view->site)
            json_set_trend(line, view, i);
        json_array_append_new(entries, line);
    }
    if (view->site) {
        json_object_set_new(object, "site", json_string(view->site));
        json_object_set_new(object, "by", json_string(kind_name(view->kind)));
    }
    json_object_set_new(object, "window_s", json_integer(reading->window_s));
    if (view->site) {
        json_object_set_new(object, "count",
                            view->known ? json_integer(reading->count) : json_null());
        json_object_set_new(object, "last_heartbeat_s",
                            view->known ? json_integer(reading->last_heartbeat_s) : json_null());
    }
    json_object_set_new(object, "total", json_integer((json_int_t)view->listing.length));
    json_object_set_new(object, kind_plural(view->kind), entries);
    json_set_moment(object, reading->stale, reading->warming, reading->as_of);
    json_print(object);
}

/* One line above the table: whose, over which window, as of when, and how far to trust it. */
static void print_header(const struct view *view)
{
    const struct presence_reading *reading = &view->listing.site;
    const char *bold = show_in_colour() ? "\033[1m" : "", *plain = *bold ? "\033[0m" : "";

    fputs(bold, stdout);
    if (view->site)
        printf("%s: %" PRIu32 " visitor%s", show_name(view->site).text, reading->count,
               reading->count == 1 ? "" : "s");
    else
        printf("%zu site%s: visitors", view->listing.length, view->listing.length == 1 ? "" : "s");
    printf(" in the last %s, as of %s", show_window(reading->window_s).text,
           show_time(reading->as_of).text);
    if (view->shown < view->listing.length)
        printf("; the busiest %zu of %zu %s", view->shown, view->listing.length,
               kind_plural(view->kind));
    printf("%s%s%s\n", reading->stale ? " [stale]" : "", reading->warming ? " [warming]" : "",
           plain);
}

/* "+12 %", "-3 %", "new", or "" where nothing is known. */
struct shown_change {
    char text[24];
};

static struct shown_change show_change(const struct view *view, size_t index)
{
    struct before before = before_of(view, index);
    struct shown_change shown = {"-"};
    double count = view->listing.entries[index].count;

    if (before.known && before.mean > 0)
        snprintf(shown.text, sizeof(shown.text), "%+.0f %%",
                 100 * (count - before.mean) / before.mean);
    else if (before.known && count > 0)
        snprintf(shown.text, sizeof(shown.text), "new");
    return shown;
}

static void print_table(const struct view *view)
{
    static const char *const headings[] = {"SITE", "ROOM", "COUNTRY", "SOURCE"};
    struct libscols_table *table = table_new();

    table_column(table, headings[view->kind], COLUMN_CUT);
    table_column(table, "VISITORS", COLUMN_RIGHT);
    if (view->site) {
        table_column(table, "SHARE", COLUMN_RIGHT);
        table_column(table, "1 H AGO", COLUMN_RIGHT);
    }
    table_column(table, "LAST HEARTBEAT", COLUMN_RIGHT);
    for (size_t i = 0; i < view->shown; i++) {
        const struct presence_entry *entry = &view->listing.entries[i];
        struct shown_name name = show_name(entry->name);
        char count[16], share[16], age[SHOW_DURATION_SIZE + 4];
        snprintf(count, sizeof(count), "%" PRIu32, entry->count);
        snprintf(share, sizeof(share), "%.1f %%", 100 * share_of(view, entry));
        snprintf(age, sizeof(age), "%s ago", show_duration(entry->last_heartbeat_s).text);
        if (view->site)
            table_line(table, (const char *const[]){name.text, count, share,
                                                    show_change(view, i).text, age});
        else
            table_line(table, (const char *const[]){name.text, count, age});
    }
    table_print(table);
}

static void choose_shown(const struct options *options, struct view *view)
{
    view->shown = view->listing.length;
    if (options->limit && options->limit < view->shown)
        view->shown = options->limit;
}

static void print_view(const struct options *options, const struct view *view)
{
    if (options->json) {
        print_json(view);
        return;
    }
    print_header(view);
    if (view->shown)
        print_table(view);
}

static int top_unknown(struct presence *presence, const struct options *options, struct view *view)
{
    struct presence_status status;
    int r = presence_status(presence, &status);

    if (r == 0)
        r = read_moment(presence, options, &view->listing.site);
    if (r < 0)
        return complain_of(r, presence, options);
    if (options->json)
        print_view(options, view);
    return complain_unknown(presence, &status, show_name(view->site).text);
}

int command_top(struct presence *presence, const struct options *options, char **arguments)
{
    struct view view = {.site = arguments[0], .kind = options->by};

    if (!argument_site(arguments[0]))
        return EXIT_USAGE;
    /* All of them, to say how many there are. */
    int r = presence_top(presence, view.site, view.kind, options->window_s, 0, &view.listing);

    if (r == -ENOENT)
        return top_unknown(presence, options, &view);
    if (r < 0)
        return complain_of(r, presence, options);
    view.known = true;
    choose_shown(options, &view);
    read_all_before(presence, options, &view);
    print_view(options, &view);
    free(view.before);
    r = note_reading(presence, &view.listing.site, "this is the list", show_name(view.site).text);
    presence_listing_free(&view.listing);
    return r;
}

int command_sites(struct presence *presence, const struct options *options, char **arguments)
{
    struct view view = {.kind = PRESENCE_SITE};
    int r = presence_sites(presence, options->window_s, &view.listing);

    (void)arguments;
    if (r < 0)
        return complain_of(r, presence, options);
    choose_shown(options, &view);
    print_view(options, &view);
    r = note_reading(presence, &view.listing.site, "this is the list", NULL);
    presence_listing_free(&view.listing);
    return r;
}

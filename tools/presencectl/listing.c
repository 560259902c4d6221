/* listing.c - top and sites: tables of scopes, the busiest first. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "presencectl.h"
#include "show.h"

/* What either command has to show. */
struct view {
    const char *site; /* NULL: a listing of sites */
    enum presence_kind kind;
    bool known; /* the site is; otherwise there are no entries */
    struct presence_listing listing;
    size_t shown; /* how many of the entries */
};

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

static void print_table(const struct view *view)
{
    static const char *const headings[] = {"SITE", "ROOM", "COUNTRY", "SOURCE"};
    struct libscols_table *table = table_new();

    table_column(table, headings[view->kind], COLUMN_CUT);
    table_column(table, "VISITORS", COLUMN_RIGHT);
    table_column(table, "LAST HEARTBEAT", COLUMN_RIGHT);
    for (size_t i = 0; i < view->shown; i++) {
        const struct presence_entry *entry = &view->listing.entries[i];
        struct shown_name name = show_name(entry->name);
        char count[16], age[SHOW_DURATION_SIZE + 4];
        snprintf(count, sizeof(count), "%" PRIu32, entry->count);
        snprintf(age, sizeof(age), "%s ago", show_duration(entry->last_heartbeat_s).text);
        table_line(table, (const char *const[]){name.text, count, age});
    }
    table_print(table);
}

static void print_view(const struct options *options, struct view *view)
{
    view->shown = view->listing.length;
    if (options->limit && options->limit < view->shown)
        view->shown = options->limit;
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

    if (r < 0)
        return complain_of(r, presence, options);
    view->listing.site = (struct presence_reading){
        .window_s = window_or_default(options, &status),
        .stale = status.stale,
        .warming = status.warming,
        .as_of = status.as_of,
    };
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
    print_view(options, &view);
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
    print_view(options, &view);
    r = note_reading(presence, &view.listing.site, "this is the list", NULL);
    presence_listing_free(&view.listing);
    return r;
}

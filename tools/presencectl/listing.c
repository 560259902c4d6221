/* listing.c - the commands top and sites: list scopes, the busiest first. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "presencectl.h"
#include "show.h"

#define HOUR 3600

/* The number of visitors an hour ago. */
struct before {
    bool known;
    double mean; /* of the minute */
};

/* The list that a command prints. */
struct view {
    const char *site; /* NULL: a listing of sites */
    enum presence_kind kind;
    struct presence_listing listing;
    size_t left_out;       /* entries with nobody, which are not in it */
    size_t shown;          /* the number of entries to print */
    struct before *before; /* one for each of these; NULL: unknown for all */
};

size_t listing_drop_empty(struct presence_listing *listing)
{
    size_t kept = 0, length = listing->length;

    for (size_t i = 0; i < length; i++) {
        const struct presence_entry *entry = &listing->entries[i];
        if (entry->count > 0 || entry->partial)
            listing->entries[kept++] = *entry;
    }
    listing->length = kept;
    return length - kept;
}

/* ---- an hour ago ------------------------------------------------------------------------- */

/* Load the mean of the minute that was an hour before `as_of`. */
static struct before load_before(struct presence *presence, const struct view *view,
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

/* Load the numbers of an hour ago; histories have those of the default window only. */
static void load_all_before(struct presence *presence, const struct options *options,
                            struct view *view)
{
    if (options->window_s && options->window_s != PRESENCE_DEFAULT_WINDOW)
        return;
    view->before = calloc(view->shown + 1, sizeof(*view->before));
    for (size_t i = 0; view->before && i < view->shown; i++)
        view->before[i] = load_before(presence, view, view->listing.entries[i].name);
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

/* Set the fields that entries of top have and those of sites have not. */
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
        if (entry->partial)
            json_object_set_new(line, "partial", json_true());
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
        json_object_set_new(object, "count", json_of_count(reading));
        json_object_set_new(object, "last_heartbeat_s", json_of_last_heartbeat(reading));
    }
    json_object_set_new(object, "total", json_integer((json_int_t)view->listing.length));
    if (view->site)
        json_object_set_new(object, "left_out", json_integer((json_int_t)view->left_out));
    json_object_set_new(object, kind_plural(view->kind), entries);
    json_set_marks(object, reading);
    json_print(object);
}

/* ---- comma-separated values -------------------------------------------------------------- */

static void print_csv_headings(struct csv *csv, const struct view *view)
{
    static const char *const trend[] = {"share", "hour_ago", "change"};
    static const char *const rest[] = {"last_heartbeat_s", "partial", "window_s", "as_of", "stale",
                                       "warming"};

    if (view->site)
        csv_text(csv, "site");
    csv_text(csv, kind_name(view->kind));
    csv_text(csv, "count");
    for (size_t i = 0; view->site && i < sizeof(trend) / sizeof(trend[0]); i++)
        csv_text(csv, trend[i]);
    for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++)
        csv_text(csv, rest[i]);
    csv_end_line(csv);
}

/* Write the fields that top has and sites has not. */
static void csv_trend(struct csv *csv, const struct view *view, size_t index)
{
    const struct presence_entry *entry = &view->listing.entries[index];
    struct before before = before_of(view, index);
    char share[16];

    snprintf(share, sizeof(share), "%.4f", share_of(view, entry));
    csv_text(csv, share);
    if (before.known) {
        csv_number(csv, before.mean);
        csv_number(csv, entry->count - before.mean);
    } else {
        csv_text(csv, "");
        csv_text(csv, "");
    }
}

static void print_csv(const struct view *view)
{
    const struct presence_reading *reading = &view->listing.site;
    struct csv csv = {.out = stdout};
    bool show = isatty(STDOUT_FILENO);

    print_csv_headings(&csv, view);
    for (size_t i = 0; i < view->shown; i++) {
        const struct presence_entry *entry = &view->listing.entries[i];
        if (view->site)
            csv_name(&csv, view->site, show);
        csv_name(&csv, entry->name, show);
        csv_integer(&csv, entry->count);
        if (view->site)
            csv_trend(&csv, view, i);
        csv_integer(&csv, entry->last_heartbeat_s);
        csv_integer(&csv, entry->partial);
        csv_integer(&csv, reading->window_s);
        csv_text(&csv, show_time(reading->as_of).text);
        csv_integer(&csv, reading->stale);
        csv_integer(&csv, reading->warming);
        csv_end_line(&csv);
    }
}

/* ---- text -------------------------------------------------------------------------------- */

/* Print names that can be typed: those that a terminal shows as they are. */
static void print_names(const struct view *view)
{
    for (size_t i = 0; i < view->shown; i++) {
        const char *name = view->listing.entries[i].name;
        if (strcmp(show_name(name).text, name) == 0)
            puts(name);
    }
}

/* Print the line above the table: site, count, window, time and marks. */
static void print_header(const struct view *view)
{
    const struct presence_reading *reading = &view->listing.site;
    const char *bold = show_in_colour() ? "\033[1m" : "", *plain = *bold ? "\033[0m" : "";

    fputs(bold, stdout);
    if (view->site)
        printf("%s: %" PRIu32 " visitor%s", show_name(view->site).text, reading->count,
               plural_of(reading->count));
    else
        printf("%zu site%s: visitors", view->listing.length, plural_of(view->listing.length));
    printf(" in the last %s, as of %s", show_window(reading->window_s).text,
           show_time(reading->as_of).text);
    if (view->shown < view->listing.length)
        printf("; the busiest %zu of %zu %s", view->shown, view->listing.length,
               kind_plural(view->kind));
    if (view->left_out)
        printf("; --all lists %zu more with 0", view->left_out);
    printf("%s%s%s%s\n", reading->stale ? " [stale]" : "", reading->warming ? " [warming]" : "",
           reading->partial ? " [partial]" : "", plain);
}

/* A change as text: "+12 %", "-3 %", "new", or "-" if unknown. */
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

static void print_view(const struct options *options, const struct view *view)
{
    if (options->json) {
        print_json(view);
        return;
    }
    if (view->site && !view->listing.site.exists)
        return;
    if (options->names) {
        print_names(view);
    } else if (options->csv) {
        print_csv(view);
    } else {
        print_header(view);
        if (view->shown)
            print_table(view);
    }
}

/* Print the listing, release it and return the exit status. */
static int answer(struct presence *presence, const struct options *options, struct view *view)
{
    struct presence_reading *reading = &view->listing.site;

    /* A site stays in the list without visitors: its last heartbeat tells whether its edge does. */
    if (view->site && !options->all)
        view->left_out = listing_drop_empty(&view->listing);
    size_t length = view->listing.length;
    /* The marks are about the list, which can be partial where the site's number is not. */
    reading->partial = view->listing.partial;
    view->shown = options->limit && options->limit < length ? options->limit : length;
    if (view->site && !options->names)
        load_all_before(presence, options, view);
    print_view(options, view);
    int status = view->site ? report_answer(presence, reading, "this is the list",
                                            show_name(view->site).text)
                            : report_reading(presence, reading, "this is the list", NULL);
    free(view->before);
    presence_listing_free(&view->listing);
    return status;
}

int command_top(struct presence *presence, const struct options *options, char **arguments)
{
    struct view view = {.site = arguments[0], .kind = options->by};

    if (!argument_site(arguments[0]))
        return EXIT_USAGE;
    /* Load all, since the header has their number. */
    int r = presence_top(presence, view.site, view.kind, options->window_s, 0, &view.listing);
    return r < 0 ? report_error(r, presence, options) : answer(presence, options, &view);
}

int command_sites(struct presence *presence, const struct options *options, char **arguments)
{
    struct view view = {.kind = PRESENCE_SITE};
    int r = presence_sites(presence, options->window_s, &view.listing);

    (void)arguments;
    return r < 0 ? report_error(r, presence, options) : answer(presence, options, &view);
}

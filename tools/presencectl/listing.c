/* listing.c - the commands top and sites: list scopes, the busiest first. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "groups.h"
#include "show.h"

#define HOUR 3600

/* The number of visitors an hour ago. */
struct before {
    bool known;
    double mean; /* of the minute */
};

/* One entry. */
struct line {
    const char *name;
    uint64_t count, last_heartbeat_s;
    bool partial;
    bool has_heartbeat; /* the age of the last heartbeat is known */
    struct before before;
};

/* The list that a command prints. */
struct view {
    const char *site; /* NULL: a listing of sites */
    enum presence_kind kind;
    struct answer answer; /* the site's own, or only how fresh; its marks are those of the list */
    size_t total;         /* the number of entries without --limit */
    size_t left_out;      /* entries with nobody, which are not among these */
    struct line *lines;
    size_t shown; /* the number of lines */
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
    int64_t then = view->answer.as_of - HOUR;
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
    for (size_t i = 0; i < view->shown; i++)
        view->lines[i].before = load_before(presence, view, view->lines[i].name);
}

/* ---- JSON -------------------------------------------------------------------------------- */

static double share_of(const struct view *view, const struct line *line)
{
    uint64_t all = view->answer.count;

    return all ? (double)line->count / (double)all : 0;
}

static double change_of(const struct line *line)
{
    return (double)line->count - line->before.mean;
}

/* Set the fields that entries of top have and those of sites have not. */
static void json_set_trend(json_t *object, const struct view *view, const struct line *line)
{
    const struct before *before = &line->before;

    json_object_set_new(object, "share", json_real(share_of(view, line)));
    json_object_set_new(object, "hour_ago", before->known ? json_real(before->mean) : json_null());
    json_object_set_new(object, "change", before->known ? json_real(change_of(line)) : json_null());
}

static json_t *json_of_line(const struct view *view, const struct line *line)
{
    json_t *object = json_object();

    json_object_set_new(object, kind_name(view->kind), json_string(line->name));
    json_object_set_new(object, "count", json_of_number(line->count));
    json_object_set_new(object, "last_heartbeat_s",
                        line->has_heartbeat ? json_of_number(line->last_heartbeat_s) : json_null());
    if (line->partial)
        json_object_set_new(object, "partial", json_true());
    if (view->site)
        json_set_trend(object, view, line);
    return object;
}

static void print_json(const struct view *view)
{
    const struct answer *answer = &view->answer;
    json_t *object = json_object(), *entries = json_array();

    for (size_t i = 0; i < view->shown; i++)
        json_array_append_new(entries, json_of_line(view, &view->lines[i]));
    if (view->site) {
        json_object_set_new(object, "site", json_string(view->site));
        json_object_set_new(object, "by", json_string(kind_name(view->kind)));
    }
    json_object_set_new(object, "window_s", json_integer(answer->window_s));
    if (view->site) {
        json_object_set_new(object, "count", json_of_count(*answer));
        json_object_set_new(object, "last_heartbeat_s", json_of_last_heartbeat(*answer));
    }
    json_object_set_new(object, "total", json_integer((json_int_t)view->total));
    if (view->site)
        json_object_set_new(object, "left_out", json_integer((json_int_t)view->left_out));
    json_object_set_new(object, kind_plural(view->kind), entries);
    json_set_marks(object, *answer);
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
static void csv_trend(struct csv *csv, const struct view *view, const struct line *line)
{
    char share[16];

    snprintf(share, sizeof(share), "%.4f", share_of(view, line));
    csv_text(csv, share);
    if (line->before.known) {
        csv_number(csv, line->before.mean);
        csv_number(csv, change_of(line));
    } else {
        csv_text(csv, "");
        csv_text(csv, "");
    }
}

static void print_csv(const struct view *view)
{
    const struct answer *answer = &view->answer;
    struct csv csv = {.out = stdout};
    bool show = isatty(STDOUT_FILENO);

    print_csv_headings(&csv, view);
    for (size_t i = 0; i < view->shown; i++) {
        const struct line *line = &view->lines[i];
        if (view->site)
            csv_name(&csv, view->site, show);
        csv_name(&csv, line->name, show);
        csv_integer(&csv, line->count);
        if (view->site)
            csv_trend(&csv, view, line);
        csv_known(&csv, line->last_heartbeat_s, line->has_heartbeat);
        csv_integer(&csv, line->partial);
        csv_integer(&csv, answer->window_s);
        csv_text(&csv, show_time(answer->as_of).text);
        csv_integer(&csv, answer->stale);
        csv_integer(&csv, answer->warming);
        csv_end_line(&csv);
    }
}

/* ---- text -------------------------------------------------------------------------------- */

/* Print names that can be typed: those that a terminal shows as they are. */
static void print_names(const struct view *view)
{
    for (size_t i = 0; i < view->shown; i++) {
        const char *name = view->lines[i].name;
        if (strcmp(show_name(name).text, name) == 0)
            puts(name);
    }
}

/* Print the line above the table: site, count, window, time and marks. */
static void print_header(const struct view *view)
{
    const struct answer *answer = &view->answer;
    const char *bold = show_in_colour() ? "\033[1m" : "", *plain = *bold ? "\033[0m" : "";

    fputs(bold, stdout);
    if (view->site)
        printf("%s: %" PRIu64 " visitor%s", show_name(view->site).text, answer->count,
               plural_of(answer->count));
    else
        printf("%zu site%s: visitors", view->total, plural_of(view->total));
    printf(" in the last %s, as of %s", show_window(answer->window_s).text,
           show_time(answer->as_of).text);
    if (view->shown < view->total)
        printf("; the busiest %zu of %zu %s", view->shown, view->total, kind_plural(view->kind));
    if (view->left_out)
        printf("; --all lists %zu more with 0", view->left_out);
    printf("%s%s%s%s\n", answer->stale ? " [stale]" : "", answer->warming ? " [warming]" : "",
           answer->partial ? " [partial]" : "", plain);
}

/* A change as text: "+12 %", "-3 %", "new", or "-" if unknown. */
struct shown_change {
    char text[24];
};

static struct shown_change show_change(const struct line *line)
{
    struct shown_change shown = {"-"};

    if (line->before.known && line->before.mean > 0)
        snprintf(shown.text, sizeof(shown.text), "%+.0f %%",
                 100 * change_of(line) / line->before.mean);
    else if (line->before.known && line->count > 0)
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
        const struct line *line = &view->lines[i];
        struct shown_name name = show_name(line->name);
        char count[24], share[32], age[SHOW_DURATION_SIZE + 4] = "-";
        snprintf(count, sizeof(count), "%" PRIu64, line->count);
        snprintf(share, sizeof(share), "%.1f %%", 100 * share_of(view, line));
        if (line->has_heartbeat)
            snprintf(age, sizeof(age), "%s ago", show_duration(line->last_heartbeat_s).text);
        if (view->site)
            table_line(table,
                       (const char *const[]){name.text, count, share, show_change(line).text, age});
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
    if (view->site && !view->answer.exists)
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

/* ---- of a segment ------------------------------------------------------------------------ */

/* Allocate the lines to print. Exits if out of memory. */
static void allocate_lines(struct view *view, size_t count)
{
    view->lines = calloc(count + 1, sizeof(*view->lines));
    if (!view->lines) {
        report("out of memory");
        exit(EXIT_FAILED);
    }
    view->shown = count;
}

/* Take over a listing, whose names the view's lines point to. */
static void set_listing(const struct options *options, const struct presence_listing *listing,
                        struct view *view)
{
    size_t length = listing->length;

    view->total = length;
    view->answer = answer_of(&listing->site);
    view->answer.partial = listing->partial; /* also where the site's number is not */
    allocate_lines(view, options->limit && options->limit < length ? options->limit : length);
    for (size_t i = 0; i < view->shown; i++) {
        const struct presence_entry *entry = &listing->entries[i];
        view->lines[i] = (struct line){
            .name = entry->name,
            .count = entry->count,
            .last_heartbeat_s = entry->last_heartbeat_s,
            .has_heartbeat = true,
            .partial = entry->partial,
        };
    }
}

/* Print the listing, release it and return the exit status. */
static int answer(struct presence *presence, const struct options *options,
                  struct presence_listing *listing, struct view *view)
{
    /* A site stays in the list without visitors: its last heartbeat tells whether its edge does. */
    if (view->site && !options->all)
        view->left_out = listing_drop_empty(listing);
    set_listing(options, listing, view);
    if (view->site && !options->names)
        load_all_before(presence, options, view);
    print_view(options, view);
    listing->site.partial = listing->partial; /* the marks are about the list */
    int status = view->site ? report_answer(presence, &listing->site, "this is the list",
                                            show_name(view->site).text)
                            : report_reading(presence, &listing->site, "this is the list", NULL);
    free(view->lines);
    presence_listing_free(listing);
    return status;
}

int command_top(struct presence *presence, const struct options *options, char **arguments)
{
    struct view view = {.site = arguments[0], .kind = options->by};
    struct presence_listing listing;

    if (!argument_site(arguments[0]))
        return EXIT_USAGE;
    /* Load all, since the header has their number. */
    int r = presence_top(presence, view.site, view.kind, options->window_s, 0, &listing);
    return r < 0 ? report_error(r, presence, options) : answer(presence, options, &listing, &view);
}

int command_sites(struct presence *presence, const struct options *options, char **arguments)
{
    struct view view = {.kind = PRESENCE_SITE};
    struct presence_listing listing;
    int r = presence_sites(presence, options->window_s, &listing);

    (void)arguments;
    return r < 0 ? report_error(r, presence, options) : answer(presence, options, &listing, &view);
}

/* ---- of groups --------------------------------------------------------------------------- */

/* Take over a list, whose names the view's lines point to. */
static void set_list(const struct engine_list *list, struct view *view)
{
    view->total = list->total;
    view->answer = answer_of_groups(&list->reading);
    view->answer.partial = view->answer.partial || list->partial;
    allocate_lines(view, list->length);
    for (size_t i = 0; i < view->shown; i++) {
        const struct engine_entry *entry = &list->entries[i];
        view->lines[i] = (struct line){
            .name = entry->name,
            .count = entry->count,
            .last_heartbeat_s = entry->last_heartbeat_s,
            .has_heartbeat = entry->quiet,
            .partial = entry->partial,
        };
    }
}

/* Load a list, print it and return the exit status. */
static int answer_groups(struct engine_reader *reader, const struct options *options,
                         struct view *view)
{
    struct engine_list list = {.site = view->site,
                               .kind = view->kind,
                               .window_s = options->window_s,
                               .limit = options->limit};
    struct engine_poll poll = {.lists = &list, .list_count = 1};
    int status = groups_poll(reader, options, &poll);

    if (status != EXIT_FINE)
        return status;
    const struct engine_state *state = engine_reader_state(reader);
    if (list.error < 0) {
        engine_list_free(&list);
        return groups_report_window(reader, options->window_s);
    }
    set_list(&list, view);
    print_view(options, view);
    status = view->site ? groups_report_answer(state, &view->answer, "this is the list",
                                               show_name(view->site).text)
                        : groups_report_reading(state, &view->answer, "this is the list", NULL);
    free(view->lines);
    engine_list_free(&list);
    return status;
}

int groups_top(struct engine_reader *reader, const struct options *options, char **arguments)
{
    struct view view = {.site = arguments[0], .kind = options->by};

    return argument_site(arguments[0]) ? answer_groups(reader, options, &view) : EXIT_USAGE;
}

int groups_sites(struct engine_reader *reader, const struct options *options, char **arguments)
{
    struct view view = {.kind = PRESENCE_SITE};

    (void)arguments;
    return answer_groups(reader, options, &view);
}

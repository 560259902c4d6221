/* events.c - print the events that the collector holds, and follow new ones. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "presencectl.h"
#include "show.h"

#define PAGE        1000 /* events loaded at once */
#define POLL_MS     100  /* between two polls for new events */
#define POLLS_CHECK 20   /* polls between two checks of the collector */

/* A position in the feed, and the gaps since they were last reported. */
struct feed {
    struct presence *presence;
    const struct options *options;
    const char *site; /* NULL: all */
    uint64_t next;
    uint64_t missed; /* events that were overwritten before they could be loaded */
    bool renewed;    /* the segment was replaced */
};

static const char *const kind_names[] = {
    [PRESENCE_EVENT_ENTERED] = "entered",
    [PRESENCE_EVENT_LEFT] = "left",
    [PRESENCE_EVENT_PAGEVIEW] = "pageview",
    [PRESENCE_EVENT_CUSTOM] = "event",
};

/* ---- lines for people -------------------------------------------------------------------- */

/* Print a name, unless it is empty. On a terminal, one with right-to-left letters is enclosed in
 * invisible marks, so that it does not reorder the text beside it. */
static void print_field(const char *before, const char *name)
{
    const char *mark = isatty(STDOUT_FILENO) && has_right_to_left(name) ? NAME_LEFT_TO_RIGHT : "";

    if (*name)
        printf("%s%s%s%s", before, mark, show_name(name).text, mark);
}

static void print_line(const struct feed *feed, const struct presence_event *event)
{
    printf("%" PRIu64 "  %s  %-8s  %-2s", event->sequence, show_time_us(event->time_us).text,
           kind_names[event->kind], event->country);
    if (!feed->site)
        print_field("  ", event->site);
    print_field("  ", event->room);
    print_field("  from ", event->source);
    print_field("  event ", event->name);
    putchar('\n');
}

/* ---- comma-separated values -------------------------------------------------------------- */

static void print_headings(void)
{
    static const char *const headings[] = {"sequence", "time",    "kind",   "site",
                                           "room",     "country", "source", "event"};
    struct csv csv = {.out = stdout};

    for (size_t i = 0; i < sizeof(headings) / sizeof(headings[0]); i++)
        csv_text(&csv, headings[i]);
    csv_end_line(&csv);
}

static void print_values(const struct presence_event *event)
{
    const char *const names[] = {event->site, event->room, event->country, event->source,
                                 event->name};
    struct csv csv = {.out = stdout};
    bool show = isatty(STDOUT_FILENO);

    csv_integer(&csv, event->sequence);
    csv_text(&csv, show_time_us(event->time_us).text);
    csv_text(&csv, kind_names[event->kind]);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        csv_name(&csv, names[i], show);
    csv_end_line(&csv);
}

/* ---- JSON -------------------------------------------------------------------------------- */

static json_t *json_of_event(const struct presence_event *event)
{
    json_t *object = json_object();

    json_object_set_new(object, "sequence", json_integer((json_int_t)event->sequence));
    json_object_set_new(object, "time", json_string(show_time_us(event->time_us).text));
    json_object_set_new(object, "kind", json_string(kind_names[event->kind]));
    json_object_set_new(object, "site", json_string(event->site));
    json_object_set_new(object, "room", json_text(event->room));
    json_object_set_new(object, "country", json_text(event->country));
    json_object_set_new(object, "source", json_text(event->source));
    json_object_set_new(object, "event", json_text(event->name));
    return object;
}

static int print_json(const struct feed *feed, const struct presence_events *events)
{
    struct presence_status status;
    int r = presence_status(feed->presence, &status);

    if (r < 0)
        return report_error(r, feed->presence, feed->options);
    json_t *object = json_object(), *array = json_array();
    for (size_t i = 0; i < events->length; i++)
        json_array_append_new(array, json_of_event(&events->events[i]));
    json_object_set_new(object, "site", feed->site ? json_string(feed->site) : json_null());
    json_object_set_new(object, "events", array);
    json_object_set_new(object, "next", json_integer((json_int_t)feed->next));
    json_object_set_new(object, "missed", json_integer((json_int_t)feed->missed));
    json_object_set_new(object, "renewed", json_boolean(feed->renewed));
    json_set_moment(object, status.stale, status.warming, status.as_of);
    json_print(object);
    return EXIT_FINE;
}

/* ---- all formats ------------------------------------------------------------------------- */

static void print_events(const struct feed *feed, const struct presence_events *events)
{
    for (size_t i = 0; i < events->length; i++) {
        const struct presence_event *event = &events->events[i];
        if (feed->options->json)
            json_print(json_of_event(event));
        else if (feed->options->csv)
            print_values(event);
        else
            print_line(feed, event);
    }
}

/* Report the gaps, as a JSON line among JSON lines, and forget them. */
static void print_gaps(struct feed *feed)
{
    if (feed->options->json && (feed->missed || feed->renewed))
        json_print(
            json_pack("{s:I, s:b}", "missed", (json_int_t)feed->missed, "renewed", feed->renewed));
    else if (feed->renewed)
        report("the segment was replaced: events from before that were not read are lost");
    if (feed->missed && !feed->options->json)
        report("missed %" PRIu64 " event%s, overwritten before they could be read", feed->missed,
               plural_of(feed->missed));
    feed->missed = 0;
    feed->renewed = false;
}

/* ---- loading ----------------------------------------------------------------------------- */

/* Load the next page of at most `limit` events, which the caller frees. */
static int load_page(struct feed *feed, size_t limit, struct presence_events *ret)
{
    int r = presence_events(feed->presence, feed->site, feed->next, limit, ret);

    if (r < 0)
        return r;
    feed->next = ret->next;
    feed->missed += ret->missed;
    feed->renewed = feed->renewed || ret->renewed;
    return 0;
}

static int find_start(struct feed *feed)
{
    const struct since *since = &feed->options->since;

    if (since->kind == SINCE_TIME)
        return presence_events_since(feed->presence, since->time_us, &feed->next);
    feed->next = since->kind == SINCE_NUMBER ? since->number : PRESENCE_EVENTS_OLDEST;
    return 0;
}

/* Append a page to `all`. Returns 0 or -ENOMEM. */
static int append(struct presence_events *all, const struct presence_events *page)
{
    size_t length = all->length + page->length;

    if (page->length == 0)
        return 0;
    struct presence_event *events = reallocarray(all->events, length, sizeof(*events));
    if (!events)
        return -ENOMEM;
    memcpy(events + all->length, page->events, page->length * sizeof(*events));
    all->events = events;
    all->length = length;
    return 0;
}

/* Drop all but the last `limit` events; 0 keeps all. */
static void keep_last(struct presence_events *all, size_t limit)
{
    if (limit == 0 || all->length <= limit)
        return;
    memmove(all->events, all->events + all->length - limit, limit * sizeof(*all->events));
    all->length = limit;
}

/* Load the first `limit` events from the feed's position on or, with `last`, the last `limit` ones;
 * 0: all. Moves the position behind them. */
static int load_past(struct feed *feed, size_t limit, bool last, struct presence_events *ret)
{
    struct presence_events all = {0}, page;
    int r = 0;

    for (;;) {
        size_t room = limit && !last ? limit - all.length : PAGE;
        uint64_t before = feed->next;
        if (room == 0)
            break;
        r = load_page(feed, room < PAGE ? room : PAGE, &page);
        if (r < 0)
            break;
        r = append(&all, &page);
        bool is_end = page.length == 0 || feed->next == before;
        presence_events_free(&page);
        if (r < 0 || is_end)
            break;
        if (last)
            keep_last(&all, limit);
    }
    if (r < 0)
        presence_events_free(&all);
    else
        *ret = all;
    return r;
}

/* ---- messages ---------------------------------------------------------------------------- */

static int report_events_error(int error, const struct feed *feed)
{
    if (error != -EOPNOTSUPP)
        return report_error(error, feed->presence, feed->options);
    report("this collector keeps no events; start presenced with --events");
    return EXIT_FAILED;
}

/* Report why a site has no events: it may be unknown. */
static int report_no_events(const struct feed *feed)
{
    struct presence_reading reading;
    int r = presence_count(feed->presence, feed->site, NULL, 0, &reading);

    if (r < 0)
        return report_error(r, feed->presence, feed->options);
    /* The events of a site that exists are complete, even if its count is partial. */
    reading.partial &= !reading.exists;
    if (reading.exists)
        return report_reading(feed->presence, &reading, "these are the events", NULL);
    return report_answer(feed->presence, &reading, NULL, show_name(feed->site).text);
}

static int report_rest(const struct feed *feed, bool found)
{
    struct presence_status status;

    if (!found && feed->site)
        return report_no_events(feed);
    int r = presence_status(feed->presence, &status);
    if (r < 0)
        return report_error(r, feed->presence, feed->options);
    status.warming = false; /* events are complete while the collector warms, too */
    return report_status(&status, "these are the events");
}

/* ---- following --------------------------------------------------------------------------- */

/* Report once that the collector is silent; it may come back. */
static void check_collector(struct presence *presence, bool *is_silent)
{
    struct presence_status status;

    if (presence_status(presence, &status) < 0)
        return;
    if (status.stale && !*is_silent)
        report_status(&status, "waiting for it: these are the events");
    *is_silent = status.stale;
}

/* Wait for POLL_MS. Returns false if nobody reads stdout any more. */
static bool wait_for_more(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};

    return poll(&out, 1, POLL_MS) <= 0 || !(out.revents & (POLLERR | POLLHUP | POLLNVAL));
}

static int follow(struct feed *feed)
{
    bool is_silent = false;

    for (unsigned polls = 0;; polls++) {
        struct presence_events page;
        int r = load_page(feed, PAGE, &page);
        if (r < 0)
            return report_events_error(r, feed);
        print_gaps(feed);
        print_events(feed, &page);
        bool is_more = page.length > 0;
        presence_events_free(&page);
        if (fflush(stdout) != 0)
            return EXIT_FAILED;
        if (polls % POLLS_CHECK == 0)
            check_collector(feed->presence, &is_silent);
        if (!is_more && !wait_for_more())
            return EXIT_FINE;
    }
}

int command_events(struct presence *presence, const struct options *options, char **arguments)
{
    struct feed feed = {.presence = presence, .options = options, .site = arguments[0]};
    bool has_start = options->since.kind != SINCE_NONE;
    struct presence_events past = {0};
    int status = EXIT_FINE;

    if (feed.site && !argument_site(arguments[0]))
        return EXIT_USAGE;
    int r = find_start(&feed);
    /* With --follow and --since no event may be left out: follow() prints all of them. */
    if (r == 0 && !(options->follow && has_start))
        r = load_past(&feed, options->limit, !has_start, &past);
    if (r < 0)
        return report_events_error(r, &feed);

    if (options->json && !options->follow) {
        status = print_json(&feed, &past);
    } else {
        if (options->csv && !options->json)
            print_headings();
        print_gaps(&feed);
        print_events(&feed, &past);
    }
    bool found = past.length > 0;
    presence_events_free(&past);
    if (options->follow)
        return follow(&feed);
    return status == EXIT_FINE ? report_rest(&feed, found) : status;
}

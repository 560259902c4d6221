/* events.c - what happened: the events that are held, and those to come. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "events.h"
#include "show.h"

#define PAGE       1000 /* events read at once */
#define WAIT_MS    100  /* between looks at what is new */
#define LOOKS_EACH 20   /* between looks at the collector */

/* Where the reading is, and what was found. */
struct feed {
    const char *site; /* NULL: all */
    uint64_t next;
    uint64_t missed;
    bool renewed;
};

/* Read the next page, at most `limit` events. It is the caller's to free. */
static int read_page(struct presence *presence, struct feed *feed, size_t limit,
                     struct presence_events *ret)
{
    int r = presence_events(presence, feed->site, feed->next, limit, ret);

    if (r < 0)
        return r;
    feed->next = ret->next;
    feed->missed += ret->missed;
    feed->renewed = feed->renewed || ret->renewed;
    return 0;
}

static int find_start(struct presence *presence, const struct options *options, struct feed *feed)
{
    switch (options->since.kind) {
    case SINCE_NUMBER:
        feed->next = options->since.number;
        return 0;
    case SINCE_TIME:
        return presence_events_since(presence, options->since.time_us, &feed->next);
    case SINCE_UNSAID:
        break;
    }
    feed->next = PRESENCE_EVENTS_OLDEST;
    return 0;
}

/* ---- the past ---------------------------------------------------------------------------- */

/* Events, oldest first; released with presence_events_free. */
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

/* Keep the last so many. */
static void keep_last(struct presence_events *all, size_t limit)
{
    if (limit == 0 || all->length <= limit)
        return;
    memmove(all->events, all->events + all->length - limit, limit * sizeof(*all->events));
    all->length = limit;
}

/* Read the first `limit` events from where the feed is, or, with `last`, the last so many; 0: all.
 * The feed is then behind them. */
static int read_past(struct presence *presence, struct feed *feed, size_t limit, bool last,
                     struct presence_events *ret)
{
    struct presence_events all = {0}, page;
    int r = 0;

    for (;;) {
        size_t room = limit && !last ? limit - all.length : PAGE;
        uint64_t before = feed->next;
        if (room == 0)
            break;
        r = read_page(presence, feed, room < PAGE ? room : PAGE, &page);
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

/* ---- what there is to say ---------------------------------------------------------------- */

static void note_gaps(struct feed *feed)
{
    if (feed->renewed)
        complain("the segment was made anew: what happened before that and was not read is gone");
    if (feed->missed)
        complain("missed %" PRIu64 " event%s that had been overwritten before they could be read",
                 feed->missed, feed->missed == 1 ? "" : "s");
}

static int complain_of_events(int error, struct presence *presence, const struct options *options)
{
    if (error != -EOPNOTSUPP)
        return complain_of(error, presence, options);
    complain("this collector keeps no events; start presenced with --events");
    return EXIT_FAILED;
}

/* No event: is the site known at all? */
static int events_unknown(struct presence *presence, const struct options *options,
                          const char *site)
{
    struct presence_reading reading;
    struct presence_status status;
    int r = presence_count(presence, site, NULL, 0, &reading);

    if (r < 0 && r != -ENOENT)
        return complain_of(r, presence, options);
    int unknown = r;
    r = presence_status(presence, &status);
    if (r < 0)
        return complain_of(r, presence, options);
    return unknown ? complain_unknown(presence, &status, show_name(site).text)
                   : note_status(&status, "these are the events");
}

static int note(struct presence *presence, const struct options *options, const struct feed *feed,
                bool found)
{
    struct presence_status status;

    if (!found && feed->site)
        return events_unknown(presence, options, feed->site);
    int r = presence_status(presence, &status);
    if (r < 0)
        return complain_of(r, presence, options);
    status.warming = false; /* what happened did so all the same */
    return note_status(&status, "these are the events");
}

/* ---- the future -------------------------------------------------------------------------- */

/* Say when the collector falls silent, once; it may come back. */
static void watch_collector(struct presence *presence, bool *is_silent)
{
    struct presence_status status;

    if (presence_status(presence, &status) < 0)
        return;
    if (status.stale && !*is_silent) {
        status.warming = false;
        note_status(&status, "waiting for it: these are the events");
    }
    *is_silent = status.stale;
}

/* Is there still somebody to write for? Waits a little. */
static bool wait_for_more(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};

    return poll(&out, 1, WAIT_MS) <= 0 || !(out.revents & (POLLERR | POLLHUP | POLLNVAL));
}

static int follow(struct presence *presence, const struct options *options, struct feed *feed,
                  struct events_writer *writer)
{
    bool is_silent = false;

    for (unsigned look = 0;; look++) {
        struct presence_events page;
        feed->missed = 0;
        feed->renewed = false;
        int r = read_page(presence, feed, PAGE, &page);
        if (r < 0)
            return complain_of_events(r, presence, options);
        events_write_gap(writer, feed->missed, feed->renewed);
        if (!options->json)
            note_gaps(feed);
        events_write(writer, &page);
        bool is_more = page.length > 0;
        presence_events_free(&page);
        if (fflush(stdout) != 0)
            return EXIT_FAILED;
        if (look % LOOKS_EACH == 0)
            watch_collector(presence, &is_silent);
        if (!is_more && !wait_for_more())
            return EXIT_FINE;
    }
}

int command_events(struct presence *presence, const struct options *options, char **arguments)
{
    struct feed feed = {.site = arguments[0]};
    struct presence_events past = {0};

    if (feed.site && !argument_site(arguments[0]))
        return EXIT_USAGE;
    int r = find_start(presence, options, &feed);
    bool is_asked = options->since.kind != SINCE_UNSAID;
    /* Followed from somewhere on, nothing may be left out: then the future begins there. */
    if (r == 0 && !(options->follow && is_asked))
        r = read_past(presence, &feed, options->limit, !is_asked, &past);
    if (r < 0)
        return complain_of_events(r, presence, options);

    struct events_writer writer = {.options = options, .site = feed.site};
    int status = EXIT_FINE;
    if (options->json && !options->follow) {
        status = events_print_json(presence, &writer, &past, feed.next, feed.missed, feed.renewed);
    } else {
        events_begin(&writer);
        events_write(&writer, &past);
        note_gaps(&feed);
    }
    bool found = past.length > 0;
    presence_events_free(&past);
    if (options->follow)
        return follow(presence, options, &feed, &writer);
    return status == EXIT_FINE ? note(presence, options, &feed, found) : status;
}

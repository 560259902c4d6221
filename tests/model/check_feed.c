/* check_feed.c - the events of each batch, read at once, against the oracle.
 *
 * The oracle says what happened; a site may tell of a 64th of the ring's slots in each tick. So
 * which events are told of follows, bar those of which the oracle is not sure: then one of the ways
 * in which it may have been must explain what was told and how much was not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "checks.h"
#include "model_clock.h"

/* One batch's events on their way through the oracle's. */
struct match {
    struct stream *stream;
    struct presence_events told;
    int *sites;      /* of each that was told, numbers in struct names */
    unsigned unsure; /* of the oracle's events, how many are */
    unsigned sure;
    bool *can_be, *then; /* by how many were told, and how many of the unsure ones happened */
};

/* ---- reading ----------------------------------------------------------------------------- */

/* All that follow the last that are known: in pages, so that each goes on where one ended. */
static void read_told(struct match *match)
{
    struct stream *stream = match->stream;
    struct presence_events page, *told = &match->told;
    uint64_t next = stream->feed.first + stream->feed.length;

    for (;;) {
        size_t limit =
            random_one_in(&stream->random, 2) ? 0 : random_between(&stream->random, 1, 5);
        int r = presence_events(stream->reader, NULL, next, limit, &page);
        checks_expect_exactly(stream, NULL, "presence_events returns", (uint64_t)r, 0);
        checks_expect_exactly(stream, NULL, "missed", page.missed, 0);
        checks_expect_exactly(stream, NULL, "renewed", page.renewed, false);
        checks_expect_exactly(stream, NULL, "next", page.next, next + page.length);
        next = page.next;
        if (page.length == 0)
            break;
        told->events =
            reallocarray(told->events, told->length + page.length, sizeof(*told->events));
        memcpy(told->events + told->length, page.events, page.length * sizeof(*page.events));
        told->length += page.length;
        presence_events_free(&page);
    }
    presence_events_free(&page);
}

static int find_site(struct stream *stream, const char *told)
{
    for (unsigned i = 0; i < stream->variant->names[PLACE_SITE]; i++)
        if (checks_is_named(stream, (int)i, PLACE_SITE, 0, told))
            return (int)i;
    stream_fail(stream, "an event at '%s', which is no site", told);
}

/* ---- matching ---------------------------------------------------------------------------- */

static bool is_label(const struct stream *stream, const struct oracle_event *expected,
                     enum place place, const char *told)
{
    int name = expected->names[place];

    if (told[0] == '\0')
        return name < 0 || expected->may_lack[place];
    return name >= 0 && checks_is_named(stream, 0, place, name, told);
}

static bool is_same(const struct stream *stream, const struct oracle_event *expected,
                    const struct presence_event *told)
{
    return (int)told->kind == (int)expected->kind &&
           checks_is_named(stream, expected->names[PLACE_SITE], PLACE_SITE, 0, told->site) &&
           is_label(stream, expected, PLACE_ROOM, told->room) &&
           is_label(stream, expected, PLACE_COUNTRY, told->country) &&
           is_label(stream, expected, PLACE_SOURCE, told->source) &&
           strcmp(told->name, expected->kind == ORACLE_CUSTOM ? expected->name : "") == 0;
}

/* How many of a site's turns are spent once `count` of the batch's events have been told. */
static unsigned spent(const struct match *match, int site, size_t count)
{
    const struct feed_log *feed = &match->stream->feed;
    unsigned turns = feed->spent_at == match->stream->tick ? feed->spent[site] : 0;

    for (size_t i = 0; i < count; i++)
        turns += match->sites[i] == site;
    return turns;
}

/* One more of the oracle's events, from wherever the ones before may have led. */
static void match_one(struct match *match, const struct oracle_event *expected)
{
    const struct stream *stream = match->stream;
    size_t width = match->unsure + 1, size = (match->told.length + 1) * width;
    int site = expected->names[PLACE_SITE];

    memset(match->then, 0, size);
    for (size_t at = 0; at < size; at++) {
        size_t told = at / width, happened = at + expected->is_unsure;
        if (!match->can_be[at])
            continue;
        if (expected->is_unsure)
            match->then[at] = true; /* it did not happen */
        if (spent(match, site, told) >= stream->feed.capacity / 64)
            match->then[happened] = true; /* thinned out */
        else if (told < match->told.length && is_same(stream, expected, &match->told.events[told]))
            match->then[happened + width] = true;
    }
    bool *then = match->can_be;
    match->can_be = match->then;
    match->then = then;
}

static bool can_be_at_all(const struct match *match)
{
    size_t size = (match->told.length + 1) * (match->unsure + 1);

    return memchr(match->can_be, true, size) != NULL;
}

static void fail_match(struct match *match, unsigned at)
{
    struct stream *stream = match->stream;
    const struct oracle_event *expected = &stream->oracle.events.events[at];

    for (size_t i = 0; i < match->told.length; i++) {
        const struct presence_event *told = &match->told.events[i];
        print_message("  told: kind %d at '%s', room '%s', country '%s', source '%s', name '%s'\n",
                      (int)told->kind, told->site, told->room, told->country, told->source,
                      told->name);
    }
    stream_fail(stream,
                "of %u events that happened, %zu were told of; it can't be explained from number "
                "%u on: kind %d, site %d, room %d, country %d, source %d, name '%s'",
                stream->oracle.events.length, match->told.length, at, (int)expected->kind,
                expected->names[PLACE_SITE], expected->names[PLACE_ROOM],
                expected->names[PLACE_COUNTRY], expected->names[PLACE_SOURCE],
                expected->kind == ORACLE_CUSTOM ? expected->name : "");
}

/* Those that happened and were not told of must be those that were counted. */
static void check_thinned(struct match *match)
{
    struct stream *stream = match->stream;
    uint64_t counted = fixture_counter(stream->fixture, COUNTER_events_thinned);
    uint64_t thinned = counted - stream->feed.thinned;
    uint64_t happened = match->told.length + thinned;
    size_t width = match->unsure + 1;

    if (happened < match->sure || happened - match->sure > match->unsure ||
        !match->can_be[match->told.length * width + happened - match->sure])
        stream_fail(stream,
                    "of %u events, %u of them unsure, %zu were told of and %llu thinned out",
                    match->sure + match->unsure, match->unsure, match->told.length,
                    (unsigned long long)thinned);
    stream->feed.thinned = counted;
}

static void match_all(struct match *match)
{
    const struct oracle_events *events = &match->stream->oracle.events;

    for (unsigned i = 0; i < events->length; i++)
        match->unsure += events->events[i].is_unsure;
    match->sure = events->length - match->unsure;
    size_t size = (match->told.length + 2) * (match->unsure + 2);
    match->can_be = calloc(size, sizeof(bool));
    match->then = calloc(size, sizeof(bool));
    match->can_be[0] = true;
    for (unsigned i = 0; i < events->length; i++) {
        match_one(match, &events->events[i]);
        if (!can_be_at_all(match))
            fail_match(match, i);
    }
    check_thinned(match);
}

/* ---- after it ---------------------------------------------------------------------------- */

static void log_told(struct match *match)
{
    struct stream *stream = match->stream;
    struct feed_log *feed = &stream->feed;

    if (feed->spent_at != stream->tick)
        memset(feed->spent, 0, sizeof(feed->spent));
    feed->spent_at = stream->tick;
    for (size_t i = 0; i < match->told.length; i++) {
        struct feed_entry entry = {FEED_WRITTEN, match->told.events[i]};
        checks_expect_exactly(stream, NULL, "sequence", entry.event.sequence,
                              feed->first + feed->length);
        checks_expect_exactly(stream, NULL, "time of an event", (uint64_t)entry.event.time_us,
                              feed_log_time(feed));
        feed_log_append(feed, &entry);
        feed->spent[match->sites[i]]++;
    }
}

void check_feed(struct stream *stream)
{
    struct match match = {.stream = stream};

    if (stream->feed.capacity) {
        read_told(&match);
        match.sites = calloc(match.told.length + 1, sizeof(*match.sites));
        for (size_t i = 0; i < match.told.length; i++)
            match.sites[i] = find_site(stream, match.told.events[i].site);
        match_all(&match);
        log_told(&match);
    }
    oracle_events_clear(&stream->oracle.events);
    presence_events_free(&match.told);
    free(match.sites);
    free(match.can_be);
    free(match.then);
}

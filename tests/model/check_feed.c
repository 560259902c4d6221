/* check_feed.c - compare the events of each batch, read at once, with the oracle.
 *
 * The oracle knows what happened; a site may emit a 64th of the ring's slots in each tick. So the
 * emitted events are known, except for those of which the oracle is not sure: then one of the ways
 * in which it may have been must explain the events that were read and the number that was not.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "checks.h"
#include "model_clock.h"

/* The events of one batch, matched with the oracle's. */
struct match {
    struct stream *stream;
    struct presence_events emitted;
    int *sites;      /* of each emitted event, as a number in struct names */
    unsigned unsure; /* how many of the oracle's events are unsure */
    unsigned sure;
    bool *can_be, *then; /* by number of emitted events, then of unsure ones that happened */
};

/* ---- reading ----------------------------------------------------------------------------- */

/* Load all that follow the last known one, in pages, so that each continues where one ended. */
static void load_emitted(struct match *match)
{
    struct stream *stream = match->stream;
    struct presence_events page, *emitted = &match->emitted;
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
        emitted->events =
            reallocarray(emitted->events, emitted->length + page.length, sizeof(*emitted->events));
        memcpy(emitted->events + emitted->length, page.events, page.length * sizeof(*page.events));
        emitted->length += page.length;
        presence_events_free(&page);
    }
    presence_events_free(&page);
}

static int find_site(struct stream *stream, const char *emitted)
{
    for (unsigned i = 0; i < stream->variant->names[PLACE_SITE]; i++)
        if (checks_is_named(stream, (int)i, PLACE_SITE, 0, emitted))
            return (int)i;
    stream_fail(stream, "an event at '%s', which is no site", emitted);
}

/* ---- matching ---------------------------------------------------------------------------- */

static bool is_label(const struct stream *stream, const struct oracle_event *expected,
                     enum place place, const char *emitted)
{
    int name = expected->names[place];

    if (emitted[0] == '\0')
        return name < 0 || expected->may_lack[place];
    return name >= 0 && checks_is_named(stream, 0, place, name, emitted);
}

static bool is_same(const struct stream *stream, const struct oracle_event *expected,
                    const struct presence_event *emitted)
{
    return (int)emitted->kind == (int)expected->kind &&
           checks_is_named(stream, expected->names[PLACE_SITE], PLACE_SITE, 0, emitted->site) &&
           is_label(stream, expected, PLACE_ROOM, emitted->room) &&
           is_label(stream, expected, PLACE_COUNTRY, emitted->country) &&
           is_label(stream, expected, PLACE_SOURCE, emitted->source) &&
           strcmp(emitted->name, expected->kind == ORACLE_CUSTOM ? expected->name : "") == 0;
}

/* Return how many of a site's turns are spent once `count` of the batch's events were emitted. */
static unsigned spent(const struct match *match, int site, size_t count)
{
    const struct feed_log *feed = &match->stream->feed;
    unsigned turns = feed->spent_at == match->stream->tick ? feed->spent[site] : 0;

    for (size_t i = 0; i < count; i++)
        turns += match->sites[i] == site;
    return turns;
}

/* Match one more of the oracle's events, after every way to match those before. */
static void match_one(struct match *match, const struct oracle_event *expected)
{
    const struct stream *stream = match->stream;
    size_t width = match->unsure + 1, size = (match->emitted.length + 1) * width;
    int site = expected->names[PLACE_SITE];

    memset(match->then, 0, size);
    for (size_t at = 0; at < size; at++) {
        size_t emitted = at / width, happened = at + expected->is_unsure;
        if (!match->can_be[at])
            continue;
        if (expected->is_unsure)
            match->then[at] = true; /* it did not happen */
        if (spent(match, site, emitted) >= stream->feed.capacity / 64)
            match->then[happened] = true; /* thinned out */
        else if (emitted < match->emitted.length &&
                 is_same(stream, expected, &match->emitted.events[emitted]))
            match->then[happened + width] = true;
    }
    bool *then = match->can_be;
    match->can_be = match->then;
    match->then = then;
}

static bool can_be_at_all(const struct match *match)
{
    size_t size = (match->emitted.length + 1) * (match->unsure + 1);

    return memchr(match->can_be, true, size) != NULL;
}

static void fail_match(struct match *match, unsigned at)
{
    struct stream *stream = match->stream;
    const struct oracle_event *expected = &stream->oracle.events.events[at];

    for (size_t i = 0; i < match->emitted.length; i++) {
        const struct presence_event *emitted = &match->emitted.events[i];
        print_message(
            "  emitted: kind %d at '%s', room '%s', country '%s', source '%s', name '%s'\n",
            (int)emitted->kind, emitted->site, emitted->room, emitted->country, emitted->source,
            emitted->name);
    }
    stream_fail(stream,
                "of %u events that happened, %zu were emitted; it can't be explained from number "
                "%u on: kind %d, site %d, room %d, country %d, source %d, name '%s'",
                stream->oracle.events.length, match->emitted.length, at, (int)expected->kind,
                expected->names[PLACE_SITE], expected->names[PLACE_ROOM],
                expected->names[PLACE_COUNTRY], expected->names[PLACE_SOURCE],
                expected->kind == ORACLE_CUSTOM ? expected->name : "");
}

/* Check that the events that happened and were not emitted are those counted as thinned. */
static void check_thinned(struct match *match)
{
    struct stream *stream = match->stream;
    uint64_t counted = fixture_counter(stream->fixture, COUNTER_events_thinned);
    uint64_t thinned = counted - stream->feed.thinned;
    uint64_t happened = match->emitted.length + thinned;
    size_t width = match->unsure + 1;

    if (happened < match->sure || happened - match->sure > match->unsure ||
        !match->can_be[match->emitted.length * width + happened - match->sure])
        stream_fail(stream,
                    "of %u events, %u of them unsure, %zu were emitted and %llu thinned out",
                    match->sure + match->unsure, match->unsure, match->emitted.length,
                    (unsigned long long)thinned);
    stream->feed.thinned = counted;
}

static void match_all(struct match *match)
{
    const struct oracle_events *events = &match->stream->oracle.events;

    for (unsigned i = 0; i < events->length; i++)
        match->unsure += events->events[i].is_unsure;
    match->sure = events->length - match->unsure;
    size_t size = (match->emitted.length + 2) * (match->unsure + 2);
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

static void log_emitted(struct match *match)
{
    struct stream *stream = match->stream;
    struct feed_log *feed = &stream->feed;

    if (feed->spent_at != stream->tick)
        memset(feed->spent, 0, sizeof(feed->spent));
    feed->spent_at = stream->tick;
    for (size_t i = 0; i < match->emitted.length; i++) {
        struct feed_entry entry = {FEED_WRITTEN, match->emitted.events[i]};
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
        load_emitted(&match);
        match.sites = calloc(match.emitted.length + 1, sizeof(*match.sites));
        for (size_t i = 0; i < match.emitted.length; i++)
            match.sites[i] = find_site(stream, match.emitted.events[i].site);
        match_all(&match);
        log_emitted(&match);
    }
    oracle_events_clear(&stream->oracle.events);
    presence_events_free(&match.emitted);
    free(match.sites);
    free(match.can_be);
    free(match.then);
}

/* check_feed.c - compare the events of each batch, read at once, with the oracle.
 *
 * The oracle knows what happened; a site may emit its share, which test_event_share.c judges. So
 * the emitted events are known, except for those of which the oracle is not sure: then one of the
 * ways in which it may have been must explain the events that were read and the number that was
 * not.
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
    struct scenario *scenario;
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
    struct scenario *scenario = match->scenario;
    struct presence_events page, *emitted = &match->emitted;
    uint64_t next = scenario->feed.first + scenario->feed.length;

    for (;;) {
        size_t limit =
            random_one_in(&scenario->random, 2) ? 0 : random_between(&scenario->random, 1, 5);
        int r = presence_events(scenario->reader, NULL, next, limit, &page);
        checks_expect_exactly(scenario, NULL, "presence_events returns", (uint64_t)r, 0);
        checks_expect_exactly(scenario, NULL, "missed", page.missed, 0);
        checks_expect_exactly(scenario, NULL, "renewed", page.renewed, false);
        checks_expect_exactly(scenario, NULL, "next", page.next, next + page.length);
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

static int find_site(struct scenario *scenario, const char *emitted)
{
    for (unsigned i = 0; i < scenario->variant->names[PLACE_SITE]; i++)
        if (checks_is_named(scenario, (int)i, PLACE_SITE, 0, emitted))
            return (int)i;
    scenario_fail(scenario, "an event at '%s', which is no site", emitted);
}

/* ---- matching ---------------------------------------------------------------------------- */

static bool is_label(const struct scenario *scenario, const struct oracle_event *expected,
                     enum place place, const char *emitted)
{
    int name = expected->names[place];

    if (emitted[0] == '\0')
        return name < 0 || expected->may_lack[place];
    return name >= 0 && checks_is_named(scenario, 0, place, name, emitted);
}

static bool is_same(const struct scenario *scenario, const struct oracle_event *expected,
                    const struct presence_event *emitted)
{
    return (int)emitted->kind == (int)expected->kind &&
           checks_is_named(scenario, expected->names[PLACE_SITE], PLACE_SITE, 0, emitted->site) &&
           is_label(scenario, expected, PLACE_ROOM, emitted->room) &&
           is_label(scenario, expected, PLACE_COUNTRY, emitted->country) &&
           is_label(scenario, expected, PLACE_SOURCE, emitted->source) &&
           strcmp(emitted->name, expected->kind == ORACLE_CUSTOM ? expected->name : "") == 0;
}

/* Return the share in force once `count` of the batch's events were emitted. */
static uint64_t share_at(const struct match *match, size_t count)
{
    const struct feed_log *feed = &match->scenario->feed;

    return count && feed->first + feed->length + count >= feed->limit ? feed->lowest : feed->share;
}

/* Return how many a site has emitted of its share before this batch, when its first event in the
 * batch follows `count` others. */
static unsigned spent_before(const struct match *match, int site, size_t count)
{
    const struct feed_log *feed = &match->scenario->feed;
    uint64_t age = match->scenario->tick - feed->spent_since[site];

    return age < share_at(match, count) >> 32 ? feed->spent[site] : 0;
}

/* Return what a site has left of its share once `count` of the batch's events were emitted.
 * `is_new`: if it has been retired since the last batch. */
static unsigned left(const struct match *match, int site, size_t count, bool is_new)
{
    size_t first = count;
    unsigned spent = 0, share = (uint32_t)share_at(match, count);

    for (size_t i = count; i-- > 0;)
        if (match->sites[i] == site) {
            first = i;
            spent++;
        }
    if (!is_new)
        spent += spent_before(match, site, first);
    return spent < share ? share - spent : 0;
}

/* True if a site may have been created anew since it began to spend its share: a leave's event
 * comes without a heartbeat, so it may be retired soon afterwards. It has spent nothing then. */
static bool may_be_new(const struct match *match, int site)
{
    const struct scenario *scenario = match->scenario;
    const struct oracle_lives *lives = &oracle_scope(&scenario->oracle, site, PLACE_SITE, 0)->lives;

    return lives->length &&
           lives->lives[lives->length - 1].since > scenario->feed.spent_since[site];
}

/* Match one more of the oracle's events, after every way to match those before. */
static void match_one(struct match *match, const struct oracle_event *expected)
{
    const struct scenario *scenario = match->scenario;
    size_t width = match->unsure + 1, size = (match->emitted.length + 1) * width;
    int site = expected->names[PLACE_SITE];

    memset(match->then, 0, size);
    for (size_t at = 0; at < size; at++) {
        size_t emitted = at / width, happened = at + expected->is_unsure;
        if (!match->can_be[at])
            continue;
        if (expected->is_unsure)
            match->then[at] = true; /* it did not happen */
        bool is_left = left(match, site, emitted, false);
        if (!is_left)
            match->then[happened] = true; /* thinned out */
        if ((is_left || (may_be_new(match, site) && left(match, site, emitted, true))) &&
            emitted < match->emitted.length &&
            is_same(scenario, expected, &match->emitted.events[emitted]))
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
    struct scenario *scenario = match->scenario;
    const struct oracle_event *expected = &scenario->oracle.events.events[at];

    for (size_t i = 0; i < match->emitted.length; i++) {
        const struct presence_event *emitted = &match->emitted.events[i];
        print_message(
            "  emitted: kind %d at '%s', room '%s', country '%s', source '%s', name '%s'\n",
            (int)emitted->kind, emitted->site, emitted->room, emitted->country, emitted->source,
            emitted->name);
    }
    scenario_fail(scenario,
                  "of %u events that happened, %zu were emitted; it can't be explained from number "
                  "%u on: kind %d, site %d, room %d, country %d, source %d, name '%s'",
                  scenario->oracle.events.length, match->emitted.length, at, (int)expected->kind,
                  expected->names[PLACE_SITE], expected->names[PLACE_ROOM],
                  expected->names[PLACE_COUNTRY], expected->names[PLACE_SOURCE],
                  expected->kind == ORACLE_CUSTOM ? expected->name : "");
}

/* Check that the events that happened and were not emitted are those counted as thinned. */
static void check_thinned(struct match *match)
{
    struct scenario *scenario = match->scenario;
    uint64_t counted = fixture_counter(scenario->fixture, COUNTER_events_thinned);
    uint64_t thinned = counted - scenario->feed.thinned;
    uint64_t happened = match->emitted.length + thinned;
    size_t width = match->unsure + 1;

    if (happened < match->sure || happened - match->sure > match->unsure ||
        !match->can_be[match->emitted.length * width + happened - match->sure])
        scenario_fail(scenario,
                      "of %u events, %u of them unsure, %zu were emitted and %llu thinned out",
                      match->sure + match->unsure, match->unsure, match->emitted.length,
                      (unsigned long long)thinned);
    scenario->feed.thinned = counted;
}

static void match_all(struct match *match)
{
    const struct oracle_events *events = &match->scenario->oracle.events;

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

/* Charge a site for an event that follows `count` others of the batch. */
static void spend(const struct match *match, int site, size_t count)
{
    struct feed_log *feed = &match->scenario->feed;
    uint64_t tick = match->scenario->tick, share = share_at(match, count);

    if (feed->spent[site] == 0 || feed->spent[site] >= (uint32_t)share ||
        tick - feed->spent_since[site] >= share >> 32) {
        feed->spent_since[site] = tick;
        feed->spent[site] = 0;
    }
    feed->spent[site]++;
}

static void log_emitted(struct match *match)
{
    struct scenario *scenario = match->scenario;
    struct feed_log *feed = &scenario->feed;

    for (size_t i = 0; i < match->emitted.length; i++)
        spend(match, match->sites[i], i);
    for (size_t i = 0; i < match->emitted.length; i++) {
        struct feed_entry entry = {FEED_WRITTEN, match->emitted.events[i]};
        checks_expect_exactly(scenario, NULL, "sequence", entry.event.sequence,
                              feed->first + feed->length);
        checks_expect_exactly(scenario, NULL, "time of an event", (uint64_t)entry.event.time_us,
                              feed_log_time(feed));
        feed_log_append(feed, &entry);
    }
}

void check_feed(struct scenario *scenario)
{
    struct match match = {.scenario = scenario};

    if (scenario->feed.capacity) {
        load_emitted(&match);
        match.sites = calloc(match.emitted.length + 1, sizeof(*match.sites));
        for (size_t i = 0; i < match.emitted.length; i++)
            match.sites[i] = find_site(scenario, match.emitted.events[i].site);
        match_all(&match);
        log_emitted(&match);
    }
    oracle_events_clear(&scenario->oracle.events);
    presence_events_free(&match.emitted);
    free(match.sites);
    free(match.can_be);
    free(match.then);
}

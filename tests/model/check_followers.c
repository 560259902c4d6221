/* check_followers.c - readers that read events at times and continue where they were: compare what
 * they get, and what they are told they missed, with the log of all that was written. */
#include <errno.h>
#include <string.h>

#include "checks.h"
#include "model_clock.h"

static const struct feed_entry *entry_at(const struct feed_log *feed, uint64_t number)
{
    return &feed->entries[number - feed->first];
}

/* Return the number after the last that readers know of. If a writer was killed right after the
 * last claim, readers don't know of that one until a daemon adopts the ring. */
static uint64_t end_of(const struct scenario *scenario)
{
    const struct feed_log *feed = &scenario->feed;
    struct presence_events none;
    uint64_t end = feed->first + feed->length;
    int r = presence_events(scenario->reader, NULL, PRESENCE_EVENTS_NEW, 0, &none);

    if (r < 0)
        scenario_fail(scenario, "presence_events returns %d", r);
    uint64_t next = none.next;
    presence_events_free(&none);
    bool is_claimed = feed->length && entry_at(feed, end - 1)->state == FEED_CLAIMED;
    if (next != end && !(is_claimed && next == end - 1))
        scenario_fail(scenario, "the next event is %llu, not %llu", (unsigned long long)next,
                      (unsigned long long)end);
    return next;
}

static uint64_t oldest_of(const struct feed_log *feed, uint64_t end)
{
    return end - feed->first > feed->capacity ? end - feed->capacity : feed->first;
}

static bool is_stale(const struct scenario *scenario)
{
    return scenario->is_stopped || fixture_clock(scenario->fixture) - scenario->tick > 3;
}

/* True if its writer may be alive as far as readers can tell. */
static bool is_awaited(const struct scenario *scenario, uint64_t number, uint64_t end)
{
    const struct feed_log *feed = &scenario->feed;

    return !is_stale(scenario) && end - number < feed->capacity &&
           entry_at(feed, number)->state == FEED_CLAIMED;
}

/* The required result of a read. */
struct expectation {
    const struct presence_events *got;
    size_t length;
    uint64_t missed, next;
};

/* Go through all events from a number on, as far as a reader may. */
static void expect_read(struct scenario *scenario, struct expectation *expectation, uint64_t end,
                        int site, size_t limit)
{
    const struct presence_events *got = expectation->got;

    for (; expectation->next < end; expectation->next++) {
        const struct feed_entry *entry = entry_at(&scenario->feed, expectation->next);
        if (limit && expectation->length == limit)
            return;
        if (is_awaited(scenario, expectation->next, end))
            return;
        if (entry->state != FEED_WRITTEN) {
            expectation->missed++;
            continue;
        }
        if (site >= 0 && !checks_is_named(scenario, site, PLACE_SITE, 0, entry->event.site))
            continue;
        if (expectation->length == got->length)
            scenario_fail(scenario, "event %llu was not read",
                          (unsigned long long)entry->event.sequence);
        const struct presence_event *event = &got->events[expectation->length++];
        if (event->sequence != entry->event.sequence || event->time_us != entry->event.time_us ||
            event->kind != entry->event.kind || strcmp(event->site, entry->event.site) != 0 ||
            strcmp(event->room, entry->event.room) != 0 ||
            strcmp(event->country, entry->event.country) != 0 ||
            strcmp(event->source, entry->event.source) != 0 ||
            strcmp(event->name, entry->event.name) != 0)
            scenario_fail(scenario, "event %llu is not what it was, but %llu of kind %d at '%s'",
                          (unsigned long long)entry->event.sequence,
                          (unsigned long long)event->sequence, (int)event->kind, event->site);
    }
}

static void follow(struct scenario *scenario, struct follower *follower)
{
    const struct feed_log *feed = &scenario->feed;
    struct random_source *random = &scenario->random;
    uint64_t end = end_of(scenario), oldest = oldest_of(feed, end), from = follower->next;
    size_t limit = random_one_in(random, 2) ? 0 : random_between(random, 1, 40);
    struct presence_events got;
    char site[256];

    if (follower->site >= 0)
        checks_site_name(scenario, follower->site, site);
    int r = presence_events(scenario->reader, follower->site < 0 ? NULL : site, from, limit, &got);
    checks_expect_exactly(scenario, NULL, "presence_events returns", (uint64_t)r, 0);

    struct expectation expectation = {.got = &got, .next = from};
    bool is_renewed = from != PRESENCE_EVENTS_OLDEST && from != PRESENCE_EVENTS_NEW &&
                      (from < feed->first || from > end);
    if (from == PRESENCE_EVENTS_NEW)
        expectation.next = end;
    if (from == PRESENCE_EVENTS_OLDEST)
        expectation.next = oldest;
    if (is_renewed)
        expectation.next = feed->first;
    if (expectation.next < oldest) {
        expectation.missed = oldest - expectation.next;
        expectation.next = oldest;
    }
    expect_read(scenario, &expectation, end, follower->site, limit);
    checks_expect_exactly(scenario, NULL, "events read", got.length, expectation.length);
    checks_expect_exactly(scenario, NULL, "events missed", got.missed, expectation.missed);
    checks_expect_exactly(scenario, NULL, "read on from", got.next, expectation.next);
    checks_expect_exactly(scenario, NULL, "renewed", got.renewed, is_renewed);
    follower->next = got.next;
    scenario->feed.missed += got.missed;
    presence_events_free(&got);
}

/* Check the first event held at or after a time. */
static void check_since(struct scenario *scenario)
{
    const struct feed_log *feed = &scenario->feed;
    struct random_source *random = &scenario->random;
    uint64_t end = end_of(scenario), oldest = oldest_of(feed, end), expected = oldest, sequence;
    int64_t time_us = (int64_t)model_clock_microseconds() - 1 + random_below(random, 3);

    if (feed->length && !random_one_in(random, 4))
        time_us = feed->entries[random_below(random, (unsigned)feed->length)].event.time_us - 1 +
                  random_below(random, 3);
    int r = presence_events_since(scenario->reader, time_us, &sequence);
    checks_expect_exactly(scenario, NULL, "presence_events_since returns", (uint64_t)r, 0);
    while (expected < end && entry_at(feed, expected)->event.time_us < time_us)
        expected++;
    /* The oldest one's slot may have been claimed again: then it seems later than it is. */
    bool is_claimed = end < feed->first + feed->length && end - oldest == feed->capacity;
    if (!is_claimed || expected != oldest + 1 || sequence != oldest)
        checks_expect_exactly(scenario, NULL, "first event since", sequence, expected);
}

static void check_absence(struct scenario *scenario)
{
    struct presence_events got;
    uint64_t sequence;

    checks_expect_exactly(scenario, NULL, "presence_events returns",
                          (uint64_t)presence_events(scenario->reader, NULL, 0, 0, &got),
                          (uint64_t)-EOPNOTSUPP);
    checks_expect_exactly(scenario, NULL, "presence_events_since returns",
                          (uint64_t)presence_events_since(scenario->reader, 0, &sequence),
                          (uint64_t)-EOPNOTSUPP);
}

void check_followers(struct scenario *scenario)
{
    struct random_source *random = &scenario->random;
    struct feed_log *feed = &scenario->feed;

    if (feed->capacity == 0) {
        check_absence(scenario);
        return;
    }
    for (unsigned i = 0; i < FOLLOWERS; i++)
        if (random_one_in(random, 1 + 10 * i)) /* the later ones are lapped again and again */
            follow(scenario, &feed->followers[i]);
    check_since(scenario);
    if (!random_one_in(random, 50))
        return;
    const uint64_t anywhere[] = {PRESENCE_EVENTS_OLDEST, PRESENCE_EVENTS_NEW, feed->first - 1,
                                 feed->first + feed->length + 5};
    struct follower *follower = &feed->followers[random_below(random, FOLLOWERS)];
    follower->next = anywhere[random_below(random, 4)];
    follower->site = (int)random_below(random, scenario->variant->names[PLACE_SITE] + 1) - 1;
}

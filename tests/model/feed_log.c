#include "feed_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "model_clock.h"

static const struct events *ring_of(const struct fixture *fixture)
{
    return &fixture->collector.file.segment.events;
}

/* Return the number of the first event: the time in microseconds, so that numbers rise from one
 * segment to the next. */
static uint64_t first_of(const struct fixture *fixture)
{
    uint64_t expected = model_clock_microseconds();

    if (ring_of(fixture)->capacity == 0)
        return 1;
    if (ring_of(fixture)->head->first != expected)
        fail_msg("the first event's number is %llu, not %llu",
                 (unsigned long long)ring_of(fixture)->head->first, (unsigned long long)expected);
    return expected;
}

void feed_log_open(struct feed_log *log, struct fixture *fixture, struct random_source *random)
{
    const uint64_t beginnings[] = {
        first_of(fixture),
        1,
        (UINT64_C(1) << 31) - random_below(random, 100),
        (UINT64_C(1) << 32) - random_below(random, 100),
        (UINT64_C(1) << 53) - random_between(random, 1, 100),
    };

    *log = (struct feed_log){
        .capacity = ring_of(fixture)->capacity,
        .first = beginnings[random_below(random, 5)],
    };
    if (log->capacity == 0)
        return;
    events_init(ring_of(fixture), log->first);
    event_share_init(&fixture->collector.event_share, ring_of(fixture), fixture_clock(fixture));
    for (unsigned i = 0; i < FOLLOWERS; i++)
        log->followers[i] = (struct follower){.site = -1, .next = log->first};
}

void feed_log_move(struct feed_log *log, const struct fixture *fixture)
{
    uint32_t before = log->capacity;

    log->capacity = ring_of(fixture)->capacity;
    if (log->capacity > before && log->length > before) {
        size_t gone = log->length - before;
        log->length = before;
        log->first += gone;
        memmove(log->entries, log->entries + gone, before * sizeof(*log->entries));
    }
    if (ring_of(fixture)->head->first != log->first)
        fail_msg("the ring begins with %llu, not %llu",
                 (unsigned long long)ring_of(fixture)->head->first, (unsigned long long)log->first);
}

void feed_log_close(struct feed_log *log)
{
    free(log->entries);
    *log = (struct feed_log){0};
}

void feed_log_begin_batch(struct feed_log *log, const struct fixture *fixture)
{
    const struct event_share *share = &fixture->collector.event_share;

    log->share = share->word;
    log->lowest = share->lowest;
    log->limit = share->limit;
}

void feed_log_append(struct feed_log *log, const struct feed_entry *entry)
{
    if (log->length == log->entries_capacity) {
        log->entries_capacity = log->entries_capacity ? log->entries_capacity * 2 : 256;
        log->entries = realloc(log->entries, log->entries_capacity * sizeof(*log->entries));
    }
    log->entries[log->length] = *entry;
    log->entries[log->length].event.sequence = log->first + log->length;
    log->length++;
    log->written++;
}

uint64_t feed_log_time(const struct feed_log *log)
{
    uint64_t now = model_clock_microseconds();
    uint64_t last = log->length ? (uint64_t)log->entries[log->length - 1].event.time_us : 0;

    return now > last ? now : last + 1;
}

/* Kill one of them: before it advanced `next`, before it began the record, or in the middle of
 * it. */
static void kill_writer(struct feed_log *log, const struct events *ring, uint64_t number,
                        unsigned progress)
{
    struct event_slot *slot = event_slot_at(ring, number);
    struct feed_entry entry = {
        .state = FEED_CLAIMED,
        .event.time_us = (int64_t)feed_log_time(log),
    };

    slot->claim = (uint64_t)entry.event.time_us;
    if (progress > 0)
        ring->head->next = number + 1;
    if (progress > 1)
        slot->state = number * 2 + 1;
    if (progress > 2)
        memset(&slot->record, 0x2a, sizeof(slot->record) / 2);
    feed_log_append(log, &entry);
}

void feed_log_kill(struct feed_log *log, const struct fixture *fixture,
                   struct random_source *random)
{
    const struct events *ring = ring_of(fixture);

    if (log->capacity == 0 || random_one_in(random, 3))
        return;
    unsigned writers = random_between(random, 1, 5);
    for (unsigned i = 0; i < writers;
         i++) /* only the last claim can be one that did not advance `next` */
        kill_writer(log, ring, log->first + log->length,
                    i + 1 < writers ? random_between(random, 1, 3) : random_below(random, 4));
}

void feed_log_adopt(struct feed_log *log)
{
    for (size_t i = log->length; i > 0 && log->entries[i - 1].state == FEED_CLAIMED; i--)
        log->entries[i - 1].state = FEED_HOLE;
}

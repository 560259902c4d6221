/* reader_events.c - copy the ring of events, from a sequence number on. */
#include "reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"

#define EVENTS_AT_FIRST 64

_Static_assert((int)PRESENCE_EVENT_ENTERED == (int)EVENT_ENTERED &&
                   (int)PRESENCE_EVENT_LEFT == (int)EVENT_LEFT &&
                   (int)PRESENCE_EVENT_PAGEVIEW == (int)EVENT_PAGEVIEW &&
                   (int)PRESENCE_EVENT_CUSTOM == (int)EVENT_CUSTOM,
               "the public kinds are the ring's");
_Static_assert(sizeof(((struct presence_event *)0)->name) == EVENT_NAME_MAX + 1, "longest name");

/* The sequence numbers that a ring holds at one instant. */
struct extent {
    uint64_t first;        /* of this segment; older ones belong to a former one */
    uint64_t oldest, next; /* numbers */
};

static struct extent extent_of(const struct events *events)
{
    struct extent extent = {
        .first = atomic_load_relaxed(&events->head->first), /* fixed before the file had a name */
        .next = atomic_load_ordered(&events->head->next),   /* pairs with events_claim */
    };
    uint64_t written = extent.next > extent.first ? extent.next - extent.first : 0;

    extent.oldest = extent.next - (written < events->capacity ? written : events->capacity);
    return extent;
}

/* ---- one event --------------------------------------------------------------------------- */

static bool copy_name(const uint8_t **cursor, uint8_t length, uint32_t longest, char *ret)
{
    const uint8_t *from = *cursor;

    *cursor += length;
    return length <= longest && reader_copy_name(from, length, ret);
}

static bool copy_country(const uint8_t country[2], char ret[3])
{
    ret[0] = (char)country[0];
    ret[1] = (char)country[1];
    ret[2] = '\0';
    return (country[0] == 0 && country[1] == 0) ||
           (utf8_is_within(country[0], 'A', 'Z') && utf8_is_within(country[1], 'A', 'Z'));
}

/* Convert a record to the public form. True if all of it is valid. */
static bool copy_record(const struct event_record *record, uint64_t number,
                        struct presence_event *ret)
{
    const uint8_t *cursor = record->names.bytes;

    ret->sequence = number;
    ret->time_us = (int64_t)record->time_us;
    ret->kind = (enum presence_event_kind)record->kind;
    return record->kind >= EVENT_ENTERED && record->kind <= EVENT_CUSTOM &&
           record->site_length > 0 &&
           copy_name(&cursor, record->site_length, EVENT_SITE_MAX, ret->site) &&
           copy_name(&cursor, record->room_length, EVENT_ROOM_MAX, ret->room) &&
           copy_name(&cursor, record->source_length, EVENT_SOURCE_MAX, ret->source) &&
           copy_name(&cursor, record->name_length, EVENT_NAME_MAX, ret->name) &&
           copy_country(record->country, ret->country);
}

/* ---- many -------------------------------------------------------------------------------- */

static int make_room(struct presence_events *list, size_t *capacity)
{
    if (list->length < *capacity)
        return 0;
    size_t wanted = *capacity ? *capacity * 2 : EVENTS_AT_FIRST;
    struct presence_event *events = reallocarray(list->events, wanted, sizeof(*events));
    if (!events)
        return -ENOMEM;
    list->events = events;
    *capacity = wanted;
    return 0;
}

/* True if the worker that claimed this number may still publish it: it may be held up while others
 * write many events. A daemon that is killed leaves claims that the next one turns into holes. Once
 * the ring has come round, the claim that a reader finds may be that of the next lap. */
static bool is_awaited(const struct presence *presence, const struct reader_moment *moment,
                       uint64_t number)
{
    const struct events *events = &presence->segment.events;

    return !reader_is_stale(moment) &&
           atomic_load_ordered(&events->head->next) - number < events->capacity;
}

/* Choose where to start reading, and record how many events that misses. */
static uint64_t choose_start(const struct extent *extent, uint64_t from,
                             struct presence_events *list)
{
    if (from == PRESENCE_EVENTS_NEW)
        return extent->next;
    if (from == PRESENCE_EVENTS_OLDEST)
        return extent->oldest;
    list->renewed = from < extent->first || from > extent->next;
    if (list->renewed)
        from = extent->first;
    if (from >= extent->oldest)
        return from;
    list->missed = extent->oldest - from;
    return extent->oldest;
}

static int load_events(const struct presence *presence, const struct reader_moment *moment,
                       const struct reader_place *site, size_t limit, struct presence_events *list)
{
    const struct events *events = &presence->segment.events;
    struct extent extent = extent_of(events);
    struct event_record record;
    size_t capacity = 0;

    for (list->next = choose_start(&extent, list->next, list); list->next < extent.next;
         list->next++) {
        if (limit && list->length == limit)
            return 0;
        int r = make_room(list, &capacity);
        if (r < 0)
            return r;
        struct presence_event *event = &list->events[list->length];
        enum event_verdict verdict = events_load(events, list->next, &record);
        if (verdict == EVENT_IN_FLIGHT && is_awaited(presence, moment, list->next))
            return 0;
        if (verdict != EVENT_LOADED || !copy_record(&record, list->next, event))
            list->missed++;
        else if (!site || (record.site_length == site->site.length &&
                           memcmp(event->site, site->site.bytes, site->site.length) == 0))
            list->length++;
    }
    return 0;
}

int presence_events(struct presence *presence, const char *site, uint64_t from_sequence,
                    size_t limit, struct presence_events *ret)
{
    struct presence_events list = {.next = from_sequence};
    struct reader_place place;
    int r = site ? reader_parse_place(PRESENCE_SITE, site, NULL, &place) : 0;

    if (r < 0)
        return r;
    struct reader_moment moment = reader_current_moment(presence);
    if (presence->segment.events.capacity == 0)
        return -EOPNOTSUPP;
    r = load_events(presence, &moment, site ? &place : NULL, limit, &list);
    if (r < 0)
        presence_events_free(&list);
    else
        *ret = list;
    return r;
}

void presence_events_free(struct presence_events *events)
{
    free(events->events);
    *events = (struct presence_events){0};
}

int presence_events_since(struct presence *presence, int64_t time_us, uint64_t *ret_sequence)
{
    reader_current_moment(presence); /* reopens a replaced segment */
    const struct events *events = &presence->segment.events;

    if (events->capacity == 0)
        return -EOPNOTSUPP;
    struct extent extent = extent_of(events);
    uint64_t wanted = time_us > 0 ? (uint64_t)time_us : 0;
    uint64_t low = extent.oldest, high = extent.next;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        /* Times rise with numbers. An event overwritten meanwhile has a later time, which keeps the
         * order. */
        uint64_t claim = atomic_load_ordered(&event_slot_at(events, middle)->claim);
        if (event_claim_time(claim) < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    extent = extent_of(events);
    *ret_sequence = low > extent.oldest ? low : extent.oldest;
    return 0;
}

/* event_fixture.h - the events of a collector's segment. */
#ifndef PRESENCE_TESTS_EVENT_FIXTURE_H
#define PRESENCE_TESTS_EVENT_FIXTURE_H

#include "collector_fixture.h"

static inline uint64_t next_event(struct fixture *fixture)
{
    return segment_of(fixture)->events.head->next;
}

/* Load the event of a number, which must exist; bytes that a reader does not copy are 0xaa. */
static inline struct event_record load_event(struct fixture *fixture, uint64_t number)
{
    struct event_record record;

    memset(&record, 0xaa, sizeof(record));
    assert_int_equal(events_load(&segment_of(fixture)->events, number, &record), EVENT_LOADED);
    return record;
}

static inline void expect_names(const struct event_record *record, const char *site,
                                const char *room, const char *source, const char *name)
{
    char expected[1024];

    snprintf(expected, sizeof(expected), "%s%s%s%s", site, room, source, name);
    assert_int_equal(record->site_length, strlen(site));
    assert_int_equal(record->room_length, strlen(room));
    assert_int_equal(record->source_length, strlen(source));
    assert_int_equal(record->name_length, strlen(name));
    assert_memory_equal(record->names.bytes, expected, strlen(expected));
}

#endif

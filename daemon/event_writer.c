#include "event_writer.h"

#include <string.h>
#include <time.h>

static uint64_t unix_microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Append a scope's name and return its length. The record has room for the wire's longest names. */
static uint8_t append_name(const struct directory *directory, uint32_t scope, uint8_t **cursor)
{
    if (scope == SCOPE_NONE)
        return 0;
    const struct scope_entry *entry = &directory->entries[scope];
    memcpy(*cursor, entry->name, entry->name_length);
    *cursor += entry->name_length;
    return entry->name_length;
}

static void write_event(const struct segment *segment, enum event_kind kind,
                        const struct event_place *place)
{
    const struct directory *directory = &segment->directory;
    uint32_t country = place->scopes[SCOPE_COUNTRY];
    struct event_record record = {.kind = (uint8_t)kind}; /* zeros: no byte of the stack leaks */
    uint8_t *cursor = record.names.bytes;

    record.site_length = append_name(directory, place->scopes[SCOPE_SITE], &cursor);
    record.room_length = append_name(directory, place->scopes[SCOPE_ROOM], &cursor);
    record.source_length = append_name(directory, place->scopes[SCOPE_SOURCE], &cursor);
    record.name_length = kind == EVENT_CUSTOM ? place->name_length : 0;
    memcpy(cursor, place->name, record.name_length);
    if (country != SCOPE_NONE)
        memcpy(record.country, directory->entries[country].name, sizeof(record.country));
    /* If this leaves a hole, readers count the event as missed. */
    events_write(&segment->events, unix_microseconds(), &record);
}

bool event_writer_emit(const struct segment *segment, struct event_share *share,
                       enum event_kind kind, const struct event_place *place, uint64_t now)
{
    struct activity *site = &segment->directory.activities[place->scopes[SCOPE_SITE]];

    /* Check this first: in a burst, most events cost no more. */
    if (!event_share_spend(share, &site->events_spent, now))
        return false;
    write_event(segment, kind, place);
    event_share_brake(share);
    return true;
}

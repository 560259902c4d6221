#include "feed.h"

#include <string.h>
#include <time.h>

/* Take one of the events that a site may write in this tick. */
static bool take_turn(uint64_t *spent, uint64_t now, uint32_t rate)
{
    uint64_t word = atomic_load_relaxed(spent), desired;

    do {
        bool is_this_tick = (uint32_t)(word >> 32) == (uint32_t)now;
        uint32_t used = is_this_tick ? (uint32_t)word : 0;
        if (used >= rate)
            return false;
        desired = (uint64_t)(uint32_t)now << 32 | (used + 1);
    } while (!atomic_swap_if(spent, &word, desired)); /* with other workers' turns */
    return true;
}

static uint64_t unix_microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Append a scope's name. Names of the wire are no longer than the record has room for. */
static uint8_t append_name(const struct directory *directory, uint32_t scope, uint8_t **cursor)
{
    if (scope == SCOPE_NONE)
        return 0;
    const struct scope_entry *entry = &directory->entries[scope];
    memcpy(*cursor, entry->name, entry->name_length);
    *cursor += entry->name_length;
    return entry->name_length;
}

/* A hole, too, is told of: readers count it as missed. */
static void write_event(const struct segment *segment, enum event_kind kind,
                        const struct feed_place *place)
{
    const struct directory *directory = &segment->directory;
    uint32_t country = place->scopes[SCOPE_COUNTRY];
    struct event_record record = {.kind = (uint8_t)kind}; /* no byte of the stack gets out */
    uint8_t *cursor = record.names.bytes;

    record.site_length = append_name(directory, place->scopes[SCOPE_SITE], &cursor);
    record.room_length = append_name(directory, place->scopes[SCOPE_ROOM], &cursor);
    record.source_length = append_name(directory, place->scopes[SCOPE_SOURCE], &cursor);
    record.name_length = kind == EVENT_CUSTOM ? place->name_length : 0;
    memcpy(cursor, place->name, record.name_length);
    if (country != SCOPE_NONE)
        memcpy(record.country, directory->entries[country].name, sizeof(record.country));
    events_write(&segment->events, unix_microseconds(), &record);
}

bool feed_write(const struct segment *segment, enum event_kind kind, const struct feed_place *place,
                uint64_t now)
{
    const struct directory *directory = &segment->directory;

    /* Before anything else: when many arrive at once, this is all that most of them cost. */
    if (!take_turn(&directory->activities[place->scopes[SCOPE_SITE]].events_spent, now,
                   events_site_rate(segment->events.capacity)))
        return false;
    write_event(segment, kind, place);
    return true;
}

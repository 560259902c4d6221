/* lying_directory.h - fill the directory of a segment as a hostile writer might. */
#ifndef PRESENCE_TESTS_LYING_DIRECTORY_H
#define PRESENCE_TESTS_LYING_DIRECTORY_H

#include "reader_fixture.h"

/* Overwrite all entries at random; most of what they say is nearly right. */
static inline void lie(struct fixture *fixture, uint64_t *seed)
{
    const struct directory *directory = &fixture_segment(fixture)->directory;
    uint8_t *bytes = (uint8_t *)directory->entries;

    for (size_t i = 0; i < directory->capacity * sizeof(struct scope_entry); i++)
        bytes[i] = (uint8_t)random_next(seed);
    for (uint32_t i = 0; i < directory->capacity; i++) {
        struct scope_entry *entry = &directory->entries[i];
        entry->state %= 16;
        entry->kind %= 6;
        if (random_next(seed) % 2)
            entry->site %= directory->capacity;
        if (random_next(seed) % 2)
            entry->last_heartbeat = fixture_segment(fixture)->header->tick;
        if (random_next(seed) % 2)
            memset(entry->name, 'a', sizeof(entry->name));
        directory->rings[i].seconds[entry->last_heartbeat % RING_SECONDS] =
            entry->last_heartbeat << 32 | random_next(seed) % 4;
    }
}

static inline void stop_lying(struct fixture *fixture)
{
    const struct directory *directory = &fixture_segment(fixture)->directory;

    memset(directory->entries, 0, directory->capacity * sizeof(struct scope_entry));
}

#endif

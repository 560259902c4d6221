/* directory_fixture.h - a directory in memory and its writer, which tests can kill and reopen. */
#ifndef PRESENCE_TESTS_DIRECTORY_FIXTURE_H
#define PRESENCE_TESTS_DIRECTORY_FIXTURE_H

#include "../support/buckets.h"
#include "../support/memory_segment.h"

#include <unistd.h>

#include "directory.h"

struct fixture {
    struct segment segment;
    struct directory_writer writer;
    unsigned graces;                            /* grace periods so far */
    void (*meanwhile)(struct fixture *fixture); /* called in each, as a worker */
};

static inline void open_directory(struct fixture *fixture, uint32_t capacity, uint32_t max_window)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->segment = memory_segment_open(1000, capacity, max_window);
    assert_int_equal(directory_open(&fixture->segment, &fixture->writer), 0);
    alarm(120); /* in case of an endless chain */
}

static inline void close_directory(struct fixture *fixture)
{
    alarm(0);
    directory_close(&fixture->writer);
    memory_segment_close(&fixture->segment);
}

/* Reopen it, as the next daemon does. */
static inline void reopen_directory(struct fixture *fixture)
{
    directory_close(&fixture->writer);
    assert_int_equal(directory_open(&fixture->segment, &fixture->writer), 0);
}

static inline struct scope_entry *entry_of(struct fixture *fixture, uint32_t index)
{
    return &fixture->segment.directory.entries[index];
}

static inline uint64_t counted(const struct fixture *fixture, enum counter counter)
{
    return fixture->segment.counters[SEGMENT_WORKERS_MAX].values[counter];
}

static inline struct scope_name name_site(struct fixture *fixture, const char *site)
{
    return scope_name_site(fixture->segment.header->secret, (const uint8_t *)site,
                           (uint32_t)strlen(site));
}

static inline struct scope_name name_label(struct fixture *fixture, const char *site,
                                           uint32_t site_index, enum scope_kind kind,
                                           const char *label)
{
    struct scope_name name = name_site(fixture, site);

    return scope_name_label(&name, site_index, kind, (const uint8_t *)label,
                            (uint32_t)strlen(label));
}

/* Find or create a scope; at tick 0 only find it. */
static inline uint32_t hold_site(struct fixture *fixture, const char *site, uint64_t now)
{
    struct scope_name name = name_site(fixture, site);

    return directory_hold(&fixture->writer, &name, now ? &now : NULL);
}

static inline uint32_t hold_label(struct fixture *fixture, const char *site, uint32_t site_index,
                                  enum scope_kind kind, const char *label, uint64_t now)
{
    struct scope_name name = name_label(fixture, site, site_index, kind, label);

    return directory_hold(&fixture->writer, &name, now ? &now : NULL);
}

static inline void pass_boundary(void *context)
{
    struct fixture *fixture = context;

    fixture->graces++;
    if (fixture->meanwhile)
        fixture->meanwhile(fixture);
}

static inline uint32_t retire_all(struct fixture *fixture, uint64_t now)
{
    return directory_retire(&fixture->writer, now, 0, fixture->segment.directory.capacity,
                            pass_boundary, fixture);
}

static inline enum scope_state state_of(struct fixture *fixture, uint32_t index)
{
    return scope_state_of(entry_of(fixture, index)->state);
}

/* Check that chains hold exactly the LIVE entries, once each, and that all others are free. */
static inline void expect_sound(struct fixture *fixture)
{
    const struct directory *directory = &fixture->segment.directory;
    uint32_t *links = calloc(directory->capacity, sizeof(*links)), live = 0;

    assert_non_null(links);
    for (uint32_t head = 0; head <= directory->head_mask; head++) {
        for (uint32_t link = directory->heads[head]; link;
             link = directory->entries[link - 1].next) {
            assert_in_range(link, 1, directory->capacity);
            if (links[link - 1]++)
                fail_msg("entry %u stands in the chains twice", link - 1);
            assert_int_equal((uint32_t)directory->entries[link - 1].hash & directory->head_mask,
                             head);
        }
    }
    for (uint32_t i = 0; i < directory->capacity; i++) {
        bool is_live = scope_state_of(directory->entries[i].state) == SCOPE_LIVE;
        live += is_live;
        if (is_live && i >= directory_used(&fixture->writer))
            fail_msg("entry %u is in use, of %u", i, directory_used(&fixture->writer));
        if (is_live != links[i])
            fail_msg("entry %u is in state %d and %s a chain", i,
                     (int)scope_state_of(directory->entries[i].state), links[i] ? "in" : "not in");
    }
    assert_int_equal(fixture->writer.free_count, directory->capacity - live);
    free(links);
}

#endif

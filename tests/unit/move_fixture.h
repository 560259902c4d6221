/* move_fixture.h - restart a collector with other settings, and check its segment. */
#ifndef PRESENCE_TESTS_MOVE_FIXTURE_H
#define PRESENCE_TESTS_MOVE_FIXTURE_H

#include "ingest_fixture.h"

#include "segment_move.h"

#define SITES 2
#define ROOMS 4 /* of a site; number 0 is the site itself */

static const struct segment_settings base = {
    .max_entries = 1000,
    .max_scopes = 16,
    .max_window = 600,
    .warm_up = 90,
    .max_histories = 4,
    .max_events = 128,
    .max_streams = 8,
};

static inline int open_moved(void **state)
{
    open_fixture(state);
    ((struct fixture *)*state)->settings = base;
    return 0;
}

static inline const char *site_name(unsigned site)
{
    return site ? "b.example" : "a.example";
}

static inline const char *room_name(unsigned room)
{
    static const char *const names[ROOMS] = {NULL, "/", "/r", "/s"};

    return names[room];
}

static inline uint32_t scope_at(struct fixture *fixture, unsigned site, unsigned room)
{
    return find_scope(fixture, site_name(site), room ? SCOPE_ROOM : SCOPE_SITE, room_name(room));
}

/* Check that for each tick that a window counts, the rings sum up to the number of words. */
static inline void expect_verified(struct fixture *fixture)
{
    const struct segment *segment = segment_of(fixture);
    const struct directory *directory = &segment->directory;
    uint64_t tick = header_of(fixture)->tick, window = window_rounded(segment->max_window);
    static int64_t seconds[RING_SECONDS], minutes[RING_MINUTES];

    memset(seconds, 0, sizeof(seconds));
    memset(minutes, 0, sizeof(minutes));
    for (uint64_t i = 0; i < segment->table.pairs * TABLE_PAIR_WORDS; i++) {
        uint64_t age = table_age(segment->table.words[i], tick);
        if (!segment->table.words[i])
            continue;
        if (age < WINDOW_FINE_MAX && age < window)
            seconds[age]++;
        if (tick / 60 - (tick - age) / 60 < window / 60)
            minutes[tick / 60 - (tick - age) / 60]++;
    }
    for (uint32_t i = 0; i < directory->capacity; i++) {
        const struct ring *ring = &directory->rings[i];
        if (scope_state_of(directory->entries[i].state) == SCOPE_FREE)
            continue;
        for (uint64_t age = 0; age < WINDOW_FINE_MAX && age < window; age++)
            seconds[age] -= ring_bucket_count(&ring->seconds[(tick - age) % RING_SECONDS],
                                              (uint32_t)(tick - age));
        for (uint64_t age = 0; age < window / 60; age++)
            minutes[age] -= ring_bucket_count(&ring->minutes[(tick / 60 - age) % RING_MINUTES],
                                              (uint32_t)(tick / 60 - age));
    }
    for (unsigned i = 0; i < RING_SECONDS; i++)
        if (seconds[i])
            fail_msg("%lld words more than buckets of %u s ago", (long long)seconds[i], i);
    for (unsigned i = 0; i < RING_MINUTES; i++)
        if (minutes[i] && window > WINDOW_FINE_MAX)
            fail_msg("%lld words more than buckets of %u min ago", (long long)minutes[i], i);
}

static inline void expect_account(struct fixture *fixture, const char *part)
{
    const struct segment_file *file = &fixture->collector.file;

    if (file->origin != SEGMENT_RENEWED || !strstr(file->account, part))
        fail_msg("origin %d, \"%s\", not \"%s\"", (int)file->origin, file->account, part);
}

static inline uint64_t peak_of(struct fixture *fixture, unsigned site)
{
    uint32_t scope = scope_at(fixture, site, 0);

    if (scope == SCOPE_NONE)
        return 0;
    uint32_t index = history_pool_find(&fixture->collector.histories, scope);
    return index == SCOPE_NONE ? segment_of(fixture)->directory.activities[scope].peak_ever
                               : segment_of(fixture)->histories.heads[index].peak_ever;
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_moved, close_fixture)

#endif

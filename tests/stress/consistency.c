#include "consistency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/ring_sum.h"

uint64_t consistency_word(const struct segment *segment, uint32_t scope, unsigned visitor)
{
    uint8_t id[16];
    uint64_t found = 0;

    if (scope == SCOPE_NONE)
        return 0;
    fixture_visitor(visitor, id);
    struct hash128 hash = hash_visitor(&segment->directory.entries[scope].key, id);
    struct table_key key = table_key(hash, segment->table.pairs);
    for (int p = 0; p < 2; p++) {
        for (int i = 0; i < TABLE_PAIR_WORDS; i++) {
            uint64_t word = table_pair(&segment->table, key.pair[p])[i];
            if ((word & ~TABLE_TICK_MASK) != key.fingerprint)
                continue;
            if (found)
                fail_msg("visitor %u is twice in the table", visitor);
            found = word;
        }
    }
    return found;
}

static bool counts_in(uint64_t word, uint64_t now, uint32_t window)
{
    uint64_t last = now - ((now - word) & 0xfffff);

    if (!word)
        return false;
    return window <= 480 ? now - last < window : now / 60 - last / 60 < (window + 59) / 60;
}

uint64_t consistency_check_scope(const struct fixture *fixture, const char *site, const char *room,
                                 unsigned visitors)
{
    const uint32_t windows[] = {1, 2, 3, 10, 59, 60, 100, 200, 300, 480, 481, 540, 1800, 3600};
    const struct segment *segment = &fixture->collector.file.segment;
    uint64_t state, now = collector_tick(&fixture->collector), words = 0;
    uint32_t scope = fixture_scope(segment, site, room, &state);
    unsigned expected[sizeof(windows) / sizeof(windows[0])] = {0};

    if (scope == SCOPE_NONE)
        return 0;
    for (unsigned visitor = 0; visitor < visitors; visitor++) {
        uint64_t word = consistency_word(segment, scope, visitor);
        words += word != 0;
        for (unsigned i = 0; i < sizeof(windows) / sizeof(windows[0]); i++)
            expected[i] += counts_in(word, now, windows[i]);
    }
    for (unsigned i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
        int64_t count = ring_count(&segment->directory.rings[scope], now, windows[i]);
        if (count != expected[i])
            fail_msg("%s %s, window %u: counted %lld, the table holds %u", site, room ? room : "",
                     windows[i], (long long)count, expected[i]);
    }
    return words;
}

void consistency_check_histogram(const struct segment *segment, uint64_t now, unsigned window)
{
    static int64_t words[480];

    memset(words, 0, sizeof(words));
    for (uint64_t i = 0; i < segment->table.pairs * TABLE_PAIR_WORDS; i++) {
        uint64_t age = (now - segment->table.words[i]) & 0xfffff;
        if (segment->table.words[i] && age < window)
            words[age]++;
    }
    for (uint64_t age = 0; age < window; age++) {
        uint64_t tick = now - age;
        int64_t counted = 0;
        for (uint32_t i = 0; i < segment->directory.capacity; i++) {
            uint64_t bucket = segment->directory.rings[i].seconds[tick % 512];
            if (scope_state_of(segment->directory.entries[i].state) != SCOPE_FREE &&
                bucket >> 32 == (tick & 0xffffffff))
                counted += (int32_t)(uint32_t)bucket;
        }
        if (counted != words[age])
            fail_msg("tick %llu of %llu: %lld in rings, %lld in the table",
                     (unsigned long long)tick, (unsigned long long)now, (long long)counted,
                     (long long)words[age]);
    }
}

void consistency_check_entries(const struct segment *segment)
{
    uint64_t words = 0, counted = 0;

    for (uint64_t i = 0; i < segment->table.pairs * TABLE_PAIR_WORDS; i++)
        words += segment->table.words[i] != 0;
    for (unsigned i = 0; i < SEGMENT_COUNTER_BLOCKS; i++)
        counted += segment->counters[i].values[COUNTER_entries_taken] -
                   segment->counters[i].values[COUNTER_entries_freed];
    if (counted != words)
        fail_msg("%lld entries are counted, the table holds %llu", (long long)counted,
                 (unsigned long long)words);
}

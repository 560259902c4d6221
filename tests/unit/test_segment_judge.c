/* test_segment_judge.c - segment_judge.h: a segment that no daemon can have left is replaced, and
 * the account names the fault; one that a killed daemon left is attached. Random damage does no
 * harm, whether it is found or not. */
#include "ingest_fixture.h"

#include "segment_judge.h"

#define CAPACITY 8

static int open_judged(void **state)
{
    open_fixture(state);
    struct fixture *fixture = *state;
    fixture->settings = (struct segment_settings){.max_entries = 100,
                                                  .max_scopes = CAPACITY,
                                                  .max_window = 3600,
                                                  .warm_up = 90,
                                                  .max_histories = 3,
                                                  .max_events = 64,
                                                  .max_streams = 3};
    return 0;
}

/* Count some minutes of a site with two labels and of another site; then the daemon is killed. */
static void leave_segment(struct fixture *fixture)
{
    fixture->clock = START;
    start_ingest(fixture);
    for (unsigned i = 0; i < 30; i++) {
        take_sequence(fixture, 1 + i % 2, i);
        batch(fixture, {"a.example", "/r", "DE", .visitor = i, .count = 3},
              {"b.example", .visitor = 100, .kind = WIRE_PAGEVIEW});
        fixture->clock += 7;
        collector_maintain(&fixture->collector);
    }
    batch(fixture, {"a.example", "/r", .kind = WIRE_LEAVE, .visitor = 31});
    ingest_close(fixture->ingests[0]);
    kill_collector(fixture);
}

static void unmap_left(struct segment *segment)
{
    munmap(segment->header, segment->size);
}

/* ---- each slot ---------------------------------------------------------------------------- */

/* A word of any kind that a daemon leaves: none, one that no bucket counts, one that one does. */
static uint64_t draw_sound_word(uint64_t tick, uint64_t *random)
{
    const uint64_t ages[] = {0, 1, 3600, 3752, (1 << 18) - 1};
    uint64_t draw = random_next(random), high = draw & ~TABLE_TICK_MASK;
    uint64_t old = (tick - ages[draw % LENGTH(ages)]) & TABLE_TICK_MASK;

    switch (draw / 8 % 4) {
    case 0:
        return 0;
    case 1: /* half of it is zero: the tick in the lower one, or none */
        return draw & 64 ? UINT64_C(1) << TABLE_TICK_BITS | old : high & ~(uint64_t)UINT32_MAX;
    default:
        return (high ? high : UINT64_C(1) << 63) | old;
    }
}

/* A tick ahead or of days ago is found in any slot, at any place in a vector; words are counted. */
static void every_slot_is_judged(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = random_seed("slots"), entries = 0, expected = 0;
    struct segment_fault fault;

    fixture->settings.max_entries = 3000; /* some blocks, and some pairs more */
    leave_segment(fixture);
    struct segment segment = map_left(fixture);
    uint64_t *words = segment.table.words, slots = segment.table.pairs * TABLE_PAIR_WORDS;
    const uint64_t tick = segment.header->tick = (segment.header->tick | TABLE_TICK_MASK) + 1000;
    for (uint64_t i = 0; i < slots; i++) {
        words[i] = draw_sound_word(tick, &random);
        expected += words[i] != 0;
    }
    assert_true(segment_is_sound(&segment, tick, &entries, &fault));
    assert_int_equal(entries, expected);
    for (uint64_t i = 0; i < slots; i++) {
        uint64_t word = words[i], wrong = i % 3 ? tick + 1 + i : tick - (1 << 18) - i;
        words[i] = (uint64_t)(i % 2) << 63 | (wrong & TABLE_TICK_MASK);
        assert_false(segment_is_sound(&segment, tick, &entries, &fault));
        assert_int_equal(fault.index, i);
        words[i] = word;
    }
    assert_int_equal(entries, expected);
    unmap_left(&segment);
}

static void expect_counted(const struct segment *segment, uint64_t words)
{
    const struct table *table = &segment->table;
    uint64_t counted = 0, there = 0;

    for (unsigned i = 0; i < SEGMENT_COUNTER_BLOCKS; i++)
        counted += segment->counters[i].values[COUNTER_entries_taken] -
                   segment->counters[i].values[COUNTER_entries_freed];
    for (uint64_t i = 0; i < table->pairs * TABLE_PAIR_WORDS; i++)
        there += table->words[i] != 0;
    assert_int_equal(counted, words);
    assert_int_equal(there, words);
}

/* Words that a killed daemon had not counted are, and the table is swept only when the next one
 * listens. */
static void words_are_counted_before_they_are_swept(void **state)
{
    struct fixture *fixture = *state;

    leave_segment(fixture);
    struct segment segment = map_left(fixture);
    for (unsigned i = 0; i < 16; i++)
        segment.table.words[i] =
            table_word(UINT64_C(3) << 40, segment.header->tick - 4000 * (i % 2));
    uint64_t others = 0;
    for (uint64_t i = 16; i < segment.table.pairs * TABLE_PAIR_WORDS; i++)
        others += segment.table.words[i] != 0;
    start_ingest(fixture);
    expect_counted(&segment, others + 16);
    collector_maintain(&fixture->collector);
    expect_counted(&segment, others + 8);
    stop_ingest(fixture);
    unmap_left(&segment);
}

/* ---- one fault ---------------------------------------------------------------------------- */

enum { A, ROOM, COUNTRY, B }; /* indexes of leave_segment's scopes */

static uint32_t scope_of(struct segment *segment, unsigned which)
{
    const struct scope_entry *entries = segment->directory.entries;

    for (uint32_t i = 0; i < CAPACITY; i++) {
        if (scope_state_of(entries[i].state) == SCOPE_FREE)
            continue;
        unsigned is = entries[i].kind == SCOPE_ROOM      ? ROOM
                      : entries[i].kind == SCOPE_COUNTRY ? COUNTRY
                      : entries[i].name[0] == 'a'        ? A
                                                         : B;
        if (is == which)
            return i;
    }
    fail_msg("a scope is missing");
    return 0;
}

#define ENTRY(which)    (segment->directory.entries[scope_of(segment, which)])
#define ACTIVITY(which) (segment->directory.activities[scope_of(segment, which)])
#define RING(which)     (segment->directory.rings[scope_of(segment, which)])
#define HISTORY         (segment->histories.heads[0])
#define FIRST_EVENT     event_slot_at(&segment->events, segment->events.head->first)
#define TICK            (segment->header->tick)

static struct history_minute *any_minute(struct segment *segment)
{
    return history_minute_at(&segment->histories, 0, TICK / 60 - 1);
}

static uint64_t *any_word(struct segment *segment)
{
    uint64_t *word = segment->table.words;

    while (!*word)
        word++;
    return word;
}

/* Each damage, and the fault that the account names. */
#define DAMAGES(X)                                                                                 \
    X("header 0: invalid state", segment->header->state = 9)                                       \
    X("header 0: too many workers", segment->header->workers = 65)                                 \
    X("header 0: listening since", segment->header->listening_since = TICK + 1000000)              \
    X("header 0: sampled at", segment->header->sampled = TICK + 1)                                 \
    X("header 0: invalid day", segment->header->day = INT64_MIN)                                   \
    X("header 0: invalid day", segment->header->day = INT64_MAX / 86400)                           \
    X("header 0: refusal", segment->header->site_refused = (uint32_t)TICK + 90000)                 \
    X("header 0: refusal", segment->header->site_entry_refused = (uint32_t)TICK + 90000)           \
    X("header 0: unterminated text", memset(segment->header->receive, 'x', 16))                    \
    X("header 0: unterminated text", memset(segment->header->filter_reason, 'x', 96))              \
    X("header 0: unterminated text", memset(segment->header->listen_missing, 'x', 96))             \
    X("header 0: unterminated text", memset(segment->header->keys_refused, 'x', 124))              \
    X("counter block 0: ", segment->counters[0].values[3] = UINT64_C(1) << 63)                     \
    X("counter block 64: ", segment->counters[64].values[0] = UINT64_MAX / 2)                      \
    X("slot ", *any_word(segment) += 5000)                                                         \
    X("chain ", segment->directory.heads[3] = CAPACITY + 1)                                        \
    X("chain ", segment->directory.heads[3] = UINT32_MAX)                                          \
    X("chain ", ENTRY(A).next = scope_of(segment, A) + 1)                                          \
    X("chain ", ENTRY(B).next = UINT32_MAX)                                                        \
    X("another chain",                                                                             \
      segment->directory.heads[(ENTRY(A).hash + 1) % (segment->directory.head_mask + 1)] =         \
          scope_of(segment, A) + 1)                                                                \
    X("invalid state", ENTRY(A).state |= 3)                                                        \
    X("names another entry", ENTRY(A).site = 1 + (scope_of(segment, A)) % CAPACITY)                \
    X("names another entry", ENTRY(B).site = UINT32_MAX)                                           \
    X("names another entry", ENTRY(B).site = scope_of(segment, ROOM))                              \
    X("site out of range", ENTRY(ROOM).site = UINT32_MAX)                                          \
    X("site out of range", ENTRY(ROOM).site = CAPACITY)                                            \
    X("invalid site", ENTRY(ROOM).site = scope_of(segment, COUNTRY))                               \
    X("invalid site", ENTRY(ROOM).site = scope_of(segment, ROOM))                                  \
    X("invalid site", ENTRY(ROOM).site = CAPACITY - 1)               /* free */                    \
    X("invalid site", ENTRY(A).state &= ~(uint64_t)SCOPE_STATE_MASK) /* free, and it has a room */ \
    X("hash or key", ENTRY(ROOM).site = scope_of(segment, B))                                      \
    X("hash or key", ENTRY(B).key.words[5] ^= 1)                                                   \
    X("hash or key", ENTRY(ROOM).name[1] = 'q')                                                    \
    X("kind", ENTRY(B).kind = 200)                                                                 \
    X("kind", ENTRY(B).kind = SCOPE_KINDS)                                                         \
    X("invalid name", ENTRY(B).name_length = 0)                                                    \
    X("invalid name", ENTRY(B).name_length = 255)                                                  \
    X("invalid name", ENTRY(B).name[0] = 'B')                                                      \
    X("invalid name", ENTRY(B).name[0] = 0xff)                                                     \
    X("invalid name", ENTRY(ROOM).name[0] = '\n')                                                  \
    X("invalid name", ENTRY(COUNTRY).name[1] = 'e')                                                \
    X("heartbeat at a future tick", ENTRY(B).last_heartbeat = UINT64_MAX)                          \
    X("heartbeat at a future tick", ENTRY(B).last_heartbeat = TICK + 1000000)                      \
    X("heartbeat at a future tick", ACTIVITY(B).since = UINT64_MAX)                                \
    X("refusal at a future tick", ENTRY(A).scopes_refused[1] = (uint32_t)TICK + 90000)             \
    X("refusal at a future tick", ENTRY(A).entries_refused[3] = (uint32_t)TICK + 90000)            \
    X("peak at a future tick", ACTIVITY(COUNTRY).peak_ever = peak_word(7, TICK + 90000))           \
    X("peak at a future tick", ACTIVITY(COUNTRY).peak_today = peak_word(0, TICK + 9))              \
    X("total out of range", ACTIVITY(B).heartbeats = UINT64_C(1) << 60)                            \
    X("total out of range", ACTIVITY(B).entries = UINT64_C(1) << 63)                               \
    X("ahead of the segment's tick",                                                               \
      RING(A).seconds[(TICK + 512) % 512] = (uint64_t)(uint32_t)(TICK + 512) << 32 | 1)            \
    X("ahead of the segment's tick",                                                               \
      RING(A).minutes[TICK / 60 % 64] = (uint64_t)(uint32_t)(TICK / 60 + 64) << 32 | 1)            \
    X("misplaced bucket", RING(A).seconds[TICK % 512] = (uint64_t)(uint32_t)(TICK - 1) << 32 | 1)  \
    X("count out of range",                                                                        \
      RING(A).seconds[(TICK - 9) % 512] = (uint64_t)(uint32_t)(TICK - 9) << 32 | 0x7fffffff)       \
    X("count out of range",                                                                        \
      RING(A).seconds[(TICK - 9) % 512] = (uint64_t)(uint32_t)(TICK - 9) << 32 | 0x80000000)       \
    X("impossible count", ring_add(&RING(A), TICK - 2, 250))                                       \
    X("impossible count", ring_add(&RING(A), TICK - 2, -250))                                      \
    X("history 0: invalid name", HISTORY.kind = 200)                                               \
    X("history 0: invalid name", HISTORY.site_length = 255)                                        \
    X("history 0: invalid name", HISTORY.name_length = 255)                                        \
    X("history 0: invalid name", HISTORY.hash ^= 1)                                                \
    X("history 0: invalid name", HISTORY.site[2] = 0x80)                                           \
    X("history 0: scope out of", HISTORY.scope = CAPACITY)                                         \
    X("history 0: scope out of", HISTORY.scope = UINT32_MAX - 1)                                   \
    X("history 0: version", HISTORY.version = UINT64_MAX - 1)                                      \
    X("history 0: sampled at", HISTORY.sampled = TICK + 1000000)                                   \
    X("history 0: sampled at", HISTORY.last_heartbeat = UINT64_MAX)                                \
    X("history 0: sampled at", HISTORY.since = UINT64_MAX)                                         \
    X("history 0: peak", HISTORY.peak_ever = peak_word(3, TICK + 90000))                           \
    X("history 0: counts", HISTORY.count = UINT32_MAX)                                             \
    X("history 0: counts", HISTORY.departure_deficit = INT64_MIN)                                  \
    X("history 0: counts", HISTORY.departure_deficit = 1)                                          \
    X("history 0: counts", HISTORY.heartbeats += UINT64_C(1) << 40)                                \
    X("history 0: impossible record",                                                              \
      any_minute(segment)->mark = (TICK / 60 + 1440 - 1) << 24 | 0x101)                            \
    X("history 0: impossible record", any_minute(segment)->mark += 1 << 24)                        \
    X("history 0: impossible record", any_minute(segment)->sum = UINT64_MAX)                       \
    X("history 0: impossible record", any_minute(segment)->minimum = UINT32_MAX)                   \
    X("history 0: impossible record", HISTORY.seconds[5].mark = UINT64_MAX)                        \
    X("event ", segment->events.head->next = UINT64_MAX)                                           \
    X("event ", segment->events.head->next = segment->events.head->first - 1)                      \
    X("event slot ", segment->events.head->first = segment->events.head->next)                     \
    X("event slot ", segment->events.slots[3].state = UINT64_MAX - 1)                              \
    X("event slot ", segment->events.slots[3].claim = INT64_MAX)                                   \
    X("event slot ", FIRST_EVENT->state += 2 * segment->events.capacity)                           \
    X("event slot ", FIRST_EVENT->record.kind = 9)                                                 \
    X("event slot ", FIRST_EVENT->record.kind = 0)                                                 \
    X("event slot ", FIRST_EVENT->record.site_length = 255)                                        \
    X("event slot ", FIRST_EVENT->record.source_length = 255)                                      \
    X("event slot ", FIRST_EVENT->record.name_length = 255)                                        \
    X("times do not rise",                                                                         \
      event_slot_at(&segment->events, segment->events.head->next - 2)->claim = UINT64_C(1) << 59)

static void damage(struct segment *segment, unsigned number)
{
    unsigned at = 0;

#define X(text, action)   \
    if (at++ == number) { \
        (void)(action);   \
        return;           \
    }
    DAMAGES(X)
#undef X
}

static const char *const damages[] = {
#define X(text, action) text,
    DAMAGES(X)
#undef X
};

static void wrong_segments_are_replaced(void **state)
{
    struct fixture *fixture = *state;

    for (unsigned i = 0; i < LENGTH(damages); i++) {
        leave_segment(fixture);
        struct segment segment = map_left(fixture);
        damage(&segment, i);
        start_ingest(fixture);
        const struct segment_file *file = &fixture->collector.file;
        if (file->origin != SEGMENT_RENEWED || !strstr(file->account, "damaged") ||
            !strstr(file->account, damages[i]))
            fail_msg("damage %u: origin %d, %s; not %s", i, (int)file->origin, file->account,
                     damages[i]);
        assert_int_equal(segment.header->state, SEGMENT_REPLACED);
        unmap_left(&segment);
        /* It counts from the start. */
        assert_int_equal(counter(fixture, COUNTER_datagrams_received), 0);
        batch(fixture, {"a.example", "/r", .visitor = 1, .count = 3});
        expect_room(fixture, "a.example", "/r", 3);
        collector_maintain(&fixture->collector);
        stop_ingest(fixture);
        assert_int_equal(unlink(fixture->scratch.path), 0);
    }
    print_message("%zu damages\n", LENGTH(damages));
}

/* ---- states that a kill may leave --------------------------------------------------------- */

/* Fill the ring; then a writer claims the oldest slot, and no more. */
static void claim_oldest_slot(const struct events *events)
{
    struct event_record record = {.kind = EVENT_ENTERED};

    while (events->head->next < events->head->first + events->capacity)
        events_write(events, 0, &record);
    event_slot_at(events, events->head->next)->claim = UINT64_C(1) << 59;
}

#define LEFTOVERS(X)                                                                            \
    X(0)                                                                                        \
    X(*scope_head(&segment->directory, ENTRY(B).hash) = ENTRY(B).next) /* not linked yet */     \
    X(ENTRY(B).state += SCOPE_GENERATION - SCOPE_LIVE)                 /* freed, linked */      \
    X(ENTRY(B).state += SCOPE_RETIRING - SCOPE_LIVE)                                            \
    X(memset(&segment->directory.entries[CAPACITY - 1].site, 0xff, 200)) /* free, half named */ \
    X(memset(&segment->directory.rings[CAPACITY - 1], 0xff, sizeof(struct ring)))               \
    X(ring_add(&RING(A), TICK - 1, 60))  /* added, not subtracted */                            \
    X(ring_add(&RING(A), TICK - 1, -60)) /* the other way round */                              \
    X(HISTORY.version |= 1)                                                                     \
    X((HISTORY.version |= 1, memset(&HISTORY.kind, 0xff, 500)))                                 \
    X(HISTORY.scope = SCOPE_NONE)                                                               \
    X(HISTORY.state += 4)                                                                       \
    X((any_minute(segment)->mark = 0, any_minute(segment)->minimum = 77))                       \
    X(HISTORY.seconds[5].mark = 0)                                                              \
    X(event_slot_at(&segment->events, segment->events.head->next - 1)->state = 0)               \
    X(event_slot_at(&segment->events, segment->events.head->next - 1)->state |= 1)              \
    X(event_slot_at(&segment->events, --segment->events.head->next)->state = 0)                 \
    X(claim_oldest_slot(&segment->events))                                                      \
    X(segment->header->listening_since = SEGMENT_NEVER)                                         \
    X(segment->header->listening_since = TICK + 3) /* a gap, before the tick */                 \
    X(segment->counters[0].values[COUNTER_heartbeats_new] = (uint64_t)-2)

static unsigned leave_over(struct segment *segment, unsigned number)
{
    unsigned at = 0;

#define X(action)       \
    if (number == at++) \
        (void)(action);
    LEFTOVERS(X)
#undef X
    return at;
}

static void states_that_a_kill_leaves_are_attached(void **state)
{
    struct fixture *fixture = *state;
    unsigned count = 1;

    for (unsigned i = 0; i < count; i++) {
        leave_segment(fixture);
        struct segment segment = map_left(fixture);
        count = leave_over(&segment, i);
        fixture->clock += 5;
        start_ingest(fixture);
        if (fixture->collector.file.origin != SEGMENT_ATTACHED)
            fail_msg("leftover %u: %s", i, fixture->collector.file.account);
        unmap_left(&segment);
        batch(fixture, {"c.example", "/r", .visitor = 1, .count = 3});
        expect_room(fixture, "c.example", "/r", 3);
        collector_maintain(&fixture->collector);
        stop_ingest(fixture);
        assert_int_equal(unlink(fixture->scratch.path), 0);
    }
}

/* ---- random damage ------------------------------------------------------------------------ */

/* Draw a misleading word. */
static uint64_t draw_word(uint64_t *random)
{
    static const uint64_t words[] = {
        0,           1,          CAPACITY,          CAPACITY + 1,     UINT32_MAX, INT32_MAX,
        START << 32, UINT64_MAX, UINT64_C(1) << 63, UINT64_MAX << 31, START,      START + 1,
        0xffff,      3};
    uint64_t draw = random_next(random);

    return draw & 1 ? draw : words[draw / 2 % LENGTH(words)];
}

static void damage_at_random(const struct segment *segment, uint64_t *random)
{
    const struct segment_geometry geometry = segment->header->geometry;
    uint8_t *base = (uint8_t *)segment->header;

    for (uint64_t left = 1 + random_next(random) % 4; left; left--) {
        unsigned section = (unsigned)(random_next(random) % (SECTIONS + 1));
        uint64_t offset = section < SECTIONS ? geometry.sections[section].offset : 8;
        uint64_t size = section < SECTIONS ? geometry.sections[section].size : 808;
        /* Most sections use their beginning only. */
        uint64_t reach = random_next(random) % 2 && size > 3000 ? 3000 : size;
        uint64_t at = random_next(random) % reach, width = UINT64_C(1) << random_next(random) % 4;
        at -= at % width;
        uint64_t word = draw_word(random);
        if (random_next(random) % 4 == 0)
            base[offset + at] ^= (uint8_t)(1u << random_next(random) % 8);
        else
            memcpy(base + offset + at, &word, width);
    }
}

/* Go on counting from an accepted segment, on each path that uses it. */
static void count_on(struct fixture *fixture, uint64_t *random)
{
    fixture->clock += random_next(random) % 3 ? random_next(random) % 90 : 400;
    start_ingest(fixture);
    for (unsigned i = 0; i < 4; i++) {
        uint32_t visitor = (uint32_t)random_next(random) % 64;
        take_sequence(fixture, 1 + visitor % 6, visitor);
        batch(fixture, {"a.example", "/r", "DE", "s", .visitor = visitor, .count = 5},
              {"b.example", "/new", "FR", .visitor = visitor, .event = "e"},
              {"c.example", .visitor = visitor}, {"d.example", "/x", .visitor = visitor},
              {"a.example", "/r", .kind = WIRE_LEAVE, .visitor = visitor, .count = 2});
        fixture->clock += i == 2 ? 3700 : 31;
        collector_maintain(&fixture->collector);
        collector_make_room(&fixture->collector);
    }
    stop_ingest(fixture);
}

/* Draw the same settings, or others: then it moves. */
static void draw_settings(struct segment_settings *settings, uint64_t draw)
{
    if (draw % 3)
        return;
    settings->max_scopes = draw & 16 ? 4 : 20;
    settings->max_histories = draw & 32 ? 1 : 5;
    settings->max_events = draw & 64 ? 128 : 64;
    settings->max_streams = draw & 256 ? 1 : 5;
    settings->max_window = draw & 128 ? 300 : 3600;
}

static void random_damage_does_no_harm(void **state)
{
    struct fixture *fixture = *state;
    uint64_t random = random_seed("damage"), rounds = getenv("TEST_LONG") ? 40000 : 4000;
    const struct segment_settings settings = fixture->settings;
    unsigned origins[3] = {0};

    leave_segment(fixture);
    struct segment left = map_left(fixture);
    uint64_t clock = fixture->clock;
    alarm(getenv("TEST_LONG") ? 7200 : 600);
    for (uint64_t round = 0; round < rounds; round++) {
        assert_int_equal(unlink(fixture->scratch.path), 0);
        int fd = open(fixture->scratch.path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, left.header, left.size), left.size);
        close(fd);
        struct segment segment = map_left(fixture);
        damage_at_random(&segment, &random);
        bool is_ours = segment.header->magic == SEGMENT_MAGIC;
        munmap(segment.header, left.size);
        assert_true(is_ours);
        fixture->clock = clock;
        fixture->settings = settings;
        draw_settings(&fixture->settings, random_next(&random));
        count_on(fixture, &random);
        origins[fixture->collector.file.origin]++;
    }
    print_message("%u attached, %u renewed\n", origins[SEGMENT_ATTACHED], origins[SEGMENT_RENEWED]);
    assert_true(origins[SEGMENT_ATTACHED] > rounds / 20);
    assert_true(origins[SEGMENT_RENEWED] > rounds / 20);
    unmap_left(&left);
}

#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_judged, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_slot_is_judged),        TEST(words_are_counted_before_they_are_swept),
        TEST(wrong_segments_are_replaced), TEST(states_that_a_kill_leaves_are_attached),
        TEST(random_damage_does_no_harm),
    };
    return cmocka_run_group_tests_name("segment_judge", tests, NULL, NULL);
}

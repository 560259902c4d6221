/* test_reader_hostile.c - a hostile mapping: no call crashes, hangs or returns invalid values.
 * TEST_SEED repeats a run, TEST_LONG makes it ten times as long. */
#include "reader_calls.h"

#define ROUNDS 3000

/* Choose a number that may do harm: near an edge, or any. */
static uint64_t awkward(uint64_t *random)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     2,
                                     15,
                                     16,
                                     17,
                                     255,
                                     256,
                                     INT32_MAX,
                                     UINT32_MAX,
                                     INT64_MAX,
                                     UINT64_MAX,
                                     UINT64_MAX - 1,
                                     UINT64_C(1) << 63,
                                     UINT64_C(1) << 32};

    return random_next(random) % 3 ? edges[random_next(random) % LENGTH(edges)]
                                   : random_next(random);
}

static void spoil_header(uint64_t *random, struct segment_header *header)
{
    /* Everything below the geometry, and sometimes everything. */
    size_t first = random_next(random) % 8 ? offsetof(struct segment_header, state) : 0;

    for (size_t i = first; i + 8 <= sizeof(*header); i += 8) {
        uint64_t value = awkward(random);
        if (random_next(random) % 4 == 0)
            memcpy((char *)header + i, &value, sizeof(value));
    }
    if (random_next(random) % 2)
        header->state = SEGMENT_LISTENING;
}

static void spoil_entry(uint64_t *random, struct scope_entry *entry)
{
    switch (random_next(random) % 7) {
    case 0:
        entry->state = awkward(random);
        break;
    case 1:
        entry->last_heartbeat = awkward(random);
        break;
    case 2:
        entry->next = (uint32_t)awkward(random);
        break;
    case 3:
        entry->site = (uint32_t)awkward(random);
        break;
    case 4:
        entry->kind = (uint8_t)random_next(random);
        break;
    case 5:
        entry->name_length = (uint8_t)awkward(random);
        break;
    default:
        for (int i = 0; i < 8; i++)
            entry->name[random_next(random) % SCOPE_NAME_MAX] = (uint8_t)random_next(random);
    }
}

static void spoil_words(uint64_t *random, uint64_t *words, uint64_t count)
{
    for (uint64_t i = random_next(random) % 32; i > 0; i--)
        words[random_next(random) % count] = awkward(random);
}

static void spoil_trends(uint64_t *random, struct segment *segment)
{
    struct histories *histories = &segment->histories;
    struct events *events = &segment->events;

    spoil_words(random, (uint64_t *)segment->directory.activities,
                segment->directory.capacity * sizeof(struct activity) / 8);
    spoil_words(random, (uint64_t *)histories->heads,
                histories->capacity * sizeof(struct history) / 8);
    spoil_words(random, (uint64_t *)histories->minutes,
                (uint64_t)histories->capacity * HISTORY_MINUTES * sizeof(struct history_minute) /
                    8);
    spoil_words(random, (uint64_t *)events->head, sizeof(*events->head) / 8);
    spoil_words(random, (uint64_t *)events->slots,
                events->capacity * sizeof(struct event_slot) / 8);
}

/* Only one slot is left odd, since a reader waits for its writer. */
static void spoil_streams(uint64_t *random, const struct streams *streams)
{
    spoil_words(random, (uint64_t *)streams->slots, streams->capacity * sizeof(struct stream) / 8);
    for (uint32_t i = 0; i < streams->capacity; i++)
        streams->slots[i].version &= ~UINT64_C(1);
    streams->slots[0].version |= random_next(random) % 256 == 0;
}

static void spoil(uint64_t *random, struct segment *segment)
{
    struct directory *directory = &segment->directory;

    if (random_next(random) % 2)
        spoil_header(random, segment->header);
    for (uint64_t i = random_next(random) % 16; i > 0; i--)
        spoil_entry(random, &directory->entries[random_next(random) % directory->capacity]);
    for (uint64_t i = random_next(random) % 8; i > 0; i--)
        directory->heads[random_next(random) % (directory->head_mask + 1)] =
            (uint32_t)awkward(random);
    spoil_words(random, (uint64_t *)directory->rings,
                directory->capacity * sizeof(struct ring) / sizeof(uint64_t));
    spoil_words(random, segment->table.words, segment->table.pairs * TABLE_PAIR_WORDS);
    spoil_words(random, (uint64_t *)segment->counters, COUNTERS);
    spoil_trends(random, segment);
    spoil_streams(random, &segment->streams);
}

static void a_lying_mapping_does_no_harm(void **state)
{
    uint64_t random = random_seed("hostile");
    int rounds = getenv("TEST_LONG") ? 10 * ROUNDS : ROUNDS;
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture, calls_settings);
    calls_fill(&fixture);
    struct segment *segment = fixture_segment(&fixture);
    void *good = malloc(segment->size);
    memcpy(good, segment->header, segment->size);
    for (int round = 0; round < rounds; round++) {
        spoil(&random, segment);
        calls_count(fixture.presence);
        calls_trends(fixture.presence);
        struct presence *again;
        if (presence_open(fixture.scratch.path, &again) == 0) {
            calls_count(again);
            presence_close(again);
        }
        memcpy(segment->header, good, segment->size);
    }
    free(good);
    fixture_close(&fixture);
}

static void verification_of_nonsense_ends(void **state)
{
    uint64_t random = random_seed("verify");
    struct presence_verification result;
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture, calls_settings);
    calls_fill(&fixture);
    struct segment *segment = fixture_segment(&fixture);
    void *good = malloc(segment->size);
    memcpy(good, segment->header, segment->size);
    for (int round = 0; round < ROUNDS / 10; round++) {
        spoil(&random, segment);
        segment->header->state = SEGMENT_STOPPED; /* or it would wait for the tick to move */
        assert_int_equal(presence_verify(fixture.presence, &result), 0);
        memcpy(segment->header, good, segment->size);
    }
    free(good);
    fixture_close(&fixture);
}

/* Each link to itself, each head to each entry: every walk ends. */
static void circular_chains_end(void **state)
{
    struct presence_reading reading;
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture, calls_settings);
    calls_fill(&fixture);
    struct directory *directory = &fixture_segment(&fixture)->directory;
    for (uint32_t i = 0; i < directory->capacity; i++) {
        directory->entries[i].next = i + 1;
        directory->entries[i].hash++;
    }
    for (uint32_t i = 0; i <= directory->head_mask; i++)
        directory->heads[i] = 1 + i % directory->capacity;
    assert_int_equal(presence_count(fixture.presence, "example.com", NULL, 0, &reading), 0);
    assert_false(reading.exists);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lying_mapping_does_no_harm),
        cmocka_unit_test(verification_of_nonsense_ends),
        cmocka_unit_test(circular_chains_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

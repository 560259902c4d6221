/* test_events.c - events.h: the ring of events, by one writer and by delayed writers. */
#include "../support/unit.h"

#include <core/atomics.h>

/* Other writers between two loads of one. */
static void (*others)(void); /* NULL: there are none */

static inline uint64_t load_before_others(const uint64_t *word)
{
    void (*write)(void) = others;
    uint64_t value = atomic_load_ordered(word);

    others = NULL;
    if (write)
        write();
    return value;
}

#undef atomic_load_ordered
#define atomic_load_ordered load_before_others

#include <core/events.h>

#define SLOTS 64
#define FIRST UINT64_C(1764000000000000)

static struct events_head head;
static struct event_slot slots[SLOTS];
static const struct events ring = {&head, slots, SLOTS};

static int open_ring(void **state)
{
    (void)state;
    memset(&head, 0, sizeof(head));
    memset(slots, 0, sizeof(slots));
    events_init(&ring, FIRST);
    return 0;
}

/* Make names that identify their event by length and bytes. */
static struct event_record record_of(uint64_t number)
{
    struct event_record record = {
        .kind = (uint8_t)(1 + number % 4),
        .site_length = (uint8_t)(1 + number % EVENT_SITE_MAX),
        .room_length = (uint8_t)(number * 7 % (EVENT_ROOM_MAX + 1)),
        .source_length = (uint8_t)(number * 11 % (EVENT_SOURCE_MAX + 1)),
        .name_length = (uint8_t)(number * 13 % (EVENT_NAME_MAX + 1)),
        .country = {(uint8_t)('A' + number % 26), 'Z'},
    };

    for (uint32_t i = 0; i < sizeof(record.names.bytes); i++)
        record.names.bytes[i] = (uint8_t)(number + i);
    return record;
}

static bool is_record_of(const struct event_record *record, uint64_t number)
{
    const struct event_record expected = record_of(number);
    uint32_t bytes = (event_words(&expected) - 2) * 8;

    return memcmp(&record->kind, &expected.kind, 8) == 0 &&
           memcmp(record->names.bytes, expected.names.bytes, bytes) == 0;
}

static void write_one(uint64_t now_us)
{
    struct event_record record = record_of(head.next);

    assert_true(events_write(&ring, now_us, &record));
}

static void expect(uint64_t number, enum event_verdict verdict)
{
    struct event_record record;
    enum event_verdict got = events_load(&ring, number, &record);

    if (got != verdict)
        fail_msg("event %llu of %llu: %d, not %d", (unsigned long long)(number - FIRST),
                 (unsigned long long)(head.next - FIRST), (int)got, (int)verdict);
    if (got == EVENT_LOADED && !is_record_of(&record, number))
        fail_msg("event %llu is another's", (unsigned long long)(number - FIRST));
}

/* As many as there are slots are held, however many laps were written. */
static void the_newest_are_held(void **state)
{
    (void)state;
    for (uint64_t written = 0; written < SLOTS * 5; written++) {
        assert_int_equal(head.next, FIRST + written);
        for (uint64_t i = 0; i < written; i++)
            expect(FIRST + i, i + SLOTS < written ? EVENT_LOST : EVENT_LOADED);
        write_one(1000 + written);
    }
}

/* The longest of all names fit, and so does a site alone. */
static void names_of_all_lengths_fit(void **state)
{
    struct event_record longest = record_of(1), shortest = record_of(2), record;

    (void)state;
    longest.site_length = EVENT_SITE_MAX;
    longest.room_length = EVENT_ROOM_MAX;
    longest.source_length = EVENT_SOURCE_MAX;
    longest.name_length = EVENT_NAME_MAX;
    assert_int_equal(event_words(&longest) * 8, sizeof(longest));
    assert_true(events_write(&ring, 1, &longest));
    assert_int_equal(events_load(&ring, FIRST, &record), EVENT_LOADED);
    assert_memory_equal(&record, &longest, sizeof(record));
    shortest.site_length = 1;
    shortest.room_length = shortest.source_length = shortest.name_length = 0;
    assert_true(events_write(&ring, 2, &shortest));
    assert_int_equal(events_load(&ring, FIRST + 1, &record), EVENT_LOADED);
    assert_memory_equal(&record, &shortest, 17);
}

/* Whatever the clock does: it stands still, goes back, jumps ahead. */
static void times_rise_strictly(void **state)
{
    uint64_t random = random_seed("times"), now_us = UINT64_C(1) << 50, last = 0;
    struct event_record record;

    (void)state;
    for (unsigned i = 0; i < SLOTS * 20; i++) {
        uint64_t draw = random_next(&random);
        now_us += draw % 4 == 0 ? draw % 1000 : draw % 4 == 1 ? -(draw % 1000000) : 0;
        write_one(now_us);
        assert_int_equal(events_load(&ring, head.next - 1, &record), EVENT_LOADED);
        assert_true(record.time_us > last);
        assert_true(record.time_us >= now_us);
        assert_int_equal(record.time_us, now_us > last ? now_us : last + 1);
        last = record.time_us;
    }
}

/* A writer is delayed after its claim: `next` may not have advanced yet. */
static void claims_need_no_next(void **state)
{
    uint64_t first_us, second_us;

    (void)state;
    assert_int_equal(events_claim(&ring, 500, &first_us), FIRST);
    head.next = FIRST; /* as if it had been killed before it could advance it */
    assert_int_equal(events_claim(&ring, 500, &second_us), FIRST + 1);
    assert_true(second_us > first_us);
    assert_int_equal(head.next, FIRST + 2);
    expect(FIRST, EVENT_IN_FLIGHT);
    expect(FIRST + 1, EVENT_IN_FLIGHT);
}

static void write_lap(void)
{
    for (unsigned i = 0; i < SLOTS; i++)
        write_one(1);
}

/* Delayed for a whole lap between its look at `next` and those at the slots. */
static void a_number_is_claimed_once(void **state)
{
    uint64_t time_us;

    (void)state;
    write_one(1);
    others = write_lap;
    assert_int_equal(events_claim(&ring, 1, &time_us), FIRST + 1 + SLOTS);
    expect(FIRST + SLOTS, EVENT_LOADED);
    expect(FIRST + 1 + SLOTS, EVENT_IN_FLIGHT);
}

/* Delayed inside the slot for a whole lap: the lapping writer leaves a hole and continues. */
static void a_writer_inside_is_not_disturbed(void **state)
{
    uint64_t time_us;
    uint64_t slow = events_claim(&ring, 1, &time_us);
    struct event_record record = record_of(slow);

    (void)state;
    assert_true(events_enter(event_slot_at(&ring, slow), slow));
    expect(slow, EVENT_IN_FLIGHT);
    for (unsigned i = 1; i < SLOTS; i++)
        write_one(1);
    expect(slow, EVENT_IN_FLIGHT);                 /* nobody has claimed its slot yet */
    assert_false(events_write(&ring, 1, &record)); /* it would be the slow one's slot */
    expect(slow, EVENT_LOST);
    expect(slow + SLOTS, EVENT_LOST);
    write_one(1);
    expect(slow + SLOTS + 1, EVENT_LOADED);
    record = record_of(slow);
    memcpy(&event_slot_at(&ring, slow)->record, &record, sizeof(record));
    /* The slow one ends; a lap later the slot is used again. */
    atomic_store_release(&event_slot_at(&ring, slow)->state, slow * 2);
    expect(slow, EVENT_LOADED);
    expect(slow + SLOTS, EVENT_LOST);
    for (unsigned i = 2; i < SLOTS; i++)
        write_one(1);
    write_one(1);
    assert_int_equal(head.next, slow + 2 * SLOTS + 1);
    expect(slow + 2 * SLOTS, EVENT_LOADED);
}

/* Delayed between claim and entry for a whole lap: it must not enter any more. */
static void a_late_writer_stays_outside(void **state)
{
    uint64_t time_us;
    uint64_t slow = events_claim(&ring, 1, &time_us);

    (void)state;
    for (unsigned i = 0; i < SLOTS; i++)
        write_one(1);
    expect(slow, EVENT_LOST);
    expect(slow + SLOTS, EVENT_LOADED);
    assert_false(events_enter(event_slot_at(&ring, slow), slow));
    expect(slow + SLOTS, EVENT_LOADED);
}

/* Daemons killed at every point of a write; the next one continues where they were. */
static void killed_writers_leave_holes(void **state)
{
    uint64_t time_us;

    (void)state;
    for (unsigned before = 0; before < SLOTS * 2 + 1; before += 43) {
        for (int point = 0; point < 3; point++) {
            open_ring(NULL);
            for (unsigned i = 0; i < before; i++)
                write_one(1);
            uint64_t killed = events_claim(&ring, 1, &time_us);
            if (point == 0)
                head.next = killed;
            if (point == 2)
                assert_true(events_enter(event_slot_at(&ring, killed), killed));
            events_adopt(&ring);
            assert_int_equal(head.next, killed + 1);
            expect(killed, EVENT_LOST);
            for (uint64_t number = killed > FIRST + SLOTS - 1 ? killed - SLOTS + 1 : FIRST;
                 number < killed; number++)
                expect(number, EVENT_LOADED);
            write_one(1);
            expect(killed + 1, EVENT_LOADED);
            expect(killed, EVENT_LOST);
            for (unsigned i = 0; i < SLOTS; i++)
                write_one(1);
            expect(killed + SLOTS, EVENT_LOADED);
        }
    }
}

/* An untouched ring is adopted as it is. */
static void an_empty_ring_is_adopted(void **state)
{
    (void)state;
    events_adopt(&ring);
    assert_int_equal(head.next, FIRST);
    write_one(1);
    events_adopt(&ring);
    assert_int_equal(head.next, FIRST + 1);
    expect(FIRST, EVENT_LOADED);
}

/* Wrong lengths are copied within the record. */
static void lying_lengths_stay_inside(void **state)
{
    struct {
        struct event_record record;
        uint8_t behind[256]; /* what four lengths of 255 add up to would end here */
    } copy, untouched;

    (void)state;
    memset(&copy, 1, sizeof(copy));
    memset(&untouched, 1, sizeof(untouched));
    for (unsigned i = 0; i < SLOTS; i++)
        write_one(1);
    memset(&slots[FIRST % SLOTS].record, 0xff, sizeof(slots[0].record));
    assert_int_equal(events_load(&ring, FIRST, &copy.record), EVENT_LOADED);
    assert_memory_equal(copy.behind, untouched.behind, sizeof(copy.behind));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_newest_are_held, open_ring),
        cmocka_unit_test_setup(names_of_all_lengths_fit, open_ring),
        cmocka_unit_test_setup(times_rise_strictly, open_ring),
        cmocka_unit_test_setup(claims_need_no_next, open_ring),
        cmocka_unit_test_setup(a_number_is_claimed_once, open_ring),
        cmocka_unit_test_setup(a_writer_inside_is_not_disturbed, open_ring),
        cmocka_unit_test_setup(a_late_writer_stays_outside, open_ring),
        cmocka_unit_test_setup(killed_writers_leave_holes, open_ring),
        cmocka_unit_test_setup(an_empty_ring_is_adopted, open_ring),
        cmocka_unit_test_setup(lying_lengths_stay_inside, open_ring),
    };
    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}

/* test_events.c - the ring of events under full load, with fast and slow readers: no event is torn
 * or read twice, times rise, and every missed event is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/events.h"
#include "crew.h"
#include "pauses.h"
#include "random_source.h"

#define SLOTS   64
#define WRITERS 3
#define EVENTS  30000 /* per writer */
#define READERS 2     /* the second is slow */
#define FIRST   1000

struct load {
    struct events_head head;
    struct event_slot slots[SLOTS];
    struct events events;
    uint64_t seed;
    unsigned writing;        /* running writers; atomic */
    uint64_t holes[WRITERS]; /* events that became holes */
    uint64_t read[READERS], missed[READERS];
};

static struct load the_load;

/* Make a record whose length and bytes follow from its id. */
static struct event_record make_record(uint64_t id)
{
    struct event_record record = {
        .kind = EVENT_PAGEVIEW,
        .site_length = (uint8_t)(8 + id % 240),
        .room_length = (uint8_t)(id / 7 % 256),
        .country = {'D', 'E'},
    };

    for (uint32_t i = 0; i < event_words(&record) - 2; i++)
        record.names.words[i] = id ^ i * UINT64_C(0x0101010101010101);
    return record;
}

static void write_events(void *context, unsigned number)
{
    struct load *load = context;
    struct timespec now;

    pauses_begin(load->seed + number, 200);
    for (uint64_t i = 0; i < EVENTS && !crew_has_failed(); i++) {
        struct event_record record = make_record(i * WRITERS + number);
        clock_gettime(CLOCK_REALTIME, &now);
        uint64_t now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
        load->holes[number] += !events_write(&load->events, now_us, &record);
    }
    __atomic_fetch_sub(&load->writing, 1, __ATOMIC_ACQ_REL); /* pairs with read_events */
}

/* Judge one event: each writer's come in order, so none is seen twice. */
static void judge(const struct event_record *record, uint64_t number, uint64_t *last_us,
                  uint64_t last_of[WRITERS])
{
    uint64_t id = record->names.words[0];
    struct event_record expected = make_record(id);
    unsigned writer = (unsigned)(id % WRITERS);

    if (memcmp(&expected.kind, &record->kind, 8) != 0 ||
        memcmp(expected.names.words, record->names.words, (event_words(&expected) - 2) * 8) != 0)
        crew_fail("event %llu is torn", (unsigned long long)number);
    else if (record->time_us <= *last_us)
        crew_fail("event %llu is not later than the one before", (unsigned long long)number);
    else if (id + 1 <= last_of[writer])
        crew_fail("event %llu of writer %u comes again", (unsigned long long)number, writer);
    last_of[writer] = id + 1;
    *last_us = record->time_us;
}

static void read_events(void *context, unsigned number)
{
    struct load *load = context;
    const struct timespec pause = {.tv_nsec = 200000}; /* of a slow reader */
    struct random_source random = {load->seed};
    struct event_record record;
    uint64_t at = FIRST, last_us = 0, last_of[WRITERS] = {0}, read = 0, missed = 0;
    unsigned reader = number - WRITERS;
    bool is_over;

    do {
        is_over =
            __atomic_load_n(&load->writing, __ATOMIC_ACQUIRE) == 0; /* pairs with write_events */
        uint64_t next = atomic_load_ordered(&load->head.next);
        if (at + SLOTS < next) { /* skip to the oldest, as readers do */
            missed += next - SLOTS - at;
            at = next - SLOTS;
        }
        for (; at < next && !crew_has_failed(); at++) {
            enum event_verdict verdict = events_load(&load->events, at, &record);
            if (verdict == EVENT_IN_FLIGHT && !is_over)
                break;
            if (verdict == EVENT_LOADED)
                judge(&record, at, &last_us, last_of);
            read += verdict == EVENT_LOADED;
            missed += verdict != EVENT_LOADED;
            if (reader == 1 && random_one_in(&random, 50))
                nanosleep(&pause, NULL);
        }
    } while (!is_over && !crew_has_failed());
    load->read[reader] = read;
    load->missed[reader] = missed;
}

static void readers_count_missed_events(void **state)
{
    const struct crew_job jobs[] = {{write_events, WRITERS}, {read_events, READERS}, {NULL, 0}};
    struct load *load = &the_load;
    uint64_t holes = 0;

    (void)state;
    load->seed = random_seed();
    load->events = (struct events){&load->head, load->slots, SLOTS};
    load->writing = WRITERS;
    events_init(&load->events, FIRST);
    crew_run(jobs, load);
    for (unsigned i = 0; i < WRITERS; i++)
        holes += load->holes[i];
    assert_int_equal(load->head.next, FIRST + WRITERS * EVENTS);
    for (unsigned i = 0; i < READERS; i++) {
        print_message("reader %u: %llu read, %llu missed; %llu holes\n", i,
                      (unsigned long long)load->read[i], (unsigned long long)load->missed[i],
                      (unsigned long long)holes);
        assert_int_equal(load->read[i] + load->missed[i], WRITERS * EVENTS);
        assert_true(load->read[i] > 0);
    }
    /* In the end the ring is complete, but for holes. */
    for (uint64_t number = load->head.next - SLOTS; number < load->head.next; number++) {
        struct event_record record;
        enum event_verdict verdict = events_load(&load->events, number, &record);
        assert_true(verdict == EVENT_LOADED || (verdict == EVENT_LOST && holes));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_count_missed_events),
    };

    return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}

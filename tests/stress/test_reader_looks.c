/* test_reader_looks.c - the shipped reader beside a collector whose step comes at each of its
 * looks: visitors who move, scopes that give their entries to others, days, minutes and histories
 * that change. See looks.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/wire.h"
#include "looks.h"
#include "model_clock.h"
#include "pauses.h"

#define SITE     QUESTIONS_SITE
#define ROOM     QUESTIONS_ROOM
#define VISITORS 5
#define WRAP     UINT64_C(7680) /* at its multiples all rings begin anew, and minutes do */

static void beat(struct fixture *fixture, const char *site, const char *room, unsigned visitors)
{
    fixture_send(fixture, 0, WIRE_HEARTBEAT, site, room, 0, visitors);
}

static void move_clock(struct fixture *fixture, uint64_t seconds)
{
    fixture_set_clock(fixture, fixture_clock(fixture) + seconds);
    collector_advance(&fixture->collector);
}

static void maintain(struct fixture *fixture, uint64_t seconds)
{
    fixture_set_clock(fixture, fixture_clock(fixture) + seconds);
    collector_maintain(&fixture->collector);
}

/* ---- visitors who move -------------------------------------------------------------------- */

static const struct segment_settings few_seconds = {
    .max_entries = 24, .max_scopes = 4, .max_window = 4, .max_histories = 2};

static const ask_function of_counts[] = {
    ask_site,    ask_as_of, ask_room,   ask_nowhere,  ask_seen,   ask_top, ask_sites,
    ask_busiest, ask_scan,  ask_status, ask_activity, ask_verify, NULL};

static void be_there(struct fixture *fixture)
{
    beat(fixture, SITE, ROOM, VISITORS);
    beat(fixture, "b.example", ROOM, VISITORS + 1);
}

static void come_back_in_the_next_second(struct fixture *fixture)
{
    move_clock(fixture, 1);
    be_there(fixture);
}

static void be_there_a_second_ago(struct fixture *fixture)
{
    be_there(fixture);
    move_clock(fixture, 1);
}

/* The rings begin anew with the next tick. */
static void be_there_at_the_end(struct fixture *fixture)
{
    move_clock(fixture, WRAP - 1 - fixture_clock(fixture) % WRAP);
    be_there(fixture);
}

static void be_there_before_the_end(struct fixture *fixture)
{
    be_there_at_the_end(fixture);
    move_clock(fixture, 1);
}

static void visitors_move_to_the_next_second(void **state)
{
    const struct scene scene = {
        .name = "the next second",
        .settings = few_seconds,
        .begin = 6000,
        .prepare = be_there,
        .step = come_back_in_the_next_second,
        .questions = of_counts,
    };

    (void)state;
    looks_check(&scene);
}

static void visitors_move_within_the_tick(void **state)
{
    struct scene scene = {
        .name = "within the tick",
        .settings = few_seconds,
        .begin = 6000,
        .prepare = be_there_a_second_ago,
        .step = be_there,
        .questions = of_counts,
        .is_moving = true,
    };

    (void)state;
    looks_check(&scene);
    scene.name = "where the ring begins anew";
    scene.prepare = be_there_before_the_end;
    looks_check(&scene);
}

static void visitors_move_to_the_next_minute(void **state)
{
    static const ask_function questions[] = {ask_hour, NULL};
    const struct scene scene = {
        .name = "the next minute",
        .settings = {.max_entries = 24, .max_scopes = 4, .max_window = 3600},
        .begin = WRAP - 1,
        .prepare = be_there_at_the_end,
        .step = come_back_in_the_next_second,
        .questions = questions,
        .is_moving = true,
    };

    (void)state;
    looks_check(&scene);
}

/* ---- scopes that come and go -------------------------------------------------------------- */

/* Without the figures that sum up all scopes, which change one after another. */
static const ask_function of_scopes[] = {
    ask_site, ask_room,     ask_nowhere,       ask_seen,  ask_top,        ask_sites,  ask_busiest,
    ask_scan, ask_activity, ask_room_activity, ask_peaks, ask_room_peaks, ask_verify, NULL};

static const struct segment_settings short_window = {
    .max_entries = 48, .max_scopes = 4, .max_window = 2, .max_histories = 1};

/* Free all idle scopes, three seconds later: more than the longest window, and not so much that the
 * reader's clock seems to be behind. */
static void free_idle(struct fixture *fixture)
{
    move_clock(fixture, 3);
    collector_make_room(&fixture->collector);
}

static void be_there_alone(struct fixture *fixture)
{
    free_idle(fixture);
    beat(fixture, SITE, ROOM, VISITORS);
}

static void let_another_site_follow(struct fixture *fixture)
{
    free_idle(fixture);
    beat(fixture, "other.example", "/other", VISITORS + 2);
    beat(fixture, "third.example", NULL, VISITORS + 3);
    beat(fixture, "other.example", "/another", VISITORS + 4);
}

static void a_site_gives_its_entry_to_another(void **state)
{
    const struct scene scene = {
        .name = "another site",
        .settings = short_window,
        .begin = 6000,
        .prepare = be_there_alone,
        .step = let_another_site_follow,
        .questions = of_scopes,
    };

    (void)state;
    looks_check(&scene);
}

/* Both come back, but to other entries. A list that is made in one pass may miss them. */
static void move_to_other_entries(struct fixture *fixture)
{
    free_idle(fixture);
    beat(fixture, "other.example", "/other", VISITORS + 2);
    beat(fixture, SITE, ROOM, VISITORS);
}

static void a_site_moves_to_another_entry(void **state)
{
    static const ask_function questions[] = {ask_site,          ask_room,  ask_seen, ask_activity,
                                             ask_room_activity, ask_peaks, NULL};
    const struct scene scene = {
        .name = "another entry",
        .settings = short_window,
        .begin = 6000,
        .prepare = be_there_alone,
        .step = move_to_other_entries,
        .questions = questions,
    };

    (void)state;
    looks_check(&scene);
}

static void let_another_room_follow(struct fixture *fixture)
{
    move_clock(fixture, 2);
    beat(fixture, SITE, NULL, VISITORS);
    move_clock(fixture, 1);
    collector_make_room(&fixture->collector);
    beat(fixture, SITE, "/other", VISITORS + 2);
}

static void a_room_gives_its_entry_to_another(void **state)
{
    const struct scene scene = {
        .name = "another room",
        .settings = short_window,
        .begin = 6000,
        .prepare = be_there_alone,
        .step = let_another_room_follow,
        .questions = of_scopes,
    };

    (void)state;
    looks_check(&scene);
}

/* ---- trends ------------------------------------------------------------------------------- */

static const ask_function of_trends[] = {
    ask_peaks,   ask_room_peaks,   ask_activity,  ask_room_activity,
    ask_history, ask_room_history, ask_histories, NULL};

/* Let the next second begin a day. */
static void move_to_midnight(struct fixture *fixture)
{
    fixture->wall += 86400 - (fixture->wall + fixture_clock(fixture) + 1) % 86400;
}

static void be_sampled(struct fixture *fixture)
{
    move_clock(fixture, 1);
    move_to_midnight(fixture);
    beat(fixture, SITE, ROOM, VISITORS);
    collector_maintain(&fixture->collector);
}

/* The last sample of a minute. */
static void be_sampled_last(struct fixture *fixture)
{
    move_clock(fixture, 60 + 59 - fixture_clock(fixture) % 60);
    be_sampled(fixture);
}

static void be_sampled_with_fewer(struct fixture *fixture)
{
    fixture_send(fixture, 0, WIRE_LEAVE, SITE, ROOM, 0, 2);
    fixture_send(fixture, 0, WIRE_LEAVE, SITE, NULL, 0, 2);
    maintain(fixture, 1);
}

static void check_samples(const char *name, uint32_t histories,
                          void (*prepare)(struct fixture *fixture))
{
    const struct scene scene = {
        .name = name,
        .settings = {.max_entries = 24,
                     .max_scopes = 4,
                     .max_window = 4,
                     .max_histories = histories},
        .begin = 6000,
        .prepare = prepare,
        .step = be_sampled_with_fewer,
        .questions = of_trends,
    };

    looks_check(&scene);
}

static void samples_are_taken(void **state)
{
    (void)state;
    check_samples("a sample of all", 4, be_sampled);
    check_samples("a sample of the site", 1, be_sampled);
    check_samples("a sample without histories", 0, be_sampled);
    check_samples("a minute's first sample", 4, be_sampled_last);
}

static bool room_has_history(const struct fixture *fixture)
{
    const struct histories *histories = &fixture->collector.file.segment.histories;

    return memcmp(histories->heads[1].name, ROOM, sizeof(ROOM) - 1) == 0;
}

/* At the end of a minute, one of the two rooms has the only history that is left, with a second in
 * which it was heard, and the other has become busier. */
static void let_the_other_be_busier(struct fixture *fixture)
{
    const bool has_it = room_has_history(fixture);

    move_clock(fixture, 60 + 57 - fixture_clock(fixture) % 60);
    beat(fixture, SITE, ROOM, has_it ? VISITORS : 40);
    beat(fixture, SITE, "/other", has_it ? 40 : VISITORS);
    maintain(fixture, 1);
    beat(fixture, SITE, ROOM, VISITORS);
    maintain(fixture, 1);
    move_clock(fixture, 1);
}

static void let_a_minute_begin(struct fixture *fixture)
{
    collector_maintain(&fixture->collector);
}

/* The first minute gives a history to the room, the second takes it away. */
static void prepare_room(struct fixture *fixture, bool has_history)
{
    for (int minute = 0; minute < 2 && room_has_history(fixture) != has_history; minute++) {
        let_the_other_be_busier(fixture);
        let_a_minute_begin(fixture);
    }
    assert_int_equal(room_has_history(fixture), has_history);
    let_the_other_be_busier(fixture);
}

static void have_a_history(struct fixture *fixture)
{
    prepare_room(fixture, true);
}

static void have_no_history(struct fixture *fixture)
{
    prepare_room(fixture, false);
}

static void a_history_goes_to_another_room(void **state)
{
    struct scene scene = {
        .name = "a room loses its history",
        .settings = {.max_entries = 150, .max_scopes = 4, .max_window = 4, .max_histories = 2},
        .begin = 6000,
        .prepare = have_a_history,
        .step = let_a_minute_begin,
        .questions = of_trends,
    };

    (void)state;
    looks_check(&scene);
    scene.name = "a room gets a history";
    scene.prepare = have_no_history;
    looks_check(&scene);
}

/* ---- visitors who keep coming ------------------------------------------------------------- */

struct arrivals {
    struct fixture *fixture;
    unsigned period, looks;
    unsigned next; /* visitor's number */
};

/* Let a visitor come at each `period`th look. */
static void arrive(void *context, enum pause_at at)
{
    struct arrivals *arrivals = context;

    (void)at;
    if (++arrivals->looks % arrivals->period == 0) {
        pauses_call(NULL, NULL);
        fixture_send(arrivals->fixture, 0, WIRE_HEARTBEAT, SITE, NULL, arrivals->next++, 1);
        pauses_call(arrive, arrivals);
    }
}

/* In each of its attempts, presence_verify loads the rings first, and then a table to which more
 * visitors have come. It doesn't wait for the next tick: the collector is said to have ended. */
static void visitors_come_during_every_attempt(void **state)
{
    const struct segment_settings settings = {
        .max_entries = 20000, .max_scopes = 4, .max_window = 4};
    struct fixture fixture;
    struct presence *presence;
    struct presence_verification result;

    (void)state;
    fixture_create(&fixture, &settings, 6000);
    model_clock.fixture = &fixture;
    fixture_start(&fixture, 1);
    assert_int_equal(presence_open(fixture.path, &presence), 0);
    beat(&fixture, SITE, NULL, 1);
    fixture.collector.file.segment.header->state = SEGMENT_STOPPED;
    struct arrivals arrivals = {.fixture = &fixture, .next = 1};
    for (arrivals.period = 100; arrivals.period < 104; arrivals.period++) {
        pauses_call(arrive, &arrivals);
        assert_int_equal(presence_verify(presence, &result), 0);
        pauses_call(NULL, NULL);
        assert_in_range(result.difference, 1, result.in_flight);
    }
    presence_close(presence);
    fixture_remove(&fixture);
    model_clock.fixture = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(visitors_move_to_the_next_second),
        cmocka_unit_test(visitors_move_within_the_tick),
        cmocka_unit_test(visitors_move_to_the_next_minute),
        cmocka_unit_test(a_site_gives_its_entry_to_another),
        cmocka_unit_test(a_site_moves_to_another_entry),
        cmocka_unit_test(a_room_gives_its_entry_to_another),
        cmocka_unit_test(samples_are_taken),
        cmocka_unit_test(a_history_goes_to_another_room),
        cmocka_unit_test(visitors_come_during_every_attempt),
    };

    return cmocka_run_group_tests_name("reader_looks", tests, NULL, NULL);
}

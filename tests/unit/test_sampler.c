/* test_sampler.c - sampler.h: samples of counts and totals, by second and by minute, at ticks
 * that the test sets. */
#include "collector_fixture.h"

#define DAY    86400
#define MINUTE (START / 60 + 1)
#define BEGIN  (MINUTE * 60) /* tick at which a minute begins */

static struct history_pool *pool_of(struct fixture *fixture)
{
    return &fixture->collector.histories;
}

static struct activity *activity_of(struct fixture *fixture, uint32_t scope)
{
    return &segment_of(fixture)->directory.activities[scope];
}

static struct history *head_of(struct fixture *fixture, uint32_t scope)
{
    uint32_t index = history_pool_find(pool_of(fixture), scope);

    assert_int_not_equal(index, SCOPE_NONE);
    return &segment_of(fixture)->histories.heads[index];
}

/* Count visitors with a heartbeat at a tick, as workers do. */
static void visit(struct fixture *fixture, uint32_t scope, uint64_t tick, int32_t visitors)
{
    ring_add(&segment_of(fixture)->directory.rings[scope], tick, visitors);
    segment_of(fixture)->directory.entries[scope].last_heartbeat = tick;
    segment_of(fixture)->counters[0].values[COUNTER_datagrams_accepted]++;
}

static void enter(struct fixture *fixture, uint32_t scope, uint64_t tick, int32_t visitors)
{
    visit(fixture, scope, tick, visitors);
    activity_of(fixture, scope)->heartbeats += (uint64_t)visitors;
    activity_of(fixture, scope)->entries += (uint64_t)visitors;
}

static void sample(struct fixture *fixture, uint64_t tick, int64_t day)
{
    segment_of(fixture)->header->tick = tick;
    sampler_run(pool_of(fixture), segment_of(fixture)->directory.capacity, tick, day);
}

static void sample_until(struct fixture *fixture, uint64_t first, uint64_t last)
{
    for (uint64_t tick = first; tick <= last; tick++)
        sample(fixture, tick, 0);
}

/* Start a collector that has long been listening, at the beginning of a minute. */
static uint32_t open_site(struct fixture *fixture)
{
    fixture->settings.max_histories = 2;
    fixture->settings.warm_up = 0;
    open_collector(fixture);
    segment_of(fixture)->header->tick = BEGIN;
    return hold_site(fixture, "a.example", BEGIN);
}

static struct history_minute read_minute(struct fixture *fixture, uint32_t scope, uint64_t minute)
{
    uint32_t index = history_pool_find(pool_of(fixture), scope);
    struct history_minute record = {0};

    if (!history_load_minute(history_minute_at(&segment_of(fixture)->histories, index, minute),
                             minute, &record))
        fail_msg("minute %llu is absent", (unsigned long long)(minute - MINUTE));
    return record;
}

static struct history_second read_second(struct fixture *fixture, uint32_t scope, uint64_t tick)
{
    struct history_second record = {0};

    if (!history_load_second(&head_of(fixture, scope)->seconds[tick % HISTORY_SECONDS], tick,
                             &record))
        fail_msg("second %llu is absent", (unsigned long long)(tick - BEGIN));
    return record;
}

/* What is published late of a second adds to what its sample found. */
static void samples_of_a_second_add_up(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);

    enter(fixture, site, BEGIN, 4);
    sample(fixture, BEGIN, 0);
    assert_int_equal(read_second(fixture, site, BEGIN).heartbeats, 4);
    enter(fixture, site, BEGIN, 3);
    sample(fixture, BEGIN + 1, 0);
    assert_int_equal(read_second(fixture, site, BEGIN).heartbeats, 7);
    assert_int_equal(read_second(fixture, site, BEGIN).entries, 7);
    kill_collector(fixture);
}

/* Workers may have moved visitors to a tick that the sample's thread has yet to see. */
static void visitors_ahead_of_a_sample_are_counted(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);

    enter(fixture, site, BEGIN, 4);
    sample(fixture, BEGIN, 0);
    visit(fixture, site, BEGIN + 2, 4);
    visit(fixture, site, BEGIN, -4);
    segment_of(fixture)->header->tick = BEGIN + 2;
    sampler_run(pool_of(fixture), segment_of(fixture)->directory.capacity, BEGIN + 1, 0);
    assert_int_equal(read_minute(fixture, site, MINUTE).minimum, 4);
    kill_collector(fixture);
}

static void minutes_are_of_samples(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);

    enter(fixture, site, BEGIN, 4);
    sample(fixture, BEGIN, 0);
    enter(fixture, site, BEGIN + 1, 3);
    sample(fixture, BEGIN + 1, 0);
    visit(fixture, site, BEGIN + 2, -5); /* as a leave does */
    sample_until(fixture, BEGIN + 2, BEGIN + 60);
    struct history_minute minute = read_minute(fixture, site, MINUTE);
    assert_int_equal(history_mark_minute(minute.mark), MINUTE);
    assert_int_equal(history_mark_samples(minute.mark), 60);
    assert_int_equal(minute.sum, 4 + 7 + 58 * 2);
    assert_int_equal(minute.minimum, 2);
    assert_int_equal(minute.maximum, 7);
    minute = read_minute(fixture, site, MINUTE + 1);
    assert_int_equal(history_mark_samples(minute.mark), 1);
    assert_int_equal(minute.minimum, 2);
    assert_int_equal(minute.maximum, 2);
    kill_collector(fixture);
}

/* Changes between two samples are credited to the first one's second. */
static void flows_belong_to_the_sample_before(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);

    enter(fixture, site, BEGIN, 4);
    sample(fixture, BEGIN, 0); /* the first sample */
    assert_int_equal(read_minute(fixture, site, MINUTE).entries, 4);
    assert_int_equal(read_second(fixture, site, BEGIN).entries, 4);
    sample_until(fixture, BEGIN + 1, BEGIN + 59);
    struct activity *activity = activity_of(fixture, site);
    activity->heartbeats += 10;
    activity->pageviews += 3;
    activity->leaves += 2;
    enter(fixture, site, BEGIN + 59, 1);
    sample(fixture, BEGIN + 60, 0);
    struct history_minute minute = read_minute(fixture, site, MINUTE);
    assert_int_equal(minute.heartbeats, 15);
    assert_int_equal(minute.pageviews, 3);
    assert_int_equal(minute.entries, 5);
    assert_int_equal(minute.leaves, 2);
    struct history_second second = read_second(fixture, site, BEGIN + 59);
    assert_int_equal(second.heartbeats, 11);
    assert_int_equal(second.entries, 1);
    assert_int_equal(second.leaves, 2);
    minute = read_minute(fixture, site, MINUTE + 1);
    assert_int_equal(minute.heartbeats + minute.entries + minute.leaves, 0);
    kill_collector(fixture);
}

/* A tick is sampled once, and an earlier one never. */
static void a_tick_is_sampled_once(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);

    enter(fixture, site, BEGIN, 4);
    sample(fixture, BEGIN, 0);
    sample(fixture, BEGIN + 1, 0);
    enter(fixture, site, BEGIN + 1, 4);
    sample(fixture, BEGIN + 1, 0);
    sample(fixture, BEGIN, 0);
    struct history_minute minute = read_minute(fixture, site, MINUTE);
    assert_int_equal(history_mark_samples(minute.mark), 2);
    assert_int_equal(minute.maximum, 4);
    assert_int_equal(segment_of(fixture)->header->sampled, BEGIN + 1);
    kill_collector(fixture);
}

/* A visitor who stops sending departs once the window has passed. */
static void silent_ones_are_departures(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);
    uint64_t departures = 0;

    enter(fixture, site, BEGIN, 4);
    sample(fixture, BEGIN, 0);
    visit(fixture, site, BEGIN, -1); /* one leaves explicitly */
    activity_of(fixture, site)->leaves++;
    sample_until(fixture, BEGIN + 1, BEGIN + 299);
    for (uint64_t minute = MINUTE; minute < MINUTE + 5; minute++)
        departures += read_minute(fixture, site, minute).departures;
    assert_int_equal(departures, 0);
    sample(fixture, BEGIN + 300, 0);
    assert_int_equal(read_second(fixture, site, BEGIN + 299).departures, 3);
    assert_int_equal(read_minute(fixture, site, MINUTE + 4).departures, 3);
    sample(fixture, BEGIN + 301, 0);
    assert_int_equal(read_second(fixture, site, BEGIN + 300).departures, 0);
    kill_collector(fixture);
}

/* What a sampler writes is sound at the next start, also behind a total that was damaged. */
static void a_damaged_total_leaves_a_sound_history(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);

    sample(fixture, BEGIN, 0);
    activity_of(fixture, site)->leaves += UINT64_C(1) << 45;
    sample(fixture, BEGIN + 1, 0);
    assert_int_equal(head_of(fixture, site)->departure_deficit, SAMPLER_DEFICIT_MIN);
    kill_collector(fixture);
}

static void a_damaged_minute_stays_sound(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);

    sample(fixture, BEGIN, 0);
    uint32_t index = history_pool_find(pool_of(fixture), site);
    history_minute_at(&segment_of(fixture)->histories, index, MINUTE)->mark |= 0xff << 8;
    sample(fixture, BEGIN + 1, 0);
    assert_int_equal(history_mark_samples(read_minute(fixture, site, MINUTE).mark), 0xff);
    kill_collector(fixture);
}

/* A count may be seen before its enters. The deficit of departures is made up for later. */
static void departures_in_deficit_are_made_up_for(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);

    sample(fixture, BEGIN, 0);
    visit(fixture, site, BEGIN + 1, 5); /* counted; the enters are still in flight */
    sample(fixture, BEGIN + 1, 0);
    assert_int_equal(head_of(fixture, site)->departure_deficit, -5);
    assert_int_equal(read_second(fixture, site, BEGIN).departures, 0);
    activity_of(fixture, site)->entries += 5;
    sample(fixture, BEGIN + 2, 0);
    assert_int_equal(head_of(fixture, site)->departure_deficit, 0);
    assert_int_equal(read_minute(fixture, site, MINUTE).departures, 0);
    assert_int_equal(read_minute(fixture, site, MINUTE).entries, 5);
    kill_collector(fixture);
}

/* With a longest window below 300 s, R4 uses that, and departures still add up. */
static void a_shorter_window_has_departures(void **state)
{
    struct fixture *fixture = *state;
    fixture->settings.max_window = 60;
    uint32_t site = open_site(fixture);

    enter(fixture, site, BEGIN, 4);
    sample_until(fixture, BEGIN, BEGIN + 120);
    assert_int_equal(read_minute(fixture, site, MINUTE).maximum, 4);
    assert_int_equal(read_minute(fixture, site, MINUTE + 1).maximum, 0);
    assert_int_equal(read_minute(fixture, site, MINUTE).departures +
                         read_minute(fixture, site, MINUTE + 1).departures,
                     4);
    kill_collector(fixture);
}

/* A racing insert may subtract an enter before it is added: growth counts once the total exceeds
 * its previous value. */
static void totals_that_shrink_wait(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);

    enter(fixture, site, BEGIN, 4);
    sample(fixture, BEGIN, 0);
    activity_of(fixture, site)->entries -= 1;
    sample(fixture, BEGIN + 1, 0);
    assert_int_equal(read_minute(fixture, site, MINUTE).entries, 4);
    activity_of(fixture, site)->entries += 3;
    sample(fixture, BEGIN + 2, 0);
    assert_int_equal(read_minute(fixture, site, MINUTE).entries, 6);
    kill_collector(fixture);
}

static void totals_stop_at_their_width(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);

    sample(fixture, BEGIN, 0);
    for (uint64_t tick = BEGIN + 1; tick <= BEGIN + 3; tick++) {
        activity_of(fixture, site)->pageviews += UINT32_MAX - 1;
        activity_of(fixture, site)->heartbeats += UINT32_MAX;
        sample(fixture, tick, 0);
    }
    assert_int_equal(read_minute(fixture, site, MINUTE).pageviews, UINT32_MAX);
    assert_int_equal(read_minute(fixture, site, MINUTE).heartbeats, 3 * (uint64_t)UINT32_MAX);
    kill_collector(fixture);
}

/* The day's peak ends with the day of UTC, the other one does not. */
static void peaks_are_of_days(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);
    uint32_t room = hold_label(fixture, "a.example", site, SCOPE_ROOM, "/r", BEGIN);
    uint32_t bare = hold_label(fixture, "a.example", site, SCOPE_ROOM, "/bare", BEGIN);

    enter(fixture, site, BEGIN, 9);
    enter(fixture, room, BEGIN, 8);
    enter(fixture, bare, BEGIN, 7); /* there are only two histories */
    sample(fixture, BEGIN, 20000);
    sample(fixture, BEGIN + 1, 20000); /* not higher: the first one stays */
    assert_int_equal(head_of(fixture, site)->peak_today, peak_word(9, BEGIN));
    assert_int_equal(head_of(fixture, room)->peak_ever, peak_word(8, BEGIN));
    assert_int_equal(history_pool_find(pool_of(fixture), bare), SCOPE_NONE);
    assert_int_equal(activity_of(fixture, bare)->peak_today, peak_word(7, BEGIN));
    visit(fixture, site, BEGIN + 2, -4);
    visit(fixture, bare, BEGIN + 2, -4);
    sample(fixture, BEGIN + 2, 20001);
    assert_int_equal(segment_of(fixture)->header->day, 20001);
    assert_int_equal(head_of(fixture, site)->peak_today, peak_word(5, BEGIN + 2));
    assert_int_equal(head_of(fixture, site)->peak_ever, peak_word(9, BEGIN));
    assert_int_equal(activity_of(fixture, bare)->peak_today, peak_word(3, BEGIN + 2));
    assert_int_equal(activity_of(fixture, bare)->peak_ever, peak_word(7, BEGIN));
    kill_collector(fixture);
}

static void warming_minutes_say_so(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);

    segment_of(fixture)->header->warm_up = 61;
    segment_of(fixture)->header->listening_since = BEGIN;
    enter(fixture, site, BEGIN, 1);
    sample_until(fixture, BEGIN, BEGIN + 125);
    assert_true(read_minute(fixture, site, MINUTE).mark & HISTORY_MARK_WARMING);
    assert_true(read_minute(fixture, site, MINUTE + 1).mark & HISTORY_MARK_WARMING);
    assert_false(read_minute(fixture, site, MINUTE + 2).mark & HISTORY_MARK_WARMING);
    kill_collector(fixture);
}

/* The second and the minute of a day ago are overwritten. */
static void old_records_are_overwritten(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);
    struct history_minute record;
    struct history_second second;

    enter(fixture, site, BEGIN, 9);
    sample(fixture, BEGIN, 0);
    for (uint64_t tick = BEGIN + 60; tick <= BEGIN + DAY; tick += 60) {
        if (tick % 3600 == 0)
            visit(fixture, site, tick, 0);
        sample(fixture, tick, 0);
    }
    uint32_t index = history_pool_find(pool_of(fixture), site);
    const struct histories *histories = &segment_of(fixture)->histories;
    assert_false(history_load_minute(history_minute_at(histories, index, MINUTE), MINUTE, &record));
    record = read_minute(fixture, site, MINUTE + 1440);
    assert_int_equal(record.entries + record.heartbeats + record.maximum, 0);
    assert_int_equal(record.minimum, 0);
    assert_int_equal(history_mark_samples(record.mark), 1);
    enter(fixture, site, BEGIN + DAY, 2);
    sample(fixture, BEGIN + DAY + 64, 0);
    const struct history_second *slot = &head_of(fixture, site)->seconds[BEGIN % HISTORY_SECONDS];
    assert_false(history_load_second(slot, BEGIN, &second));
    kill_collector(fixture);
}

/* A history continues without its scope, and is freed a day after the last heartbeat. */
static void histories_end_a_day_later(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);
    const struct histories *histories = &segment_of(fixture)->histories;
    struct history_minute record;

    enter(fixture, site, BEGIN, 9);
    sample(fixture, BEGIN, 0);
    uint32_t index = history_pool_find(pool_of(fixture), site);
    fixture->clock = BEGIN + 5000;
    collector_advance(&fixture->collector);
    collector_make_room(&fixture->collector);
    assert_int_equal(history_pool_find(pool_of(fixture), site), SCOPE_NONE);
    sample(fixture, BEGIN + 5000, 0);
    uint64_t minute = (BEGIN + 5000) / 60;
    assert_true(history_load_minute(history_minute_at(histories, index, minute), minute, &record));
    assert_int_equal(record.maximum, 0);
    sample(fixture, BEGIN + DAY, 0);
    assert_int_not_equal(histories->heads[index].site_length, 0);
    sample(fixture, BEGIN + DAY + 1, 0);
    assert_int_equal(histories->heads[index].site_length, 0);
    assert_int_equal(pool_of(fixture)->free_count, 1);
    kill_collector(fixture);
}

/* Without datagrams only histories are sampled, not the other scopes. */
static void silence_costs_nothing(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);

    enter(fixture, site, BEGIN, 9);
    sample(fixture, BEGIN, 0);
    uint32_t bare = hold_site(fixture, "b.example", BEGIN); /* without a datagram */
    for (uint64_t tick = BEGIN + 10; tick < BEGIN + 20; tick++)
        sample(fixture, tick, 0);
    assert_int_equal(history_pool_find(pool_of(fixture), bare), SCOPE_NONE);
    assert_int_equal(history_mark_samples(read_minute(fixture, site, MINUTE).mark), 11);
    visit(fixture, bare, BEGIN + 20, 1);
    sample(fixture, BEGIN + 20, 0);
    assert_int_not_equal(history_pool_find(pool_of(fixture), bare), SCOPE_NONE);
    kill_collector(fixture);
}

/* Once a minute, a busy label gets the history of a less busy one. */
static void rivals_wait_for_the_minute(void **state)
{
    struct fixture *fixture = *state;
    uint32_t site = open_site(fixture);
    uint32_t idle = hold_label(fixture, "a.example", site, SCOPE_ROOM, "/idle", BEGIN);
    uint32_t busy = hold_label(fixture, "a.example", site, SCOPE_ROOM, "/busy", BEGIN);

    enter(fixture, site, BEGIN, 1);
    enter(fixture, idle, BEGIN, 1);
    sample(fixture, BEGIN, 0);
    enter(fixture, busy, BEGIN + 1, 30);
    sample_until(fixture, BEGIN + 1, BEGIN + 59);
    assert_int_equal(history_pool_find(pool_of(fixture), busy), SCOPE_NONE);
    sample(fixture, BEGIN + 60, 0);
    assert_int_not_equal(history_pool_find(pool_of(fixture), busy), SCOPE_NONE);
    assert_int_equal(history_pool_find(pool_of(fixture), idle), SCOPE_NONE);
    assert_int_equal(head_of(fixture, busy)->peak_ever, peak_word(30, BEGIN + 1));
    struct history_minute minute = read_minute(fixture, busy, MINUTE + 1);
    assert_int_equal(minute.maximum, 30);
    assert_int_equal(minute.entries + minute.departures, 0); /* nothing from before */
    kill_collector(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(samples_of_a_second_add_up),
        TEST(visitors_ahead_of_a_sample_are_counted),
        TEST(minutes_are_of_samples),
        TEST(flows_belong_to_the_sample_before),
        TEST(a_tick_is_sampled_once),
        TEST(silent_ones_are_departures),
        TEST(a_damaged_total_leaves_a_sound_history),
        TEST(a_damaged_minute_stays_sound),
        TEST(departures_in_deficit_are_made_up_for),
        TEST(a_shorter_window_has_departures),
        TEST(totals_that_shrink_wait),
        TEST(totals_stop_at_their_width),
        TEST(peaks_are_of_days),
        TEST(warming_minutes_say_so),
        TEST(old_records_are_overwritten),
        TEST(histories_end_a_day_later),
        TEST(silence_costs_nothing),
        TEST(rivals_wait_for_the_minute),
    };
    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}

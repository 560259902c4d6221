/* test_segment_move_play.c - segment_move.h: restarts with random settings at random moments,
 * against a record of what each visitor did. */
#include "move_fixture.h"

#include <core/ring_sum.h>

#define VISITORS 120

struct play {
    struct fixture *fixture;
    uint64_t random;
    uint64_t last[SITES][ROOMS][VISITORS]; /* tick of the last heartbeat; 0: absent */
    int64_t came[SITES];                   /* enters less leaves and departures */
    int64_t unseen[SITES];  /* less those present: counts started anew without them */
    int64_t pending[SITES]; /* enters since the last sample */
    bool is_sampled;        /* the three above are known */
    unsigned moves, anew;
};

static bool is_active(uint64_t last, uint64_t now, uint32_t window)
{
    if (last == 0)
        return false;
    return window <= WINDOW_FINE_MAX ? now - last < window
                                     : now / 60 - last / 60 < (window + 59) / 60;
}

static void check_counts(struct play *play)
{
    static const uint32_t windows[] = {1, 60, 299, 300, 301, 480, 481, 600, 1800, 3600};
    struct fixture *fixture = play->fixture;
    uint64_t now = header_of(fixture)->tick;

    for (unsigned place = 0; place < SITES * ROOMS; place++) {
        unsigned site = place / ROOMS, room = place % ROOMS;
        uint32_t scope = scope_at(fixture, site, room);
        for (unsigned i = 0; i < LENGTH(windows); i++) {
            int64_t expected = 0, got = 0;
            if (windows[i] > segment_of(fixture)->max_window)
                continue;
            for (unsigned visitor = 0; visitor < VISITORS; visitor++)
                expected += is_active(play->last[site][room][visitor], now, windows[i]);
            if (scope != SCOPE_NONE)
                got = ring_count(&segment_of(fixture)->directory.rings[scope], now, windows[i]);
            if (got != expected)
                fail_msg("%s %u, window %u: %lld, not %lld", site_name(site), room, windows[i],
                         (long long)got, (long long)expected);
        }
    }
    expect_verified(fixture);
}

static void play_batch(struct play *play)
{
    struct fixture *fixture = play->fixture;
    uint64_t draw = random_next(&play->random);
    unsigned site = draw % SITES, room = draw / 2 % ROOMS;
    bool is_leave = (draw >> 8) % 8 == 0;
    uint32_t visitor = (uint32_t)((draw >> 16) % (VISITORS - 10));
    uint32_t count = (uint32_t)(1 + (draw >> 32) % 10);
    const struct beat beat = {
        .site = site_name(site),
        .room = room_name(room),
        .kind = is_leave ? WIRE_LEAVE : WIRE_HEARTBEAT,
        .visitor = visitor,
        .count = count,
    };

    take_batch(fixture, &beat, 1);
    uint64_t now = header_of(fixture)->tick;
    for (uint32_t i = visitor; i < visitor + count; i++) {
        if (is_leave)
            play->last[site][room][i] = 0;
        if (is_leave)
            continue;
        if (scope_at(fixture, site, 0) != SCOPE_NONE)
            play->last[site][0][i] = now;
        if (room && scope_at(fixture, site, room) != SCOPE_NONE)
            play->last[site][room][i] = now;
    }
}

static void add_up_minutes(struct fixture *fixture, unsigned site, int64_t *ret_came,
                           int64_t *ret_unseen)
{
    uint32_t index = history_pool_find(&fixture->collector.histories, scope_at(fixture, site, 0));
    const struct histories *histories = &segment_of(fixture)->histories;
    int64_t sum = 0;

    assert_int_not_equal(index, SCOPE_NONE);
    for (unsigned i = 0; i < HISTORY_MINUTES; i++) {
        const struct history_minute *minute = history_minute_at(histories, index, i);
        if (minute->mark)
            sum += (int64_t)minute->entries - minute->leaves - minute->departures;
    }
    *ret_came = sum;
    *ret_unseen = sum - histories->heads[index].count - histories->heads[index].departure_deficit;
}

static bool has_departures(const struct segment_settings *settings)
{
    return settings->max_histories >= SITES && settings->max_window >= TABLE_ENTER_AGE;
}

/* Check that nobody departs twice, without having been present, or because counts started anew. */
static void check_departures(struct play *play, bool is_anew)
{
    bool known =
        has_departures(&play->fixture->settings) && scope_at(play->fixture, 0, 0) != SCOPE_NONE &&
        scope_at(play->fixture, 1, 0) != SCOPE_NONE &&
        history_pool_find(&play->fixture->collector.histories, scope_at(play->fixture, 0, 0)) !=
            SCOPE_NONE &&
        history_pool_find(&play->fixture->collector.histories, scope_at(play->fixture, 1, 0)) !=
            SCOPE_NONE;

    for (unsigned site = 0; known && site < SITES; site++) {
        int64_t came, unseen;
        add_up_minutes(play->fixture, site, &came, &unseen);
        if (play->is_sampled && (is_anew ? came != play->came[site] + play->pending[site]
                                         : unseen != play->unseen[site]))
            fail_msg("%s: %lld came and stayed, then %lld; %lld unseen, then %lld", site_name(site),
                     (long long)play->came[site], (long long)came, (long long)play->unseen[site],
                     (long long)unseen);
        play->came[site] = came;
        play->unseen[site] = unseen;
    }
    play->is_sampled = known;
}

/* Record the changes that the next sample will find. */
static void record_pending(struct play *play)
{
    const struct segment *segment = segment_of(play->fixture);

    for (unsigned site = 0; site < SITES; site++) {
        uint32_t scope = scope_at(play->fixture, site, 0);
        uint32_t index = scope == SCOPE_NONE
                             ? SCOPE_NONE
                             : history_pool_find(&play->fixture->collector.histories, scope);
        if (index == SCOPE_NONE)
            continue;
        const struct activity *activity = &segment->directory.activities[scope];
        const struct history *head = &segment->histories.heads[index];
        play->pending[site] = (int64_t)(activity->entries - head->entries) -
                              (int64_t)(activity->leaves - head->leaves);
    }
}

static struct segment_settings draw_settings(uint64_t *random)
{
    static const uint32_t windows[] = {60, 300, 300, 480, 481, 600, 3600};
    static const uint32_t scopes[] = {5, 8, 9, 16, 64}, histories[] = {0, 2, 4, 9};
    static const uint32_t events[] = {0, 64, 128, 512}, streams[] = {0, 1, 4, 8};
    struct segment_settings settings = base;

    settings.max_entries = random_next(random) % 4 ? 1000 : 2000;
    settings.max_window = windows[random_next(random) % LENGTH(windows)];
    settings.max_scopes = scopes[random_next(random) % LENGTH(scopes)];
    settings.max_histories = histories[random_next(random) % LENGTH(histories)];
    settings.max_events = events[random_next(random) % LENGTH(events)];
    settings.max_streams = streams[random_next(random) % LENGTH(streams)];
    return settings;
}

/* Remove from the record everybody, or those outside the longest window. */
static void forget(struct play *play, bool is_anew, uint32_t window, uint32_t window_now)
{
    uint64_t now = header_of(play->fixture)->tick;

    for (unsigned i = 0; i < SITES * ROOMS * VISITORS; i++) {
        uint64_t *last = &play->last[0][0][0] + i;
        if (is_anew || (window_now > window && !is_active(*last, now, window)))
            *last = 0;
    }
}

static void move_once(struct play *play)
{
    struct fixture *fixture = play->fixture;
    struct segment_settings before = fixture->settings, wanted = draw_settings(&play->random);
    uint64_t next = 0;

    for (uint64_t left = random_next(&play->random) % 4; left; left--)
        play_batch(play);
    uint64_t received = counter(fixture, COUNTER_datagrams_received);
    uint64_t peaks[SITES] = {peak_of(fixture, 0), peak_of(fixture, 1)};
    if (segment_of(fixture)->events.capacity)
        next = segment_of(fixture)->events.head->next;
    stop_ingest(fixture);
    fixture->settings = wanted;
    start_ingest(fixture);
    record_pending(play);
    bool is_anew = strstr(fixture->collector.file.account, "counts start anew");
    if (wanted.max_entries != before.max_entries)
        assert_true(is_anew);
    else if (wanted.max_scopes >= before.max_scopes)
        assert_false(is_anew);
    forget(play, is_anew, before.max_window, wanted.max_window);
    play->moves += fixture->collector.file.origin == SEGMENT_RENEWED;
    play->anew += is_anew;
    assert_int_equal(counter(fixture, COUNTER_datagrams_received), received);
    for (unsigned site = 0; site < SITES; site++)
        /* A new scope may have an earlier history; an idle one may be gone. */
        if (peaks[site] && scope_at(fixture, site, 0) != SCOPE_NONE)
            assert_int_equal(peak_of(fixture, site), peaks[site]);
    if (before.max_events && wanted.max_events)
        assert_int_equal(segment_of(fixture)->events.head->next, next);
    check_counts(play);
    bool keeps = has_departures(&before) && has_departures(&wanted);
    play->is_sampled &= keeps;
    fixture->clock++;
    collector_maintain(&fixture->collector);
    check_departures(play, is_anew);
}

static void counts_are_right_after_any_restart(void **state)
{
    struct fixture *fixture = *state;
    struct play *play = calloc(1, sizeof(*play));
    unsigned rounds = getenv("TEST_LONG") ? 30000 : 3000;

    assert_non_null(play);
    play->fixture = fixture;
    play->random = random_seed("moves");
    fixture->clock = START + random_next(&play->random) % 60;
    start_ingest(fixture);
    alarm(getenv("TEST_LONG") ? 7200 : 600);
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t draw = random_next(&play->random);
        for (uint64_t left = draw % 6; left; left--)
            play_batch(play);
        /* No gap is longer than a history. */
        fixture->clock += draw >> 8 & 3 ? (draw >> 16) % 9 : (draw >> 16) % 80;
        collector_maintain(&fixture->collector);
        check_departures(play, false);
        if ((draw >> 32) % 8 == 0)
            move_once(play);
        check_counts(play);
        if (round % 400 == 399) /* at most a day */
            play->is_sampled = false;
    }
    print_message("%u moves, %u of them anew\n", play->moves, play->anew);
    assert_true(play->moves > rounds / 20 && play->anew > rounds / 100);
    stop_ingest(fixture);
    free(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(counts_are_right_after_any_restart),
    };
    return cmocka_run_group_tests_name("segment_move_play", tests, NULL, NULL);
}

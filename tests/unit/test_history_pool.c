/* test_history_pool.c - history_pool.h: assigning histories, evicting, and adopting an earlier
 * daemon's. */
#include "collector_fixture.h"

#include <errno.h>

#define HISTORIES 4

static struct history_pool *pool_of(struct fixture *fixture)
{
    return &fixture->collector.histories;
}

static struct history *head_of(struct fixture *fixture, uint32_t index)
{
    return &segment_of(fixture)->histories.heads[index];
}

static uint64_t counted(struct fixture *fixture, enum counter counter)
{
    return segment_of(fixture)->counters[SEGMENT_WORKERS_MAX].values[counter];
}

static void open_pool(struct fixture *fixture, uint32_t max_histories)
{
    fixture->settings.max_scopes = 256;
    fixture->settings.max_histories = max_histories;
    open_collector(fixture);
    if (pool_of(fixture)->high_water == 0)
        pool_of(fixture)->chain_mask = 0; /* all in one chain */
    history_pool_begin(pool_of(fixture));
}

/* Reopen the pool, as the next daemon does. */
static void reopen_pool(struct fixture *fixture)
{
    kill_collector(fixture);
    open_pool(fixture, fixture->settings.max_histories);
}

static uint32_t new_site(struct fixture *fixture, const char *name, uint32_t count)
{
    uint32_t scope = hold_site(fixture, name, START);

    assert_int_equal(history_pool_find(pool_of(fixture), scope), SCOPE_NONE);
    history_pool_consider(pool_of(fixture), scope, count, true);
    return scope;
}

static uint32_t new_room(struct fixture *fixture, const char *site, uint32_t index,
                         const char *name, uint32_t count)
{
    uint32_t scope = hold_label(fixture, site, index, SCOPE_ROOM, name, START);

    assert_int_equal(history_pool_find(pool_of(fixture), scope), SCOPE_NONE);
    history_pool_consider(pool_of(fixture), scope, count, true);
    return scope;
}

/* The rooms "/0", "/1" and so on of "a.example", without visitors. */
static void new_rooms(struct fixture *fixture, uint32_t site, unsigned count, uint32_t *ret)
{
    char name[16];

    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "/%u", i);
        ret[i] = new_room(fixture, "a.example", site, name, 0);
    }
}

/* As the maintenance thread samples it. */
static void set_count(struct fixture *fixture, uint32_t scope, uint32_t count, uint64_t heartbeat)
{
    uint32_t index = history_pool_find(pool_of(fixture), scope);

    assert_int_not_equal(index, SCOPE_NONE);
    head_of(fixture, index)->count = count;
    head_of(fixture, index)->last_heartbeat = heartbeat;
}

static bool has_history(struct fixture *fixture, uint32_t scope)
{
    return history_pool_find(pool_of(fixture), scope) != SCOPE_NONE;
}

/* Retire an entry, as after an hour without a heartbeat. Sites go after their rooms. */
static void retire_all(struct fixture *fixture)
{
    fixture->clock += 4000;
    collector_advance(&fixture->collector);
    collector_make_room(&fixture->collector);
}

/* Check that each history is free, or linked once and found by its scope. */
static void expect_sound(struct fixture *fixture)
{
    const struct history_pool *pool = pool_of(fixture);
    uint32_t linked = 0;

    for (uint32_t chain = 0; chain <= pool->chain_mask; chain++) {
        for (uint32_t link = pool->chains[chain]; link; link = pool->holders[link - 1].next) {
            assert_in_range(link, 1, pool->high_water);
            assert_int_equal((uint32_t)head_of(fixture, link - 1)->hash & pool->chain_mask, chain);
            assert_int_not_equal(head_of(fixture, link - 1)->site_length, 0);
            assert_int_not_equal(++linked, pool->high_water + 1); /* an endless chain */
        }
    }
    assert_int_equal(linked + pool->free_count, pool->high_water);
    for (uint32_t i = 0; i < pool->free_count; i++)
        assert_int_equal(head_of(fixture, pool->free[i])->site_length, 0);
    for (uint32_t i = 0; i < pool->high_water; i++)
        assert_int_equal(head_of(fixture, i)->version & 1, 0);
    for (uint32_t i = pool->high_water; i < segment_of(fixture)->histories.capacity; i++)
        assert_int_equal(head_of(fixture, i)->version, 0);
}

static void any_scope_gets_a_free_history(void **state)
{
    struct fixture *fixture = *state;

    open_pool(fixture, HISTORIES);
    uint32_t site = new_site(fixture, "a.example", 3);
    uint32_t room = new_room(fixture, "a.example", site, "/r", 2);
    const struct history *head = head_of(fixture, history_pool_find(pool_of(fixture), room));
    assert_int_equal(head->kind, SCOPE_ROOM);
    assert_int_equal(head->site_length, 9);
    assert_memory_equal(head->site, "a.example", 9);
    assert_int_equal(head->name_length, 2);
    assert_memory_equal(head->name, "/r", 2);
    assert_int_equal(head->sampled, HISTORY_NEVER);
    assert_int_equal(head->count, 2);
    assert_int_equal(head->departure_deficit, -2); /* all its visitors entered since it began */
    head = head_of(fixture, history_pool_find(pool_of(fixture), site));
    assert_int_equal(head->kind, SCOPE_SITE);
    assert_int_equal(head->name_length, 0);
    assert_int_equal(head->hash, segment_of(fixture)->directory.entries[site].hash);
    expect_sound(fixture);
    kill_collector(fixture);
}

/* A scope that is not new has totals from before. */
static void earlier_totals_are_not_counted(void **state)
{
    struct fixture *fixture = *state;

    open_pool(fixture, HISTORIES);
    uint32_t site = hold_site(fixture, "a.example", START);
    struct activity *activity = &segment_of(fixture)->directory.activities[site];
    *activity = (struct activity){.heartbeats = 70,
                                  .pageviews = 60,
                                  .entries = 50,
                                  .leaves = 40,
                                  .peak_today = peak_word(30, START),
                                  .peak_ever = peak_word(31, START - 9),
                                  .since = START - 100};
    history_pool_consider(pool_of(fixture), site, 7, false);
    const struct history *head = head_of(fixture, history_pool_find(pool_of(fixture), site));
    assert_int_equal(head->heartbeats, 70);
    assert_int_equal(head->pageviews, 60);
    assert_int_equal(head->entries, 50);
    assert_int_equal(head->leaves, 40);
    assert_int_equal(head->count, 7);
    assert_int_equal(head->departure_deficit, 0);
    assert_int_equal(head->since, START - 100);
    assert_int_equal(head->peak_today, activity->peak_today);
    assert_int_equal(head->peak_ever, activity->peak_ever);
    kill_collector(fixture);
}

/* A new site gets the history of the least busy label; a busier label does not yet. */
static void sites_take_those_of_labels(void **state)
{
    struct fixture *fixture = *state;
    uint32_t rooms[3];

    open_pool(fixture, HISTORIES);
    uint32_t site = new_site(fixture, "a.example", 0);
    new_rooms(fixture, site, 3, rooms);
    set_count(fixture, rooms[0], 5, START + 2);
    set_count(fixture, rooms[1], 4, START + 2);
    set_count(fixture, rooms[2], 4, START + 1); /* an older heartbeat */
    uint32_t index = history_pool_find(pool_of(fixture), rooms[2]);
    head_of(fixture, index)->peak_ever = peak_word(9, START);
    head_of(fixture, index)->peak_today = peak_word(8, START);

    history_pool_begin(pool_of(fixture));
    uint32_t busy = new_room(fixture, "a.example", site, "/busy", 500);
    assert_false(has_history(fixture, busy));
    assert_true(has_history(fixture, new_site(fixture, "b.example", 0)));
    assert_false(has_history(fixture, rooms[2]));
    /* Its peaks are back in the directory. */
    const struct activity *activity = &segment_of(fixture)->directory.activities[rooms[2]];
    assert_int_equal(activity->peak_ever, peak_word(9, START));
    assert_int_equal(activity->peak_today, peak_word(8, START));
    assert_true(has_history(fixture, new_site(fixture, "c.example", 0)));
    assert_false(has_history(fixture, rooms[1]));
    assert_true(has_history(fixture, new_site(fixture, "d.example", 0)));
    assert_false(has_history(fixture, rooms[0]));

    /* Sites have all: a site that gets none is counted once. */
    assert_int_equal(counted(fixture, COUNTER_histories_full), 0);
    uint32_t late = new_site(fixture, "e.example", 1000);
    assert_false(has_history(fixture, late));
    history_pool_begin(pool_of(fixture));
    history_pool_consider(pool_of(fixture), late, 1000, false);
    assert_int_equal(counted(fixture, COUNTER_histories_full), 1);
    assert_true(has_history(fixture, site));
    expect_sound(fixture);
    kill_collector(fixture);
}

/* Rooms that came in the same second before the sites give way. */
static void sites_come_first_in_one_round(void **state)
{
    struct fixture *fixture = *state;
    char name[16];

    open_pool(fixture, HISTORIES);
    uint32_t site = new_site(fixture, "a.example", 0);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "/%u", i);
        new_room(fixture, "a.example", site, name, i);
    }
    for (unsigned i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "%u.example", i);
        assert_true(has_history(fixture, new_site(fixture, name, 0)));
    }
    assert_int_equal(counted(fixture, COUNTER_histories_full), 0);
    expect_sound(fixture);
    kill_collector(fixture);
}

/* A busy room that is as new as the site keeps what it got; a quiet one that is older gives way. */
static void sites_spare_busy_new_rooms(void **state)
{
    struct fixture *fixture = *state;
    uint32_t rooms[3];

    open_pool(fixture, HISTORIES);
    uint32_t site = new_site(fixture, "a.example", 0);
    new_rooms(fixture, site, 2, rooms);
    set_count(fixture, rooms[0], 12, START);
    set_count(fixture, rooms[1], 13, START);

    history_pool_begin(pool_of(fixture));
    rooms[2] = new_room(fixture, "a.example", site, "/busy", 75);
    assert_true(has_history(fixture, new_site(fixture, "b.example", 0)));
    assert_true(has_history(fixture, rooms[2]));
    assert_false(has_history(fixture, rooms[0]));
    assert_true(has_history(fixture, new_site(fixture, "c.example", 0)));
    assert_true(has_history(fixture, rooms[2]));
    assert_false(has_history(fixture, rooms[1]));
    expect_sound(fixture);
    kill_collector(fixture);
}

/* As does one that returns in that second, before a site or after one, whose last sample is 0. */
static void sites_spare_busy_returning_rooms(void **state)
{
    struct fixture *fixture = *state;
    uint32_t rooms[4];

    open_pool(fixture, 5);
    collector_listen(&fixture->collector, "test", "");
    uint32_t site = new_site(fixture, "a.example", 0);
    new_rooms(fixture, site, 4, rooms);
    retire_all(fixture);
    site = new_site(fixture, "a.example", 0);
    rooms[0] = new_room(fixture, "a.example", site, "/0", 75);
    rooms[1] = new_room(fixture, "a.example", site, "/1", 0);
    assert_true(has_history(fixture, new_site(fixture, "b.example", 0)));
    rooms[2] = new_room(fixture, "a.example", site, "/2", 50); /* the next in turn */
    assert_true(has_history(fixture, new_site(fixture, "c.example", 0)));
    assert_true(has_history(fixture, rooms[0]));
    assert_false(has_history(fixture, rooms[1]));
    assert_true(has_history(fixture, rooms[2]));
    uint32_t index = history_pool_find(pool_of(fixture), rooms[0]);
    assert_int_equal(head_of(fixture, index)->departure_deficit, -75); /* nobody has left */
    expect_sound(fixture);
    kill_collector(fixture);
}

static void much_busier_labels_take_over(void **state)
{
    struct fixture *fixture = *state;
    struct history_pool *pool;
    uint32_t rooms[3], candidates[3];

    open_pool(fixture, HISTORIES);
    pool = pool_of(fixture);
    uint32_t site = new_site(fixture, "a.example", 0);
    new_rooms(fixture, site, 3, rooms);
    set_count(fixture, rooms[0], 100, START);
    set_count(fixture, rooms[1], 10, START);
    set_count(fixture, rooms[2], 20, START);

    /* Exactly twice as many plus the margin is not enough. */
    history_pool_begin(pool);
    candidates[0] = new_room(fixture, "a.example", site, "/r0", 2 * 10 + HISTORY_CANDIDATE_MARGIN);
    history_pool_promote(pool);
    assert_false(has_history(fixture, candidates[0]));
    assert_true(has_history(fixture, rooms[1]));

    /* Candidates of an earlier round are dropped. */
    history_pool_begin(pool);
    history_pool_consider(pool, candidates[0], 1000, false);
    history_pool_begin(pool);
    history_pool_promote(pool);
    assert_false(has_history(fixture, candidates[0]));

    /* The busiest first; the last candidate is not busy enough for the history left. */
    history_pool_begin(pool);
    history_pool_consider(pool, candidates[0], 29, false);
    candidates[1] = new_room(fixture, "a.example", site, "/r1", 208);
    candidates[2] = new_room(fixture, "a.example", site, "/r2", 500);
    history_pool_promote(pool);
    assert_true(has_history(fixture, candidates[2]));
    assert_true(has_history(fixture, candidates[1]));
    assert_false(has_history(fixture, candidates[0]));
    assert_true(has_history(fixture, rooms[0]));
    assert_false(has_history(fixture, rooms[1]) || has_history(fixture, rooms[2]));
    assert_true(has_history(fixture, site));
    expect_sound(fixture);
    kill_collector(fixture);
}

/* Of more candidates than fit in a minute, the busiest get a history. */
static void the_busiest_rivals_are_heard(void **state)
{
    struct fixture *fixture = *state;
    uint32_t candidates[3 * POOL_CANDIDATES], site;
    char name[16];

    open_pool(fixture, 2 * POOL_CANDIDATES + 1);
    site = new_site(fixture, "a.example", 0);
    for (unsigned i = 0; i < 2 * POOL_CANDIDATES; i++) {
        snprintf(name, sizeof(name), "/%u", i);
        new_room(fixture, "a.example", site, name, 0);
    }
    history_pool_begin(pool_of(fixture));
    for (unsigned i = 0; i < LENGTH(candidates); i++) {
        snprintf(name, sizeof(name), "/r%u", i);
        /* 7 and the number of candidates are coprime: each count once, unordered. */
        candidates[i] =
            new_room(fixture, "a.example", site, name, 100 + i * 7 % LENGTH(candidates));
    }
    history_pool_promote(pool_of(fixture));
    for (unsigned i = 0; i < LENGTH(candidates); i++)
        assert_int_equal(has_history(fixture, candidates[i]),
                         i * 7 % LENGTH(candidates) >= LENGTH(candidates) - POOL_CANDIDATES);
    expect_sound(fixture);
    kill_collector(fixture);
}

/* A freed history is reused before a new one, and is cleared. */
static void free_ones_are_given_again(void **state)
{
    struct fixture *fixture = *state;

    open_pool(fixture, HISTORIES);
    uint32_t first = new_site(fixture, "a.example", 0);
    uint32_t second = new_site(fixture, "b.example", 0);
    uint32_t index = history_pool_find(pool_of(fixture), first);
    const struct histories *histories = &segment_of(fixture)->histories;
    history_minute_at(histories, index, 77)->mark = 77 << 24 | HISTORY_MARK_USED;
    head_of(fixture, index)->seconds[5].mark = 6;
    uint64_t version = head_of(fixture, index)->version;
    history_pool_free(pool_of(fixture), index);
    assert_false(has_history(fixture, first));
    assert_true(has_history(fixture, second));
    expect_sound(fixture);
    uint32_t third = new_site(fixture, "c.example", 0);
    assert_int_equal(history_pool_find(pool_of(fixture), third), index);
    assert_int_equal(pool_of(fixture)->high_water, 2);
    assert_true(head_of(fixture, index)->version >= version + 4);
    assert_int_equal(history_minute_at(histories, index, 77)->mark, 0);
    assert_int_equal(head_of(fixture, index)->seconds[5].mark, 0);
    expect_sound(fixture);
    kill_collector(fixture);
}

/* A site sleeps: its entry is retired, its history is kept. */
static void histories_outlive_their_scopes(void **state)
{
    struct fixture *fixture = *state;

    open_pool(fixture, HISTORIES);
    collector_listen(&fixture->collector, "test", "");
    uint32_t site = new_site(fixture, "a.example", 0);
    uint32_t room = new_room(fixture, "a.example", site, "/r", 0);
    uint32_t of_site = history_pool_find(pool_of(fixture), site);
    uint32_t of_room = history_pool_find(pool_of(fixture), room);
    head_of(fixture, of_room)->heartbeats = 123; /* as sampled */
    head_of(fixture, of_room)->peak_ever = peak_word(9, START);
    retire_all(fixture);
    /* Others use their entries now. */
    uint32_t other = new_site(fixture, "b.example", 0);
    uint32_t another = new_site(fixture, "c.example", 0);
    expect_sound(fixture);
    site = new_site(fixture, "a.example", 0);
    room = new_room(fixture, "a.example", site, "/r", 0);
    assert_int_equal(history_pool_find(pool_of(fixture), site), of_site);
    assert_int_equal(history_pool_find(pool_of(fixture), room), of_room);
    assert_int_equal(head_of(fixture, of_room)->heartbeats, 0); /* a new generation begins at 0 */
    assert_int_equal(head_of(fixture, of_room)->peak_ever, peak_word(9, START));
    assert_true(has_history(fixture, other) && has_history(fixture, another));
    assert_int_equal(pool_of(fixture)->high_water, 4);
    expect_sound(fixture);
    kill_collector(fixture);
}

static void the_next_daemon_goes_on(void **state)
{
    struct fixture *fixture = *state;
    uint32_t sites[3], indexes[3];

    open_pool(fixture, 6);
    sites[0] = new_site(fixture, "a.example", 0);
    sites[1] = new_room(fixture, "a.example", sites[0], "/r", 0);
    sites[2] = new_site(fixture, "b.example", 0);
    uint32_t half = new_site(fixture, "half.example", 0);
    uint32_t freed = new_site(fixture, "freed.example", 0);
    for (unsigned i = 0; i < 3; i++) {
        indexes[i] = history_pool_find(pool_of(fixture), sites[i]);
        head_of(fixture, indexes[i])->heartbeats = 10 + i;
    }
    /* The daemon is killed while it names a history. */
    head_of(fixture, history_pool_find(pool_of(fixture), half))->version++;
    history_pool_free(pool_of(fixture), history_pool_find(pool_of(fixture), freed));
    reopen_pool(fixture);
    expect_sound(fixture);
    assert_int_equal(pool_of(fixture)->high_water, 5);
    assert_int_equal(pool_of(fixture)->free_count, 2);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(history_pool_find(pool_of(fixture), sites[i]), indexes[i]);
        assert_int_equal(head_of(fixture, indexes[i])->heartbeats,
                         10 + i); /* the same generation */
    }
    assert_false(has_history(fixture, half) || has_history(fixture, freed));
    /* None has leaked: three are free, and sites also get the room's. */
    for (unsigned i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%u.example", i);
        assert_true(has_history(fixture, new_site(fixture, name, 0)));
    }
    assert_false(has_history(fixture, sites[1]));
    assert_int_equal(counted(fixture, COUNTER_histories_full), 0);
    expect_sound(fixture);
    kill_collector(fixture);
}

static void without_histories_nothing_is_given(void **state)
{
    struct fixture *fixture = *state;

    open_pool(fixture, 0);
    uint32_t site = new_site(fixture, "a.example", 5);
    history_pool_promote(pool_of(fixture));
    assert_false(has_history(fixture, site));
    assert_int_equal(counted(fixture, COUNTER_histories_full), 0);
    kill_collector(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(any_scope_gets_a_free_history), TEST(earlier_totals_are_not_counted),
        TEST(sites_take_those_of_labels),    TEST(sites_come_first_in_one_round),
        TEST(sites_spare_busy_new_rooms),    TEST(sites_spare_busy_returning_rooms),
        TEST(much_busier_labels_take_over),  TEST(the_busiest_rivals_are_heard),
        TEST(free_ones_are_given_again),     TEST(histories_outlive_their_scopes),
        TEST(the_next_daemon_goes_on),       TEST(without_histories_nothing_is_given),
    };
    return cmocka_run_group_tests_name("history_pool", tests, NULL, NULL);
}

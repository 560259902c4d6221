/* test_directory.c - directory.h: scopes are created, held and retired. */
#include "../support/asleep.h"
#include "directory_fixture.h"

static const uint64_t start = 1000000;

static void scopes_are_created_once(void **state)
{
    (void)state;
    struct fixture fixture;
    open_directory(&fixture, 8, 3600);

    assert_int_equal(hold_site(&fixture, "a.example", 0), SCOPE_NONE);
    assert_int_equal(counted(&fixture, COUNTER_scopes_created), 0);
    uint32_t site = hold_site(&fixture, "a.example", start);
    assert_in_range(site, 0, 7);
    assert_int_equal(hold_site(&fixture, "a.example", start + 1), site);
    assert_int_equal(hold_site(&fixture, "a.example", 0), site);
    uint32_t room = hold_label(&fixture, "a.example", site, SCOPE_ROOM, "DE", start);
    uint32_t country = hold_label(&fixture, "a.example", site, SCOPE_COUNTRY, "DE", start);
    uint32_t source = hold_label(&fixture, "a.example", site, SCOPE_SOURCE, "DE", start);
    uint32_t other = hold_site(&fixture, "DE", start);
    assert_int_equal(directory_used(&fixture.writer), 5);
    const uint32_t all[] = {site, room, country, source, other};
    for (size_t i = 0; i < LENGTH(all); i++) {
        assert_in_range(all[i], 0, 7);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(all[i], all[j]);
    }
    assert_int_equal(counted(&fixture, COUNTER_scopes_created), 5);
    assert_int_equal(counted(&fixture, COUNTER_scopes_retired), 0);
    expect_sound(&fixture);
    close_directory(&fixture);
}

static void entries_have_their_names_and_states(void **state)
{
    (void)state;
    struct fixture fixture;
    open_directory(&fixture, 8, 3600);
    const uint64_t *secret = fixture.segment.header->secret;
    struct scope_name site_name = name_site(&fixture, "a.example");
    struct scope_key site_key = scope_key_derive(secret, NULL, &site_name);

    uint32_t site = hold_site(&fixture, "a.example", start);
    const struct scope_entry *entry = entry_of(&fixture, site);
    assert_int_equal(scope_state_of(entry->state), SCOPE_LIVE);
    assert_int_equal(entry->last_heartbeat, start);
    assert_int_equal(entry->site, site);
    assert_int_equal(entry->kind, SCOPE_SITE);
    assert_int_equal(entry->name_length, 9);
    assert_memory_equal(entry->name, "a.example", 9);
    assert_true(entry->hash == site_name.hash);
    assert_memory_equal(&entry->key, &site_key, sizeof(site_key));

    struct scope_name room_name = name_label(&fixture, "a.example", site, SCOPE_ROOM, "/");
    struct scope_key room_key = scope_key_derive(secret, &site_key, &room_name);
    entry = entry_of(&fixture, hold_label(&fixture, "a.example", site, SCOPE_ROOM, "/", start + 5));
    assert_int_equal(entry->site, site);
    assert_int_equal(entry->kind, SCOPE_ROOM);
    assert_int_equal(entry->last_heartbeat, start + 5);
    assert_memory_equal(&entry->key, &room_key, sizeof(room_key));
    close_directory(&fixture);
}

static void the_longest_names_fit(void **state)
{
    (void)state;
    struct fixture fixture;
    char longest[SCOPE_NAME_MAX + 1] = {0}, shorter[SCOPE_NAME_MAX] = {0};
    open_directory(&fixture, 8, 3600);

    memset(longest, 'x', SCOPE_NAME_MAX);
    memset(shorter, 'x', SCOPE_NAME_MAX - 1);
    uint32_t site = hold_site(&fixture, "x", start);
    uint32_t a = hold_label(&fixture, "x", site, SCOPE_ROOM, longest, start);
    uint32_t b = hold_label(&fixture, "x", site, SCOPE_ROOM, shorter, start);
    assert_int_not_equal(a, b);
    assert_int_equal(hold_label(&fixture, "x", site, SCOPE_ROOM, longest, 0), a);
    assert_int_equal(hold_label(&fixture, "x", site, SCOPE_ROOM, shorter, 0), b);
    assert_memory_equal(entry_of(&fixture, a)->name, longest, SCOPE_NAME_MAX);
    close_directory(&fixture);
}

static void a_full_directory_refuses_and_keeps(void **state)
{
    (void)state;
    struct fixture fixture;
    char names[9][8];
    open_directory(&fixture, 8, 3600);

    for (unsigned i = 0; i < 9; i++) {
        snprintf(names[i], sizeof(names[i]), "site%u", i);
        assert_true((hold_site(&fixture, names[i], start) == SCOPE_NONE) == (i == 8));
    }
    for (unsigned i = 0; i < 9; i++)
        assert_true((hold_site(&fixture, names[i], 0) == SCOPE_NONE) == (i == 8));
    assert_int_equal(hold_label(&fixture, "site0", 0, SCOPE_ROOM, "/", start), SCOPE_NONE);
    assert_int_equal(counted(&fixture, COUNTER_scopes_created), 8);
    expect_sound(&fixture);
    /* One is retired: its entry is reused. */
    for (uint32_t i = 0; i < 8; i++)
        entry_of(&fixture, i)->last_heartbeat = start + (i != 3 ? 1 : 0);
    assert_int_equal(retire_all(&fixture, start + 3601), 1);
    assert_int_equal(hold_site(&fixture, names[8], start + 3601), 3);
    assert_int_equal(hold_site(&fixture, "one more", start + 3601), SCOPE_NONE);
    close_directory(&fixture);
}

/* A scope is retired once its last heartbeat is older than the longest window, rounded. */
static void idle_scopes_are_retired(void **state)
{
    (void)state;
    static const struct {
        uint32_t max_window, longest;
    } cases[] = {{1, 1},     {10, 10},   {300, 300},   {480, 480},
                 {481, 540}, {540, 540}, {3599, 3600}, {3600, 3600}};

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct fixture fixture;
        open_directory(&fixture, 8, cases[i].max_window);
        uint32_t index = hold_site(&fixture, "a", start);
        uint64_t before = entry_of(&fixture, index)->state;
        assert_int_equal(retire_all(&fixture, start), 0);
        assert_int_equal(retire_all(&fixture, start + cases[i].longest), 0);
        assert_int_equal(fixture.graces, 0); /* no grace period when nothing is idle */
        assert_int_equal(hold_site(&fixture, "a", 0), index);
        assert_int_equal(retire_all(&fixture, start + cases[i].longest + 1), 1);
        assert_int_equal(fixture.graces, 2);
        assert_int_equal(hold_site(&fixture, "a", 0), SCOPE_NONE);
        assert_int_equal(counted(&fixture, COUNTER_scopes_retired), 1);
        /* Readers see the next generation, and a change of the directory. */
        assert_int_equal(entry_of(&fixture, index)->state,
                         (before & ~SCOPE_STATE_MASK) + SCOPE_GENERATION + SCOPE_FREE);
        assert_int_equal(fixture.segment.header->directory_changes, 1);
        expect_sound(&fixture);
        close_directory(&fixture);
    }
}

static void sites_outlive_their_labels(void **state)
{
    (void)state;
    struct fixture fixture;
    open_directory(&fixture, 8, 300);

    uint32_t site = hold_site(&fixture, "a", start);
    hold_label(&fixture, "a", site, SCOPE_ROOM, "/1", start);
    hold_label(&fixture, "a", site, SCOPE_COUNTRY, "DE", start);
    hold_label(&fixture, "a", site, SCOPE_SOURCE, "s", start + 10);
    hold_site(&fixture, "b", start);
    assert_int_equal(retire_all(&fixture, start + 301), 3); /* two labels and b */
    assert_int_equal(hold_site(&fixture, "a", 0), site);
    assert_int_equal(retire_all(&fixture, start + 301), 0);
    assert_int_equal(retire_all(&fixture, start + 311), 1);
    assert_int_equal(hold_label(&fixture, "a", site, SCOPE_SOURCE, "s", 0), SCOPE_NONE);
    assert_int_equal(hold_site(&fixture, "a", 0), site);
    assert_int_equal(retire_all(&fixture, start + 311), 1);
    assert_int_equal(hold_site(&fixture, "a", 0), SCOPE_NONE);
    assert_int_equal(counted(&fixture, COUNTER_scopes_retired), 5);
    assert_int_equal(fixture.segment.header->directory_changes, 5);
    expect_sound(&fixture);
    close_directory(&fixture);
}

/* Workers between the mark and the end of the grace period. */

static void hold_a(struct fixture *fixture)
{
    uint32_t index = hold_site(fixture, "a", 0);

    assert_int_not_equal(index, SCOPE_NONE);
    assert_int_equal(state_of(fixture, index), SCOPE_LIVE);
}

static void create_a(struct fixture *fixture)
{
    assert_int_equal(hold_site(fixture, "a", start + 301), 0);
    assert_int_equal(state_of(fixture, 0), SCOPE_LIVE);
}

/* Use a scope that was found before the mark, in a batch that still runs. */
static void touch_a(struct fixture *fixture)
{
    assert_int_equal(state_of(fixture, 0), SCOPE_RETIRING);
    entry_of(fixture, 0)->last_heartbeat = start + 1;
}

static void look_at_b(struct fixture *fixture)
{
    assert_int_equal(hold_site(fixture, "b", 0), 1);
    if (fixture->graces > 1) { /* unlinked by now, but not reusable yet */
        assert_int_equal(state_of(fixture, 0), SCOPE_FREE);
        assert_int_equal(hold_site(fixture, "c", start + 301), SCOPE_NONE);
        return;
    }
    assert_int_equal(state_of(fixture, 0), SCOPE_RETIRING);
    /* Readers still find it. */
    struct scope_name name = name_site(fixture, "a");
    uint64_t found;
    assert_int_equal(scope_find(&fixture->segment.directory, &name, &found), 0);
}

static void scopes_used_in_the_meantime_stay(void **state)
{
    (void)state;
    static const struct {
        void (*meanwhile)(struct fixture *);
        bool stays;
    } cases[] = {{hold_a, true}, {create_a, true}, {touch_a, true}, {look_at_b, false}};

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct fixture fixture;
        open_directory(&fixture, 2, 300);
        assert_int_equal(hold_site(&fixture, "a", start), 0);
        assert_int_equal(hold_site(&fixture, "b", start + 100), 1);
        uint64_t before = entry_of(&fixture, 0)->state;
        fixture.meanwhile = cases[i].meanwhile;
        assert_int_equal(retire_all(&fixture, start + 301), cases[i].stays ? 0 : 1);
        assert_int_equal(fixture.graces, cases[i].stays ? 1 : 2);
        assert_int_equal(counted(&fixture, COUNTER_scopes_retired), cases[i].stays ? 0 : 1);
        assert_int_equal(counted(&fixture, COUNTER_scopes_created), 2);
        assert_int_equal(hold_site(&fixture, "a", 0), cases[i].stays ? 0 : SCOPE_NONE);
        if (cases[i].stays)
            assert_int_equal(entry_of(&fixture, 0)->state, before);
        expect_sound(&fixture);
        /* The next attempt retires it if it stays idle. */
        fixture.meanwhile = NULL;
        assert_int_equal(retire_all(&fixture, start + 302), cases[i].stays ? 1 : 0);
        close_directory(&fixture);
    }
}

static uint32_t walker_at; /* the entry that a worker has reached */
static unsigned expected_ahead;

static unsigned count_ahead(struct fixture *fixture)
{
    unsigned count = 0;

    for (uint32_t link = entry_of(fixture, walker_at)->next; link;
         link = entry_of(fixture, link - 1)->next)
        count++;
    return count;
}

static void walk_on(struct fixture *fixture)
{
    assert_int_equal(count_ahead(fixture), expected_ahead);
}

/* A worker that has reached an entry which is removed still finds what follows in the chain. */
static void chains_go_on_behind_a_removed_entry(void **state)
{
    static const char *const sites[] = {"a", "b", "c", "d"};
    const uint64_t later = start + 1000;
    struct fixture fixture;

    (void)state;
    open_directory(&fixture, LENGTH(sites), 60);
    fixture.segment.directory.head_mask = 0; /* one chain */
    for (unsigned i = 0; i < LENGTH(sites); i++)
        hold_site(&fixture, sites[i], start);
    walker_at = fixture.segment.directory.heads[0] - 1; /* the first of the chain */
    for (uint32_t i = 0; i < LENGTH(sites); i++)
        entry_of(&fixture, i)->last_heartbeat = i == walker_at ? start : later;
    expected_ahead = count_ahead(&fixture);
    assert_int_equal(expected_ahead, LENGTH(sites) - 1);
    fixture.meanwhile = walk_on;
    assert_int_equal(retire_all(&fixture, later), 1);
    assert_true(fixture.graces > 0);
    assert_int_equal(state_of(&fixture, walker_at), SCOPE_FREE);
    close_directory(&fixture);
}

static void parts_of_the_directory_are_retired(void **state)
{
    (void)state;
    static const struct {
        uint32_t first, count, retired;
    } cases[] = {{0, 0, 0}, {0, 1, 1}, {2, 3, 3}, {6, 4, 4}, {7, 1, 1}, {3, 8, 8}};

    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct fixture fixture;
        open_directory(&fixture, 8, 300);
        for (unsigned j = 0; j < 8; j++) {
            char name[8];
            snprintf(name, sizeof(name), "site%u", j);
            assert_int_equal(hold_site(&fixture, name, start), j);
        }
        assert_int_equal(directory_retire(&fixture.writer, start + 301, cases[i].first,
                                          cases[i].count, pass_boundary, &fixture),
                         cases[i].retired);
        for (uint32_t j = 0; j < 8; j++)
            assert_true((state_of(&fixture, j) == SCOPE_FREE) ==
                        ((j + 8 - cases[i].first) % 8 < cases[i].count));
        close_directory(&fixture);
    }
}

static void reused_entries_start_from_nothing(void **state)
{
    (void)state;
    struct fixture fixture;
    open_directory(&fixture, 1, 300);
    struct ring *ring = &fixture.segment.directory.rings[0];

    assert_int_equal(hold_site(&fixture, "a", start), 0);
    struct scope_key key = entry_of(&fixture, 0)->key;
    uint64_t live = entry_of(&fixture, 0)->state;
    ring_add(ring, start, 1000);
    ring_add(ring, start - 400, -7);
    assert_int_equal(retire_all(&fixture, start + 301), 1);
    assert_int_equal(hold_site(&fixture, "bb", start + 301), 0);
    for (unsigned i = 0; i < RING_SECONDS; i++)
        assert_int_equal(ring->seconds[i], 0);
    for (unsigned i = 0; i < RING_MINUTES; i++)
        assert_int_equal(ring->minutes[i], 0);
    assert_int_equal(entry_of(&fixture, 0)->last_heartbeat, start + 301);
    assert_memory_not_equal(&entry_of(&fixture, 0)->key, &key, sizeof(key));
    assert_false(scope_is_same(entry_of(&fixture, 0), live));
    assert_int_equal(hold_site(&fixture, "a", 0), SCOPE_NONE);
    /* The same name has the same key again: its visitors' words are still in the table. */
    assert_int_equal(retire_all(&fixture, start + 602), 1);
    assert_int_equal(hold_site(&fixture, "a", start + 602), 0);
    assert_memory_equal(&entry_of(&fixture, 0)->key, &key, sizeof(key));
    close_directory(&fixture);
}

/* 24 names come and go in 12 entries with long chains: after each step the directory holds exactly
 * the scopes of the model. */
static void random_scopes_follow_the_model(void **state)
{
    (void)state;
    struct fixture fixture;
    uint64_t random = random_seed("directory"), now = start;
    uint64_t last[24] = {0}; /* heartbeat; 0: unknown */
    open_directory(&fixture, 12, 300);

    fixture.segment.directory.head_mask = 1; /* two chains */
    for (unsigned step = 0; step < 20000; step++) {
        uint64_t draw = random_next(&random);
        unsigned who = (unsigned)(draw % LENGTH(last)), known = 0, idle = 0;
        char name[8];
        now += draw >> 16 & 31;
        if (draw >> 24 & 3) {
            for (unsigned i = 0; i < LENGTH(last); i++)
                known += last[i] != 0;
            snprintf(name, sizeof(name), "site%u", who);
            uint32_t index = hold_site(&fixture, name, now);
            assert_true((index == SCOPE_NONE) == (!last[who] && known == 12));
            if (index != SCOPE_NONE)
                entry_of(&fixture, index)->last_heartbeat = last[who] = now;
        } else {
            for (unsigned i = 0; i < LENGTH(last); i++) {
                if (!last[i] || last[i] + 300 >= now)
                    continue;
                idle++;
                last[i] = 0;
            }
            assert_int_equal(retire_all(&fixture, now), idle);
        }
        for (unsigned i = 0; i < LENGTH(last); i++) {
            snprintf(name, sizeof(name), "site%u", i);
            if ((hold_site(&fixture, name, 0) == SCOPE_NONE) != (last[i] == 0))
                fail_msg("step %u: %s is %s", step, name, last[i] ? "lost" : "still there");
        }
        expect_sound(&fixture);
    }
    close_directory(&fixture);
}

struct worker {
    struct fixture *fixture;
    pthread_t thread;
    pid_t id;
    uint32_t site;
};

static void *hold_new(void *context)
{
    struct worker *worker = context;

    atomic_store_release(&worker->id, gettid()); /* pairs with workers_create_a_scope_once */
    worker->site = hold_site(worker->fixture, "new.example", start);
    return NULL;
}

/* Both find that the site is not there, and wait for each other to create it. */
static void workers_create_a_scope_once(void **state)
{
    (void)state;
    struct fixture fixture;
    struct worker workers[2];
    open_directory(&fixture, 8, 3600);

    pthread_mutex_lock(&fixture.writer.mutex);
    for (unsigned i = 0; i < 2; i++) {
        workers[i] = (struct worker){.fixture = &fixture};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, hold_new, &workers[i]), 0);
        while (atomic_load_acquire(&workers[i].id) == 0)
            sched_yield();
        wait_until_asleep(workers[i].id);
    }
    pthread_mutex_unlock(&fixture.writer.mutex);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    assert_int_equal(workers[0].site, workers[1].site);
    assert_int_equal(counted(&fixture, COUNTER_scopes_created), 1);
    close_directory(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scopes_are_created_once),
        cmocka_unit_test(entries_have_their_names_and_states),
        cmocka_unit_test(the_longest_names_fit),
        cmocka_unit_test(a_full_directory_refuses_and_keeps),
        cmocka_unit_test(idle_scopes_are_retired),
        cmocka_unit_test(sites_outlive_their_labels),
        cmocka_unit_test(scopes_used_in_the_meantime_stay),
        cmocka_unit_test(chains_go_on_behind_a_removed_entry),
        cmocka_unit_test(parts_of_the_directory_are_retired),
        cmocka_unit_test(reused_entries_start_from_nothing),
        cmocka_unit_test(random_scopes_follow_the_model),
        cmocka_unit_test(workers_create_a_scope_once),
    };
    return cmocka_run_group_tests_name("directory", tests, NULL, NULL);
}

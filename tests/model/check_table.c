/* check_table.c - table.h is exact in every interleaving of a few threads; see interleavings.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "interleavings.h"

#define NOW           INTERLEAVINGS_NOW

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- the judge ------------------------------------------------------------------------------- */

static int holds(uint64_t word, uint64_t tick)
{
    return word && table_tick(word, NOW) == tick;
}

/* True if a tick's count is that of its words. */
static bool is_counted(const struct setup *setup, const struct scene *scene, uint64_t tick)
{
    int there = 0;

    for (unsigned i = 0; i < setup->slots; i++)
        there += holds(scene->words[i], tick) - holds(setup->initial[i], tick);
    for (unsigned i = 0; i < setup->threads; i++) {
        const struct moves *moves = &scene->results[i]->moves;
        for (unsigned j = 0; j < moves->length; j++)
            there -= moves->list[j].tick == tick ? moves->list[j].delta : 0;
    }
    return there == 0;
}

/* Where a slot is reused, the count of its old word's tick stays, which no window counts. */
static const char *judge_counts(const struct setup *setup, const struct scene *scene)
{
    static const uint64_t ticks[] = {NOW + 1, NOW, NOW - 10};
    int added = 0;

    for (unsigned i = 0; i < LENGTH(ticks); i++) {
        if (!is_counted(setup, scene, ticks[i]))
            return "a tick's count is wrong";
    }
    for (unsigned i = 0; i < setup->slots; i++)
        added += (scene->words[i] != 0) - (setup->initial[i] != 0);
    for (unsigned i = 0; i < setup->threads; i++)
        added -= scene->results[i]->words;
    return added ? "the number of words is wrong" : NULL;
}

/* All that was done with a key. Ticks are 0 where there is none. */
struct account {
    unsigned copies, heartbeats, refused, leaves;
    uint64_t tick, newest, newest_late; /* of all copies, of ended heartbeats and at first */
    bool has_late_leave;
    bool was_fresh; /* it was there, in a slot that may not be reused */
};

static void add_job(struct account *account, const struct job *job, const struct result *result,
                    bool is_late)
{
    if (job->kind == LEAVE) {
        account->leaves++;
        account->has_late_leave |= is_late;
    } else if (!result) {
        return; /* nobody relies on it yet */
    } else if (result->is_full) {
        account->refused++;
    } else {
        account->heartbeats++;
        account->newest = job->now > account->newest ? job->now : account->newest;
        if (is_late && job->now > account->newest_late)
            account->newest_late = job->now;
    }
}

static struct account account_for(const struct setup *setup, const struct scene *scene,
                                  unsigned key)
{
    const uint64_t fingerprint = interleavings_keys[key].fingerprint;
    struct account account = {0};

    for (unsigned i = 0; i < setup->slots; i++) {
        if (table_matches(scene->words[i], fingerprint)) {
            uint64_t tick = table_tick(scene->words[i], NOW);
            account.copies++;
            account.tick = tick > account.tick ? tick : account.tick;
        }
        if (table_matches(setup->initial[i], fingerprint)) {
            account.newest = table_tick(setup->initial[i], NOW);
            account.was_fresh = !table_is_old(setup->initial[i], NOW, INTERLEAVINGS_LONGEST);
        }
    }
    for (unsigned i = 0; i < setup->threads; i++) {
        if (setup->jobs[i].kind != SWEEP && setup->jobs[i].key == key)
            add_job(&account, &setup->jobs[i], scene->results[i], scene->is_late[i]);
    }
    return account;
}

/* What was acknowledged stays: once a heartbeat has ended, its visitor is there, and as new. */
static const char *judge_on_the_way(const struct account *account)
{
    bool is_needed = account->heartbeats || account->was_fresh;

    return !account->leaves && is_needed && account->tick < account->newest
               ? "an ended heartbeat is not there for a moment"
               : NULL;
}

static const char *judge_in_the_end(const struct account *account)
{
    if (account->copies > 1)
        return "a key is there twice";
    if (!account->leaves && account->copies == 0 && (account->heartbeats || account->was_fresh))
        return "a key was lost";
    if (!account->leaves && account->copies && account->tick != account->newest)
        return "the newest tick was lost";
    if (account->leaves && account->tick < account->newest_late)
        return "a heartbeat that began after all leaves was lost, or its tick";
    if (account->leaves && account->copies &&
        (account->heartbeats + account->refused == 0 ||
         (account->has_late_leave && account->leaves == 1)))
        return "a leave that began after all heartbeats left a copy";
    return NULL;
}

static const char *judge(const struct setup *setup, const struct scene *scene)
{
    for (unsigned key = 0; key < INTERLEAVINGS_KEYS; key++) {
        struct account account = account_for(setup, scene, key);
        const char *violation =
            scene->have_ended ? judge_in_the_end(&account) : judge_on_the_way(&account);
        if (violation)
            return violation;
    }
    return scene->have_ended ? judge_counts(setup, scene) : NULL;
}

/* ---- setups ---------------------------------------------------------------------------------- */

static const struct job jobs[] = {
    {HEARTBEAT, 0, NOW}, {HEARTBEAT, 0, NOW + 1}, {LEAVE, 0, NOW},
    {HEARTBEAT, 1, NOW}, {LEAVE, 1, NOW},         {SWEEP, 0, NOW},
};

/* Of words: the next heartbeat may be an enter, no window counts it, no bucket does. */
static const uint64_t ages[] = {0, 10, INTERLEAVINGS_LONGEST + 5, INTERLEAVINGS_EXPIRY + 5};

struct tally {
    uint64_t setups, states, endings;
    const char *violation;
};

static void print_setup(const struct setup *setup)
{
    static const char *const kinds[] = {"heartbeat", "leave", "sweep"};

    for (unsigned i = 0; i < setup->threads; i++)
        print_message("  %s of key %u at %+d\n", kinds[setup->jobs[i].kind], setup->jobs[i].key,
                      (int)(setup->jobs[i].now - NOW));
    for (unsigned i = 0; i < setup->slots; i++)
        print_message("  slot %u: %#llx\n", i, (unsigned long long)setup->initial[i]);
}

static void visit(const struct setup *setup, struct tally *tally)
{
    struct visited visited = interleavings_visit(setup, judge);

    tally->setups++;
    tally->states += visited.states;
    tally->endings += visited.endings;
    tally->violation = visited.violation;
    if (tally->violation && !setup->fault)
        print_setup(setup);
}

/* Visit all that the slots from `slot` on may hold: nothing, or a key that is in none before. */
static void visit_words(struct setup *setup, unsigned slot, unsigned there, struct tally *tally)
{
    if (tally->violation)
        return;
    if (slot == setup->slots || slot == INTERLEAVINGS_SLOTS) {
        visit(setup, tally);
        return;
    }
    setup->initial[slot] = 0;
    visit_words(setup, slot + 1, there, tally);
    for (unsigned key = 0; key < INTERLEAVINGS_KEYS; key++) {
        for (unsigned age = 0; age < LENGTH(ages) && !(there >> key & 1); age++) {
            setup->initial[slot] = table_word(interleavings_keys[key].fingerprint, NOW - ages[age]);
            visit_words(setup, slot + 1, there | 1u << key, tally);
        }
    }
}

/* Visit all that the threads from `thread` on may do, in the order of `jobs`, and one sweep. */
static void visit_jobs(struct setup *setup, unsigned thread, unsigned first, struct tally *tally)
{
    if (thread == setup->threads || thread == INTERLEAVINGS_THREADS) {
        visit_words(setup, 0, 0, tally);
        return;
    }
    for (unsigned i = first; i < LENGTH(jobs); i++) {
        setup->jobs[thread] = jobs[i];
        visit_jobs(setup, thread + 1, jobs[i].kind == SWEEP ? i + 1 : i, tally);
    }
}

static void print_tally(const struct setup *setup, const struct tally *tally)
{
    print_message("%u threads, %u slots: %llu setups, %llu states, %llu endings%s%s\n",
                  setup->threads, setup->slots, (unsigned long long)tally->setups,
                  (unsigned long long)tally->states, (unsigned long long)tally->endings,
                  tally->violation ? ": " : "", tally->violation ? tally->violation : "");
}

static struct tally visit_all(unsigned threads, unsigned slots, enum fault fault)
{
    struct setup setup = {.threads = threads, .slots = slots, .fault = fault};
    struct tally tally = {0};

    visit_jobs(&setup, 0, 0, &tally);
    print_tally(&setup, &tally);
    return tally;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void two_threads(void **state)
{
    (void)state;
    for (unsigned slots = 1; slots <= INTERLEAVINGS_SLOTS; slots++)
        assert_null(visit_all(2, slots, NO_FAULT).violation);
}

static void three_threads(void **state)
{
    (void)state;
    for (unsigned slots = 1; slots <= (getenv("TEST_LONG") ? 3 : 2); slots++)
        assert_null(visit_all(3, slots, NO_FAULT).violation);
}

/* Two heartbeats find another slot free each, since a third visitor leaves or is swept in between.
 * Nobody undoes their work, so that all end. */
static void racing_inserts(void **state)
{
    static const struct job makes_room[] = {{LEAVE, 1, NOW}, {SWEEP, 0, NOW}};

    (void)state;
    for (unsigned slots = 2; slots <= INTERLEAVINGS_SLOTS; slots++) {
        struct tally tally = {0};
        struct setup setup = {.threads = 3, .slots = slots};
        for (unsigned i = 0; i < 3 * LENGTH(makes_room) && !tally.violation; i++) {
            setup.jobs[0] = jobs[i % 3 / 2];
            setup.jobs[1] = jobs[(i % 3 + 1) / 2];
            setup.jobs[2] = makes_room[i / 3];
            setup.initial[0] =
                table_word(interleavings_keys[1].fingerprint, NOW - ages[i / 3 ? 3 : 0]);
            visit(&setup, &tally);
        }
        print_tally(&setup, &tally);
        assert_null(tally.violation);
    }
}

/* As a collector that was killed between an insert's swap and its scan may leave them. */
static void leaves_of_two_copies(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 2; threads++) {
        struct tally tally = {0};
        struct setup setup = {.threads = threads, .slots = 2};
        for (unsigned i = 0; i < threads; i++)
            setup.jobs[i] = (struct job){LEAVE, 0, NOW};
        for (unsigned i = 0; i < setup.slots; i++)
            setup.initial[i] = table_word(interleavings_keys[0].fingerprint, NOW - ages[i]);
        visit(&setup, &tally);
        print_tally(&setup, &tally);
        assert_null(tally.violation);
    }
}

/* It stores where it need not look, while the sweep runs beside it. */
static void a_lone_writer_and_the_sweep(void **state)
{
    (void)state;
    for (unsigned slots = 1; slots <= INTERLEAVINGS_SLOTS; slots++) {
        struct tally tally = {0};
        struct setup setup = {.threads = 2, .slots = slots, .lone_writer = true};
        setup.jobs[1] = jobs[LENGTH(jobs) - 1];
        for (unsigned i = 0; jobs[i].kind != SWEEP; i++) {
            setup.jobs[0] = jobs[i];
            visit_words(&setup, 0, 0, &tally);
        }
        print_tally(&setup, &tally);
        assert_null(tally.violation);
    }
}

static void a_swap_that_does_not_look_is_found(void **state)
{
    (void)state;
    for (enum fault fault = BLIND_INSERT; fault <= BLIND_CLEAR; fault++)
        assert_non_null(visit_all(2, 2, fault).violation);
}

static int open_search(void **state)
{
    (void)state;
    return interleavings_open();
}

static int close_search(void **state)
{
    (void)state;
    interleavings_close();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_threads),
        cmocka_unit_test(three_threads),
        cmocka_unit_test(racing_inserts),
        cmocka_unit_test(leaves_of_two_copies),
        cmocka_unit_test(a_lone_writer_and_the_sweep),
        cmocka_unit_test(a_swap_that_does_not_look_is_found),
    };

    return cmocka_run_group_tests_name("table", tests, open_search, close_search);
}

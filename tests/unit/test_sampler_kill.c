/* test_sampler_kill.c - sampler.h and history_pool.h killed at every store: a child assigns
 * histories and samples, one instruction at a time. After each change of the segment a reader reads
 * it, and the next daemon continues in a copy. */
#include "../support/buckets.h"
#include "../support/scratch.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <presence/presence.h>

#include "directory.h"
#include "sampler.h"
#include "segment_file.h"
#include "segment_judge.h"

#define HISTORIES 3
#define SCOPES    8
#define FLOW      7                 /* heartbeats, enters, ... between two samples */
#define PACE      10                /* seconds between samples */
#define BEGIN     UINT64_C(5000040) /* tick at which a minute begins */
#define LAST      (BEGIN + 200)     /* tick of the last sample before the child starts */
#define NEXT      (BEGIN + 240)     /* the next minute; the visitors of BEGIN still count */
#define SKIPPED   77

static const struct segment_settings settings = {
    .max_entries = 16, .max_scopes = SCOPES, .max_window = 300, .max_histories = HISTORIES};

struct daemon {
    struct scratch scratch;
    struct segment_file file;
    struct directory_writer directory;
    struct history_pool pool;
    struct presence *reader;
};

/* The scopes with a history, each with another count, and one that is to get one. */
static const struct place {
    enum presence_kind kind;
    const char *site, *name;
    int32_t count;
} places[HISTORIES] = {
    {PRESENCE_SITE, "a.example", NULL, 5},
    {PRESENCE_SITE, "old.example", NULL, 6},
    {PRESENCE_ROOM, "a.example", "/r", 4},
};
static const char newcomer[] = "new.example";

/* The daemons and the state before. */
struct scene {
    struct daemon daemon; /* in the child */
    struct daemon copy;   /* the next daemon, on a copy */
    uint32_t scopes[HISTORIES], newcomer;
    uint32_t histories[HISTORIES];
    struct presence_history before[HISTORIES];
};

static void open_daemon(struct daemon *daemon)
{
    pid_t holder;

    scratch_open(&daemon->scratch);
    assert_int_equal(
        segment_file_open(daemon->scratch.path, &settings, BEGIN, &daemon->file, &holder), 0);
    assert_int_equal(directory_open(&daemon->file.segment, &daemon->directory), 0);
    assert_int_equal(history_pool_open(&daemon->file.segment, &daemon->pool), 0);
}

static void close_daemon(struct daemon *daemon)
{
    presence_close(daemon->reader);
    history_pool_close(&daemon->pool);
    directory_close(&daemon->directory);
    segment_file_close(&daemon->file);
    scratch_close(&daemon->scratch);
}

static uint32_t hold(struct daemon *daemon, const struct place *place)
{
    const uint64_t now = BEGIN;
    struct scope_name site =
        scope_name_site(daemon->file.segment.header->secret, (const uint8_t *)place->site,
                        (uint32_t)strlen(place->site));
    uint32_t scope = directory_hold(&daemon->directory, &site, &now);

    assert_in_range(scope, 0, SCOPES - 1);
    if (place->kind == PRESENCE_SITE)
        return scope;
    struct scope_name name =
        scope_name_label(&site, scope, (enum scope_kind)place->kind, (const uint8_t *)place->name,
                         (uint32_t)strlen(place->name));
    return directory_hold(&daemon->directory, &name, &now);
}

/* Publish what workers have counted before a sample. */
static void come_and_go(struct daemon *daemon, const uint32_t *scopes)
{
    for (unsigned i = 0; i < HISTORIES; i++) {
        struct activity *activity = &daemon->file.segment.directory.activities[scopes[i]];
        activity->heartbeats += FLOW;
        activity->pageviews += FLOW;
        activity->entries += FLOW;
        activity->leaves += FLOW;
    }
}

static void sample_at(struct daemon *daemon, uint64_t now)
{
    sampler_run(&daemon->pool, daemon->file.segment.directory.capacity, now, 0);
}

static void sample(struct daemon *daemon, uint64_t now)
{
    daemon->file.segment.header->tick = now;
    sample_at(daemon, now);
}

static int read_place(const struct daemon *daemon, const struct place *place,
                      struct presence_history *ret)
{
    return presence_history(daemon->reader, place->kind, place->site, place->name, 0, 0, ret);
}

static void open_scene(struct scene *scene, bool has_newcomer)
{
    const struct place new_site = {PRESENCE_SITE, newcomer, NULL, 0};

    open_daemon(&scene->daemon);
    open_daemon(&scene->copy);
    /* Readers load the secret once. */
    memcpy(scene->copy.file.segment.header, scene->daemon.file.segment.header,
           sizeof(struct segment_header));
    assert_int_equal(presence_open(scene->daemon.scratch.path, &scene->daemon.reader), 0);
    assert_int_equal(presence_open(scene->copy.scratch.path, &scene->copy.reader), 0);
    for (uint32_t i = 0; i < HISTORIES; i++) {
        scene->scopes[i] = hold(&scene->daemon, &places[i]);
        ring_add(&scene->daemon.file.segment.directory.rings[scene->scopes[i]], BEGIN,
                 places[i].count);
    }
    scene->daemon.file.segment.counters[0].values[COUNTER_datagrams_accepted] = 1;
    for (uint64_t now = BEGIN; now <= LAST; now += PACE) {
        come_and_go(&scene->daemon, scene->scopes);
        sample(&scene->daemon, now);
    }
    for (unsigned i = 0; i < HISTORIES; i++) {
        scene->histories[i] = history_pool_find(&scene->daemon.pool, scene->scopes[i]);
        assert_int_equal(read_place(&scene->daemon, &places[i], &scene->before[i]), 0);
        assert_int_equal(scene->before[i].length, 4);
    }
    if (has_newcomer)
        scene->newcomer = hold(&scene->daemon, &new_site);
    come_and_go(&scene->daemon, scene->scopes);
}

static void close_scene(struct scene *scene)
{
    for (unsigned i = 0; i < HISTORIES; i++)
        presence_history_free(&scene->before[i]);
    close_daemon(&scene->copy);
    close_daemon(&scene->daemon);
}

/* ---- actions of the child ---------------------------------------------------------------- */

/* Free a history, and assign it to another site. */
static void reassign(struct scene *scene)
{
    history_pool_free(&scene->daemon.pool, scene->histories[1]);
    history_pool_consider(&scene->daemon.pool, scene->newcomer, 0, true);
}

/* All are in use: a site gets the room's. */
static void take_from_room(struct scene *scene)
{
    history_pool_consider(&scene->daemon.pool, scene->newcomer, 0, true);
}

static void sample_the_minute(struct scene *scene)
{
    sample_at(&scene->daemon, LAST + PACE);
}

static void sample_the_next_minute(struct scene *scene)
{
    sample_at(&scene->daemon, NEXT);
}

static void sample_the_next_day(struct scene *scene)
{
    sampler_run(&scene->daemon.pool, SCOPES, LAST + PACE, 1);
}

/* ---- checks of a reader ------------------------------------------------------------------ */

static bool is_same_minute(const struct presence_minute *a, const struct presence_minute *b)
{
    return a->minute == b->minute && a->minimum == b->minimum && a->maximum == b->maximum &&
           a->mean == b->mean && a->seconds == b->seconds && a->heartbeats == b->heartbeats &&
           a->pageviews == b->pageviews && a->entries == b->entries && a->leaves == b->leaves &&
           a->departures == b->departures;
}

static bool is_sampled(const struct presence_minute *minute, const struct place *place)
{
    uint32_t count = (uint32_t)place->count;

    return minute->minimum == count && minute->maximum == count && minute->mean == place->count;
}

/* Check that the fields of a record belong together. */
static void expect_whole(const struct presence_minute *minute, const struct place *place)
{
    if (!is_sampled(minute, place) || minute->heartbeats % FLOW != 0 ||
        minute->pageviews != minute->heartbeats || minute->entries != minute->heartbeats ||
        minute->leaves != minute->heartbeats || minute->departures != 0)
        fail_msg("torn: %u to %u, mean %g, %llu heartbeats, %llu pageviews, %llu entries, "
                 "%llu leaves, %llu departures",
                 minute->minimum, minute->maximum, minute->mean,
                 (unsigned long long)minute->heartbeats, (unsigned long long)minute->pageviews,
                 (unsigned long long)minute->entries, (unsigned long long)minute->leaves,
                 (unsigned long long)minute->departures);
}

/* Check that everything is as before or, if allowed, absent. */
static void expect_untouched(const struct scene *scene, const struct daemon *daemon, unsigned index,
                             bool may_be_gone)
{
    const struct presence_history *before = &scene->before[index];
    struct presence_history now;
    int r = read_place(daemon, &places[index], &now);

    if (may_be_gone && (r == -ENOENT || r == -EAGAIN))
        return;
    assert_int_equal(r, 0);
    assert_int_equal(now.length, before->length);
    for (size_t i = 0; i < now.length; i++)
        if (!is_same_minute(&now.minutes[i], &before->minutes[i]))
            fail_msg("minute %zu of %s has changed", i, places[index].site);
    presence_history_free(&now);
}

/* Check that the new scope's history has nothing of the previous one's. */
static void expect_new(const struct daemon *daemon)
{
    struct presence_history now;
    int r = presence_history(daemon->reader, PRESENCE_SITE, newcomer, NULL, 0, 0, &now);

    if (r == -ENOENT || r == -EAGAIN)
        return;
    assert_int_equal(r, 0);
    assert_int_equal(now.length, 0);
    presence_history_free(&now);
}

/* ---- checks of the next daemon ----------------------------------------------------------- */

static void adopt(struct scene *scene)
{
    struct daemon *copy = &scene->copy;
    struct segment_fault fault;
    uint64_t entries;

    history_pool_close(&copy->pool);
    directory_close(&copy->directory);
    memcpy(copy->file.segment.header, scene->daemon.file.segment.header,
           scene->daemon.file.segment.size);
    copy->file.segment.header->tick = NEXT + 10; /* samples get their ticks as arguments */
    if (!segment_is_sound(&copy->file.segment, NEXT + 10, &entries, &fault))
        fail_msg("%s %llu: %s", fault.part, (unsigned long long)fault.index, fault.what);
    assert_int_equal(directory_open(&copy->file.segment, &copy->directory), 0);
    assert_int_equal(history_pool_open(&copy->file.segment, &copy->pool), 0);
}

/* Check that sites can get all histories: none leaked. */
static void expect_all_to_give(struct daemon *daemon)
{
    struct history_pool *pool = &daemon->pool;
    char name[16];

    history_pool_begin(pool);
    for (unsigned i = 0; i < HISTORIES; i++) {
        snprintf(name, sizeof(name), "%u.example", i);
        const struct place place = {PRESENCE_SITE, name, NULL, 0};
        uint32_t scope = hold(daemon, &place);
        if (history_pool_find(pool, scope) == SCOPE_NONE)
            history_pool_consider(pool, scope, 0, true);
    }
    assert_int_equal(pool->high_water, HISTORIES);
    assert_int_equal(pool->free_count, 0);
    for (unsigned i = 0; i < HISTORIES; i++) {
        const struct history *head = &daemon->file.segment.histories.heads[i];
        assert_int_equal(head->version & 1, 0);
        assert_int_not_equal(head->site_length, 0);
        assert_int_equal(head->kind, SCOPE_SITE);
        assert_int_not_equal(pool->holders[i].scope, SCOPE_NONE);
        assert_int_equal(pool->history_of[pool->holders[i].scope], i + 1);
    }
}

static void check_giving(struct scene *scene, bool room_may_go)
{
    const struct daemon *daemons[] = {&scene->daemon, &scene->copy};

    adopt(scene);
    for (unsigned i = 0; i < LENGTH(daemons); i++) {
        expect_untouched(scene, daemons[i], 0, false);
        expect_untouched(scene, daemons[i], 1, !room_may_go);
        expect_untouched(scene, daemons[i], 2, room_may_go);
        expect_new(daemons[i]);
    }
    expect_all_to_give(&scene->copy);
}

static void check_reassign(struct scene *scene)
{
    check_giving(scene, false);
}

static void check_take_from_room(struct scene *scene)
{
    check_giving(scene, true);
}

/* Check that complete minutes are unchanged, and the running one and later ones are whole or
 * absent. */
static void expect_samples(const struct scene *scene, unsigned index)
{
    const struct presence_history *before = &scene->before[index];
    struct presence_history now;

    assert_int_equal(read_place(&scene->daemon, &places[index], &now), 0);
    assert_in_range(now.length, before->length - 1, before->length + 1);
    for (size_t i = 0; i < now.length; i++) {
        if (i < before->length - 1)
            assert_true(is_same_minute(&now.minutes[i], &before->minutes[i]));
        else
            expect_whole(&now.minutes[i], &places[index]);
    }
    presence_history_free(&now);
}

/* Check that nothing is credited twice, and that at most the running minute and the changes since
 * its last sample are lost. */
static void expect_total(uint64_t total, uint64_t counted, uint64_t running)
{
    if (counted > total || counted + running + FLOW < total)
        fail_msg("%llu are told of %llu; %llu were in the running minute",
                 (unsigned long long)counted, (unsigned long long)total,
                 (unsigned long long)running);
}

static void expect_totals(const struct scene *scene, unsigned index)
{
    const struct activity *activity =
        &scene->copy.file.segment.directory.activities[scene->scopes[index]];
    const struct presence_history *before = &scene->before[index];
    uint64_t running =
        before->minutes[before->length - 1].heartbeats; /* and as many of each kind */
    uint64_t heartbeats = 0, pageviews = 0, entries = 0, leaves = 0;
    struct presence_history now;

    assert_int_equal(read_place(&scene->copy, &places[index], &now), 0);
    for (size_t i = 0; i < now.length; i++) {
        if (i < before->length - 1)
            assert_true(is_same_minute(&now.minutes[i], &before->minutes[i]));
        assert_true(is_sampled(&now.minutes[i], &places[index]));
        heartbeats += now.minutes[i].heartbeats;
        pageviews += now.minutes[i].pageviews;
        entries += now.minutes[i].entries;
        leaves += now.minutes[i].leaves;
    }
    assert_int_equal(now.minutes[now.length - 1].minute, NEXT / 60);
    presence_history_free(&now);
    expect_total(activity->heartbeats, heartbeats, running);
    expect_total(activity->pageviews, pageviews, running);
    expect_total(activity->entries, entries, running);
    expect_total(activity->leaves, leaves, running);
}

static void check_samples(struct scene *scene)
{
    for (unsigned i = 0; i < HISTORIES; i++)
        expect_samples(scene, i);
    adopt(scene);
    sample(&scene->copy, NEXT + 1); /* nothing new: credits what was in flight */
    for (uint64_t now = NEXT + 2; now < NEXT + 5; now++) {
        come_and_go(&scene->copy, scene->scopes);
        sample(&scene->copy, now);
    }
    for (unsigned i = 0; i < HISTORIES; i++)
        expect_totals(scene, i);
    expect_all_to_give(&scene->copy);
}

/* Once the day is published, today's peaks are of it. */
static void check_day(struct scene *scene)
{
    const struct segment *segment = &scene->daemon.file.segment;
    for (unsigned i = 0; segment->header->day && i < HISTORIES; i++)
        assert_int_equal((uint32_t)segment->histories.heads[i].peak_today, LAST + PACE);
}

/* ---- the child --------------------------------------------------------------------------- */

static pid_t start_child(struct scene *scene, void (*operation)(struct scene *))
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
            _exit(SKIPPED);
        raise(SIGSTOP);
        operation(scene);
        _exit(0);
    }
    return child;
}

static void kill_everywhere(bool has_newcomer, void (*operation)(struct scene *),
                            void (*check)(struct scene *))
{
    struct scene scene;
    unsigned states = 0;
    int status;

    open_scene(&scene, has_newcomer);
    size_t size = scene.daemon.file.segment.size;
    char *before = malloc(size);
    assert_non_null(before);
    memcpy(before, scene.daemon.file.segment.header, size);
    pid_t child = start_child(&scene, operation);
    bool traced = false;
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        if (!traced)
            ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL);
        traced = true;
        if (memcmp(before, scene.daemon.file.segment.header, size) != 0) {
            memcpy(before, scene.daemon.file.segment.header, size);
            check(&scene);
            states++;
        }
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    }
    free(before);
    close_scene(&scene);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
        print_message("skipped: tracing is not permitted here\n");
        skip();
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    print_message("%u states\n", states);
    assert_true(states > 20);
}

static void giving_can_be_killed(void **state)
{
    (void)state;
    kill_everywhere(true, reassign, check_reassign);
}

static void taking_can_be_killed(void **state)
{
    (void)state;
    kill_everywhere(true, take_from_room, check_take_from_room);
}

static void sampling_can_be_killed(void **state)
{
    (void)state;
    kill_everywhere(false, sample_the_minute, check_samples);
}

static void beginning_a_minute_can_be_killed(void **state)
{
    (void)state;
    kill_everywhere(false, sample_the_next_minute, check_samples);
}

static void a_day_begins_with_its_peaks(void **state)
{
    (void)state;
    kill_everywhere(false, sample_the_next_day, check_day);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(giving_can_be_killed),
        cmocka_unit_test(taking_can_be_killed),
        cmocka_unit_test(sampling_can_be_killed),
        cmocka_unit_test(beginning_a_minute_can_be_killed),
        cmocka_unit_test(a_day_begins_with_its_peaks),
    };
    alarm(300);
    return cmocka_run_group_tests_name("sampler_kill", tests, NULL, NULL);
}

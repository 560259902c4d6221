/* test_engine_judge.c - engine_reader.h: random states of up to four groups of four shards, and the
 * answers of all queries and lists, against a judge of R9. TEST_SEED repeats a run, TEST_LONG makes
 * it longer. */
#include "../support/unit.h"

#include <errno.h>

#include "engine_judge.h"

static uint64_t failing_seed; /* of the state that is being judged */

static int close_reader(void **state)
{
    if (failing_seed)
        print_message("the state was that of TEST_SEED=%llu\n", (unsigned long long)failing_seed);
    return fake_close_reader(state);
}

/* What was seen, so that the test shows that it tests something. */
static struct {
    unsigned numbers, nobody, unknown, partial, warming, stale, quiet, saturated, out_of_range;
    unsigned entries, partial_entries, partial_lists, evicted, lacks, absent;
} seen;

static void count_seen(const struct engine_reading *reading)
{
    seen.numbers += reading->exists;
    seen.nobody += !reading->exists && reading->known;
    seen.unknown += !reading->known;
    seen.partial += reading->partial;
    seen.warming += reading->warming;
    seen.stale += reading->stale;
    seen.quiet += reading->quiet;
    seen.saturated += reading->count == UINT64_MAX;
}

static void assert_reading(const struct engine_reading *got, const struct engine_reading *expected)
{
#define SAME(member)                                                     \
    if (got->member != expected->member)                                 \
    fail_msg(#member " is %lld, should be %lld", (long long)got->member, \
             (long long)expected->member)
    SAME(stale);
    SAME(exists);
    SAME(count);
    SAME(known);
    SAME(partial);
    SAME(warming);
    SAME(window_s);
    SAME(as_of);
    SAME(as_of_age_s);
    SAME(published_ms);
    SAME(quiet);
    SAME(last_heartbeat_s);
#undef SAME
    count_seen(got);
}

/* A window to ask for, and its place in the model, -1: published nowhere. */
struct asked {
    uint32_t window_s;
    int window;
};

static struct asked draw_window(struct model *model)
{
    const struct asked all[] = {{0, judge_default(model)},
                                {0, judge_default(model)},
                                {60, 0},
                                {300, 1},
                                {600, 2},
                                {541, 2},
                                {61, -1}};

    return all[model_below(model, LENGTH(all))];
}

/* True if the judge knows no group that publishes the window, and one that publishes another. */
static bool is_out_of_range(const struct model *model, int window)
{
    bool any = false;

    for (int i = 0; i < MODEL_WINDOWS; i++)
        any |= judge_published(model, i);
    return any && (window < 0 || !judge_published(model, window));
}

#define QUERIES 6
#define LISTS   3

struct round {
    struct model model;
    struct asked asked[QUERIES + LISTS];
    struct judge_scope scopes[QUERIES + LISTS];
    struct engine_query queries[QUERIES];
    struct engine_list lists[LISTS];
};

static void draw_query(struct round *round, size_t i)
{
    struct model *model = &round->model;
    struct judge_scope scope = {
        .site = (int)model_below(model, MODEL_SITES),
        .label = (int)model_below(model, MODEL_LABELS + 2) - 1,
        .kind = PRESENCE_ROOM,
    };
    const char *name = "never";

    if (scope.label >= 0 && scope.label < MODEL_LABELS) {
        scope.kind = model_labels[scope.label].kind;
        name = model_labels[scope.label].name;
    } else if (scope.label < 0) {
        scope.kind = PRESENCE_SITE;
    }
    round->asked[i] = draw_window(model);
    scope.window = round->asked[i].window;
    round->scopes[i] = scope;
    round->queries[i] = (struct engine_query){
        .kind = scope.kind,
        .site = model_sites[scope.site],
        .name = scope.kind == PRESENCE_SITE ? NULL : name,
        .window_s = round->asked[i].window_s,
    };
}

static void draw_list(struct round *round, size_t i)
{
    struct model *model = &round->model;
    struct judge_scope scope = {.site = (int)model_below(model, MODEL_SITES + 1) - 1, .label = -1};

    if (scope.site >= 0)
        scope.kind = (enum presence_kind)(1 + model_below(model, 3));
    round->asked[QUERIES + i] = draw_window(model);
    scope.window = round->asked[QUERIES + i].window;
    round->scopes[QUERIES + i] = scope;
    round->lists[i] = (struct engine_list){
        .site = scope.site < 0 ? NULL : model_sites[scope.site],
        .kind = scope.kind,
        .window_s = round->asked[QUERIES + i].window_s,
        .limit = model_below(model, 3),
    };
}

static void check_query(const struct round *round, size_t i)
{
    const struct engine_query *query = &round->queries[i];

    assert_int_equal(query->error,
                     is_out_of_range(&round->model, round->asked[i].window) ? -ERANGE : 0);
    seen.out_of_range += query->error != 0;
    if (query->error == 0 && round->asked[i].window >= 0) {
        struct engine_reading expected = judge_answer(&round->model, &round->scopes[i]);
        assert_reading(&query->reading, &expected);
    }
}

static int compare_entries(const void *left, const void *right)
{
    const struct engine_entry *a = left, *b = right;

    if (a->count == b->count)
        return strcmp(a->name, b->name);
    return a->count < b->count ? 1 : -1;
}

/* List all names that the judge says are there. */
static size_t judge_entries(const struct model *model, const struct judge_scope *of,
                            struct engine_entry *ret)
{
    size_t count = 0;

    for (int i = 0; i < (of->site < 0 ? MODEL_SITES : MODEL_LABELS); i++) {
        struct judge_scope scope = *of;
        if (of->site < 0)
            scope.site = i;
        else if (model_labels[i].kind == of->kind)
            scope.label = i;
        else
            continue;
        struct engine_reading reading = judge_answer(model, &scope);
        scope.listed = of->site < 0;
        struct engine_reading list = judge_answer(model, &scope);
        if (!list.exists)
            continue;
        ret[count].count = list.count;
        ret[count].partial =
            reading.partial || (of->site < 0 && reading.stale && !judge_answer(model, of).stale);
        ret[count].quiet = of->site < 0 && reading.quiet;
        ret[count].last_heartbeat_s = of->site < 0 ? reading.last_heartbeat_s : 0;
        strcpy(ret[count++].name, of->site < 0 ? model_sites[i] : model_labels[i].name);
    }
    qsort(ret, count, sizeof(*ret), compare_entries);
    return count;
}

static void check_list(const struct round *round, size_t i)
{
    const struct engine_list *list = &round->lists[i];
    const struct judge_scope *scope = &round->scopes[QUERIES + i];
    struct engine_entry expected[MODEL_LABELS] = {0};

    assert_int_equal(list->error, is_out_of_range(&round->model, scope->window) ? -ERANGE : 0);
    if (list->error != 0 || scope->window < 0)
        return;
    size_t total = judge_entries(&round->model, scope, expected);
    assert_int_equal(list->total, total);
    assert_int_equal(list->length, list->limit && list->limit < total ? list->limit : total);
    for (size_t j = 0; j < list->length; j++) {
        assert_string_equal(list->entries[j].name, expected[j].name);
        assert_int_equal(list->entries[j].count, expected[j].count);
        assert_int_equal(list->entries[j].partial, expected[j].partial);
        assert_int_equal(list->entries[j].quiet, expected[j].quiet);
        assert_int_equal(list->entries[j].last_heartbeat_s, expected[j].last_heartbeat_s);
        seen.partial_entries += list->entries[j].partial;
    }
    seen.entries += (unsigned)list->length;
    struct judge_scope site = *scope, absent = *scope;
    site.kind = PRESENCE_SITE;
    absent.label = MODEL_LABELS;
    struct engine_reading missing = judge_answer(&round->model, &absent);
    assert_int_equal(list->partial, missing.partial);
    seen.partial_lists += list->partial;
    missing = judge_answer(&round->model, &site);
    assert_reading(&list->reading, &missing);
}

/* True if something that was asked for showed that the shard's counts are gone. */
static bool is_seen_evicted(const struct round *round, const struct model_shard *shard)
{
    bool evicted = false;

    for (size_t i = 0; i < QUERIES + LISTS; i++) {
        struct judge_scope scope = round->scopes[i];
        if (scope.window < 0 || !shard->window[scope.window])
            continue;
        bool labels = i >= QUERIES && scope.site >= 0, sites = i >= QUERIES && !labels;
        evicted |= judge_is_evicted(shard, &scope);
        for (int j = 0; j < MODEL_SITES && sites && !evicted; j++) {
            scope.site = j;
            evicted |= judge_site(shard, &scope)->own.damaged;
        }
        for (int j = 0; j < MODEL_LABELS && labels && !evicted; j++) {
            scope.label = j;
            evicted |= model_labels[j].kind == scope.kind && judge_is_evicted(shard, &scope);
        }
    }
    return evicted;
}

/* Add up a shard's visitors in its default window, one of a hostile name included. */
static bool judge_visitors(const struct model_shard *shard, uint64_t *ret)
{
    int window = shard->window[1] ? 1 : shard->window[2] ? 2 : 0;
    uint64_t sum = 9;

    for (int i = 0; i < MODEL_SITES; i++) {
        const struct model_count *own = &shard->sites[window][i].own;
        if (own->there && own->damaged)
            return false;
        if (own->there)
            sum = UINT64_MAX - sum < own->number ? UINT64_MAX : sum + own->number;
    }
    *ret = sum;
    return shard->epoch[window] == MODEL_EPOCH_RIGHT;
}

static void check_shard(const struct round *round, size_t g, uint32_t s, bool *ret_whole)
{
    const struct model_group *group = &round->model.groups[g];
    const struct model_shard *shard = &group->shards[s];
    const struct engine_shard_state *got = &engine_reader_state(fake.reader)->groups[g].shards[s];
    enum engine_shard_problem problem = judge_problem(group, shard);
    uint64_t visitors = 0;

    bool sound = judge_is_readable(shard) && judge_visitors(shard, &visitors);
    if (problem == ENGINE_SHARD_FINE && (!sound || is_seen_evicted(round, shard)))
        problem = ENGINE_SHARD_EVICTED;
    assert_int_equal(got->problem, problem);
    assert_int_equal(got->visitors, sound ? visitors : 0);
    if (shard->exists)
        assert_int_equal(got->age_ms, judge_age_ms(shard));
    assert_int_equal(got->lack_count, judge_lacks(&round->model, group, shard));
    assert_int_equal(got->lack_count,
                     got->streams_losing + got->streams_silent + got->streams_missing);
    seen.evicted += problem == ENGINE_SHARD_EVICTED;
    seen.lacks += (unsigned)got->lack_count;
    *ret_whole &= problem == ENGINE_SHARD_FINE;
}

static void check_state(const struct round *round)
{
    const struct engine_state *got = engine_reader_state(fake.reader);

    assert_int_equal(got->count, round->model.group_count);
    for (size_t g = 0; g < got->count; g++) {
        const struct model_group *group = &round->model.groups[g];
        bool whole = true;
        assert_string_equal(got->groups[g].name, group->name);
        assert_int_equal(got->groups[g].shard_count, group->shard_count);
        for (uint32_t s = 0; s < group->shard_count; s++)
            check_shard(round, g, s, &whole);
        assert_int_equal(got->groups[g].whole, whole);
        assert_int_equal(got->groups[g].partial, judge_group_lacks(&round->model, group));
        assert_int_equal(got->groups[g].warming, judge_any(group, judge_warms, NULL));
    }
}

static bool any_exists(const struct model *model)
{
    for (size_t g = 0; g < model->group_count; g++) {
        for (uint32_t s = 0; s < model->groups[g].shard_count; s++) {
            if (model->groups[g].shards[s].exists)
                return true;
        }
    }
    return false;
}

static void play_round(struct round *round, uint64_t *random)
{
    static const unsigned faults[] = {0, 1, 3, 10, 25, 50};
    struct engine_poll poll = {round->queries, QUERIES, round->lists, LISTS, true};

    model_draw(&round->model, faults[random_next(random) % LENGTH(faults)], random);
    model_write(&round->model);
    for (size_t i = 0; i < QUERIES; i++)
        draw_query(round, i);
    for (size_t i = 0; i < LISTS; i++)
        draw_list(round, i);
    int r = engine_reader_poll(fake.reader, &poll, 0);
    if (!any_exists(&round->model)) {
        assert_int_equal(r, -ENODATA);
        assert_int_equal(engine_reader_state(fake.reader)->count, round->model.group_count);
        seen.absent++;
        return;
    }
    assert_int_equal(r, 0);
    for (size_t i = 0; i < QUERIES; i++)
        check_query(round, i);
    for (size_t i = 0; i < LISTS; i++)
        check_list(round, i);
    check_state(round);
    for (size_t i = 0; i < LISTS; i++)
        engine_list_free(&round->lists[i]);
}

/* Each state is drawn from a seed of its own, which is printed if the test fails there. */
static void random_states_against_a_judge(void **state)
{
    static struct round round;
    uint64_t seed = random_seed("random_states_against_a_judge");
    unsigned count = getenv("TEST_LONG") ? 40000 : 4000;

    (void)state;
    for (unsigned i = 0; i < count; i++) {
        failing_seed = seed + i;
        uint64_t random = failing_seed;
        play_round(&round, &random);
    }
    failing_seed = 0;
    print_message("numbers %u, nobody %u, unknown %u, partial %u, warming %u, stale %u, quiet %u, "
                  "saturated %u, out of range %u, entries %u (%u partial), partial lists %u, "
                  "evicted %u, lacks %u, no state %u\n",
                  seen.numbers, seen.nobody, seen.unknown, seen.partial, seen.warming, seen.stale,
                  seen.quiet, seen.saturated, seen.out_of_range, seen.entries, seen.partial_entries,
                  seen.partial_lists, seen.evicted, seen.lacks, seen.absent);
    const unsigned *all = &seen.numbers;
    for (size_t i = 0; i < sizeof(seen) / sizeof(*all); i++)
        assert_true(all[i] > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_states_against_a_judge, fake_open_reader,
                                        close_reader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_engine_lacks.c - engine_lacks.h: by which streams a group is partial (R9). */
#include "../support/unit.h"

#include <engine/engine_groups.h>
#include <engine/engine_lacks.h>

#define SHARDS_MAX  4
#define STREAMS_MAX 3

/* A stream in a shard; AGE is that of its last datagram at the tick. */
struct seen {
    uint64_t id, age_s, expected, expected_before, heartbeats;
    int64_t lost, lost_before;
    uint16_t target;
};

/* A stream that has gone on for long without loss. */
#define GOING(id, age)                   \
    {                                    \
        id, age, 1000, 970, 500, 0, 0, 0 \
    }
/* One that began a moment ago, and one that never had a visitor. */
#define NEW(id)                   \
    {                             \
        id, 0, 8, 0, 500, 0, 0, 0 \
    }
#define EMPTY(id)                    \
    {                                \
        id, 0, 1000, 970, 0, 0, 0, 0 \
    }

struct shard_case {
    bool exists;
    uint64_t age_ms;
    bool stale, full;
    struct seen streams[STREAMS_MAX];
    unsigned losing, silent, missing; /* expected */
};

/* The first two shards are group a's, the others b's; or all of them are of one group. */
struct lack_case {
    const char *name;
    struct shard_case shards[SHARDS_MAX];
    bool one_group;
};

static const struct lack_case cases[] = {
    {"everything comes",
     {{true, 100, 0, 0, {GOING(7, 0), GOING(8, 1)}, 0, 0, 0},
      {true, 900, 0, 0, {GOING(7, 1), GOING(8, 0)}, 0, 0, 0},
      {true, 50, 0, 0, {GOING(7, 0), GOING(8, 1)}, 0, 0, 0},
      {true, 0, 0, 0, {GOING(7, 1), GOING(8, 0)}, 0, 0, 0}},
     0},
    {"one percent lost exactly, and one more",
     {{true, 0, 0, 0, {{7, 0, 1100, 100, 5, 10, 0, 0}}, 0, 0, 0},
      {true, 0, 0, 0, {{7, 0, 1100, 100, 5, 11, 0, 0}}, 1, 0, 0}},
     0},
    {"only losses of the last 30 s count",
     {{true, 0, 0, 0, {{7, 0, 1100, 1000, 5, 501, 500, 0}}, 0, 0, 0},
      {true, 0, 0, 0, {{7, 0, 1100, 1000, 5, 502, 500, 0}}, 1, 0, 0}},
     0},
    {"lost ones came late",
     {{true, 0, 0, 0, {{7, 0, 1100, 1000, 5, 3, 500, 0}}, 0, 0, 0},
      {true, 0, 0, 0, {GOING(7, 0)}, 0, 0, 0}},
     0},
    {"no figures of 30 s ago: all since the first datagram",
     {{true, 0, 0, 0, {{7, 0, 100, 0, 5, 1, 0, 0}}, 0, 0, 0},
      {true, 0, 0, 0, {{7, 0, 100, 0, 5, 2, 0, 0}}, 1, 0, 0}},
     0},
    {"figures that went back say nothing",
     {{true, 0, 0, 0, {{7, 0, 50, 100, 5, 40, 1, 0}}, 0, 0, 0},
      {true, 0, 0, 0, {{7, 0, 100, 100, 5, 40, 1, 0}}, 0, 0, 0}},
     0},
    {"figures at both ends",
     {{true, 0, 0, 0, {{7, 0, UINT64_MAX, 0, 5, INT64_MAX, -INT64_MAX, 0}}, 1, 0, 0},
      {true, 0, 0, 0, {{7, UINT64_MAX, UINT64_MAX, 1, 5, -INT64_MAX, INT64_MAX, 0}}, 0, 1, 0}},
     0},
    {"silent for less than 5 s",
     {{true, 0, 0, 0, {GOING(7, 0)}, 0, 0, 0},
      {true, 0, 0, 0, {GOING(7, 0)}, 0, 0, 0},
      {true, 999, 0, 0, {GOING(7, 4)}, 0, 0, 0},
      {true, 0, 0, 0, {GOING(7, 0)}, 0, 0, 0}},
     0},
    {"silent for 5 s in one shard, at its tick and since",
     {{true, 0, 0, 0, {GOING(7, 0)}, 0, 0, 0},
      {true, 0, 0, 0, {GOING(7, 0)}, 0, 0, 0},
      {true, 1000, 0, 0, {GOING(7, 4)}, 0, 1, 0},
      {true, 0, 0, 0, {GOING(7, 5)}, 0, 1, 0}},
     0},
    {"goes on only in this group's other shard",
     {{true, 0, 0, 0, {GOING(7, 100)}, 0, 1, 0}, {true, 0, 0, 0, {GOING(7, 0)}, 0, 0, 0}},
     1},
    {"ended everywhere",
     {{true, 0, 0, 0, {GOING(7, 9)}, 0, 0, 0},
      {true, 900, 0, 0, {GOING(7, 10)}, 0, 0, 0},
      {true, 0, 0, 0, {GOING(7, 4)}, 0, 0, 0},
      {true, 0, 0, 0, {GOING(7, 9)}, 0, 0, 0}},
     0},
    {"just ended everywhere: states of unequal age",
     {{true, 900, 0, 0, {GOING(7, 4)}, 0, 0, 0},
      {true, 0, 0, 0, {GOING(7, 3)}, 0, 0, 0},
      {true, 2100, 0, 0, {GOING(7, 3)}, 0, 0, 0},
      {true, 900, 0, 0, {GOING(7, 4)}, 0, 0, 0}},
     0},
    {"an old state is no sign of silence elsewhere",
     {{true, 3900, 0, 0, {GOING(7, 1)}, 0, 0, 0}, {true, 3900, 0, 0, {GOING(7, 4)}, 0, 1, 0}},
     0},
    {"silences that differ by less than 3 s, and by 3 s",
     {{true, 0, 0, 0, {GOING(7, 3)}, 0, 0, 0},
      {true, 999, 0, 0, {GOING(7, 5)}, 0, 0, 0},
      {true, 1000, 0, 0, {GOING(7, 5)}, 0, 1, 0},
      {true, 0, 0, 0, {GOING(7, 6)}, 0, 1, 0}},
     0},
    {"a stale shard is no witness, nor judged",
     {{true, 0, 1, 0, {GOING(7, 0)}, 0, 0, 0},
      {true, 0, 0, 0, {GOING(7, 60)}, 0, 0, 0},
      {true, 0, 1, 0, {GOING(7, 600)}, 0, 0, 0}},
     0},
    {"an old shard is no witness, nor judged",
     {{true, 4001, 0, 0, {GOING(7, 0)}, 0, 0, 0},
      {true, 4000, 0, 0, {GOING(7, 60)}, 0, 0, 0},
      {true, 4001, 0, 0, {GOING(7, 600)}, 0, 0, 0}},
     0},
    {"never came to one shard",
     {{true, 0, 0, 0, {GOING(7, 0)}, 0, 0, 0},
      {true, 0, 0, 0, {GOING(7, 0)}, 0, 0, 0},
      {true, 0, 0, 0, {GOING(7, 0)}, 0, 0, 0},
      {true, 0, 0, 0, {GOING(8, 60)}, 0, 0, 1}},
     0},
    {"may have come: its table of streams is full",
     {{true, 0, 0, 0, {GOING(7, 0)}, 0, 0, 0}, {true, 0, 0, 1, {GOING(8, 60)}, 0, 0, 0}},
     0},
    {"began a moment ago elsewhere",
     {{true, 0, 0, 0, {NEW(7)}, 0, 0, 0}, {true, 0, 0, 0, {GOING(8, 60)}, 0, 0, 0}},
     0},
    {"carries no visitors",
     {{true, 0, 0, 0, {EMPTY(7)}, 0, 0, 0}, {true, 0, 0, 0, {GOING(8, 60)}, 0, 0, 0}},
     0},
    {"ended before: nobody misses it",
     {{true, 0, 0, 0, {GOING(7, 4)}, 0, 0, 0}, {true, 0, 0, 0, {GOING(8, 60)}, 0, 0, 0}},
     0},
    {"an old target of a stream that goes on to another",
     {{true, 0, 0, 0, {{7, 600, 9, 9, 5, 0, 0, 0}, {7, 0, 900, 870, 5, 0, 0, 1}}, 0, 0, 0},
      {true, 0, 0, 0, {GOING(7, 0)}, 0, 0, 0}},
     0},
    {"two edges cut off crosswise",
     {{true, 0, 0, 0, {GOING(7, 60), GOING(8, 0)}, 0, 1, 0},
      {true, 0, 0, 0, {GOING(7, 60), GOING(8, 0)}, 0, 1, 0},
      {true, 0, 0, 0, {GOING(7, 0), GOING(8, 60)}, 0, 1, 0},
      {true, 0, 0, 0, {GOING(7, 0), GOING(8, 60)}, 0, 1, 0}},
     0},
    {"everything at once, and an absent shard",
     {{true, 0, 0, 0, {{7, 20, 1000, 970, 5, 1, 0, 0}, GOING(8, 0)}, 1, 1, 0},
      {true, 0, 0, 0, {GOING(7, 0)}, 0, 0, 1}},
     1},
};

static void fill_shard(const struct shard_case *from, struct engine_shard_state *to)
{
    struct engine_shard *shard = &to->shard;

    if (!from->exists) {
        to->problem = ENGINE_SHARD_ABSENT;
        return;
    }
    to->age_ms = from->age_ms;
    to->problem = from->age_ms > ENGINE_FRESH_MS ? ENGINE_SHARD_SILENT
                  : from->stale                  ? ENGINE_SHARD_STALE
                                                 : ENGINE_SHARD_FINE;
    shard->version = ENGINE_VERSION;
    shard->streams_full = from->full;
    shard->streams = calloc(STREAMS_MAX, sizeof(*shard->streams));
    for (size_t i = 0; i < STREAMS_MAX && from->streams[i].id; i++) {
        const struct seen *seen = &from->streams[i];
        shard->streams[shard->stream_count++] = (struct engine_stream){
            .id = seen->id,
            .age_s = seen->age_s,
            .heartbeats = seen->heartbeats,
            .expected = seen->expected,
            .lost = seen->lost,
            .expected_before = seen->expected_before,
            .lost_before = seen->lost_before,
            .target = seen->target,
        };
    }
}

/* Allocate the groups of a case: two of two shards, or one of all. */
static struct engine_state make_state(const struct lack_case *from)
{
    uint32_t shards = from->one_group ? SHARDS_MAX : SHARDS_MAX / 2;
    struct engine_state state = {.count = SHARDS_MAX / shards};

    state.groups = calloc(state.count, sizeof(*state.groups));
    for (size_t g = 0; g < state.count; g++) {
        state.groups[g].name[0] = (char)('a' + g);
        state.groups[g].shard_count = shards;
        state.groups[g].shards = calloc(shards, sizeof(*state.groups[g].shards));
        for (uint32_t s = 0; s < shards; s++)
            fill_shard(&from->shards[g * shards + s], &state.groups[g].shards[s]);
    }
    return state;
}

static void check(const struct lack_case *expected)
{
    struct engine_state state = make_state(expected);
    uint32_t shards = state.groups[0].shard_count;

    assert_int_equal(engine_groups_judge(&state), 0);
    for (size_t i = 0; i < SHARDS_MAX; i++) {
        const struct engine_shard_state *shard = &state.groups[i / shards].shards[i % shards];
        const struct shard_case *wanted = &expected->shards[i];
        if (shard->streams_losing != wanted->losing || shard->streams_silent != wanted->silent ||
            shard->streams_missing != wanted->missing)
            fail_msg("%s: shard %zu is losing %u, silent %u, missing %u", expected->name, i,
                     shard->streams_losing, shard->streams_silent, shard->streams_missing);
        assert_int_equal(shard->lack_count, wanted->losing + wanted->silent + wanted->missing);
    }
    for (size_t g = 0; g < state.count; g++) {
        size_t lacks = 0;
        for (uint32_t s = 0; s < shards; s++)
            lacks += state.groups[g].shards[s].lack_count;
        assert_int_equal(state.groups[g].partial, lacks > 0);
    }
    engine_state_free(&state);
}

static void table_of_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        check(&cases[i]);
}

/* The streams themselves are named, in their order. */
static void lacks_are_named(void **state)
{
    static const struct lack_case named = {
        "named",
        {{true, 0, 0, 0, {GOING(3, 0), GOING(5, 9), GOING(9, 0)}, 0, 1, 0},
         {true, 0, 0, 0, {GOING(5, 0)}, 0, 0, 2}},
        0,
    };
    struct engine_state found = make_state(&named);

    (void)state;
    assert_int_equal(engine_groups_judge(&found), 0);
    const struct engine_shard_state *shards = found.groups[0].shards;
    assert_int_equal(shards[0].lacks[0].stream, 5);
    assert_int_equal(shards[0].lacks[0].kind, ENGINE_STREAM_SILENT);
    assert_int_equal(shards[1].lacks[0].stream, 3);
    assert_int_equal(shards[1].lacks[0].kind, ENGINE_STREAM_MISSING);
    assert_int_equal(shards[1].lacks[1].stream, 9);
    engine_state_free(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_of_cases),
        cmocka_unit_test(lacks_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Clauses about groups and shards say what is wrong, where, and what to do. */
#include "../support/unit.h"

#include <locale.h>

#include "common/time_text.h"
#include "groups.h"

static void assert_text(char *text, const char *expected)
{
    assert_string_equal(text, expected);
    free(text);
}

static struct engine_shard_state shard_of(const char *host)
{
    struct engine_shard_state shard = {.age_ms = 400, .shard = {.as_of = 1767225600, .shards = 3}};

    snprintf(shard.shard.host, sizeof(shard.shard.host), "%s", host);
    return shard;
}

static struct engine_group group_of(const char *name, struct engine_shard_state *shards,
                                    uint32_t count)
{
    struct engine_group group = {.shards = shards, .shard_count = count, .whole = true};

    snprintf(group.name, sizeof(group.name), "%s", name);
    for (uint32_t i = 0; i < count; i++)
        group.whole = group.whole && shards[i].problem == ENGINE_SHARD_FINE;
    return group;
}

static void test_each_problem(void **state)
{
    static const char *const expected[] = {
        [ENGINE_SHARD_ABSENT] = "never published, or not for two hours",
        [ENGINE_SHARD_SILENT] = "the publisher on eu-1 has been silent for 12 s",
        [ENGINE_SHARD_STALE] = "the collector on eu-1 is stale, or its publisher has ended, since "
                               "2026-01-01T00:00:00Z",
        [ENGINE_SHARD_DISAGREES] = "the publisher on eu-1 was told of 1 shard",
        [ENGINE_SHARD_UNREADABLE] = "written by another version, or damaged; update this "
                                    "program and the publisher",
        [ENGINE_SHARD_EVICTED] = "the engine evicted counts of eu-1; set its maxmemory-policy to "
                                 "noeviction",
    };

    (void)state;
    for (unsigned problem = ENGINE_SHARD_ABSENT; problem < LENGTH(expected); problem++) {
        struct engine_shard_state shards[] = {shard_of("eu-0"), shard_of("eu-1")};
        struct engine_group group;
        char text[256];
        shards[1].problem = problem;
        shards[1].age_ms = 12345;
        shards[1].shard.shards = 1;
        group = group_of("a", shards, 2);
        snprintf(text, sizeof(text), "group a lacks shard 2 of 2 (%s)", expected[problem]);
        assert_text(group_describe_lack(&group), text);
    }
}

static void test_several_groups(void **state)
{
    struct engine_shard_state old = shard_of("h"), gone = {.problem = ENGINE_SHARD_ABSENT};
    struct engine_shard_state first[] = {old, gone, gone}, second[] = {shard_of("h")};
    struct engine_group groups[3];
    struct engine_state all = {groups, 3};

    (void)state;
    first[0].problem = ENGINE_SHARD_SILENT;
    first[0].age_ms = 4100;
    groups[0] = group_of("a", first, 3);
    groups[1] = group_of("b", second, 1);
    groups[2] = group_of("c", &gone, 1);
    assert_text(
        groups_describe_lacks(&all),
        "group a lacks shard 1 of 3 (the publisher on h has been silent for 4.1 s), shard 2 "
        "of 3 (never published, or not for two hours), shard 3 of 3 (never published, or "
        "not for two hours); group c lacks shard 1 of 1 (never published, or not for two "
        "hours)");
    assert_text(groups_list(&all), "a, b and c");
    assert_text(groups_describe_incomplete(&all),
                "group b: a limit of a collector left visitors out; presencectl status at its "
                "collectors says which");
    second[0].shard.warming = true;
    groups[0] = groups[1];
    all.count = 2;
    assert_text(groups_describe_incomplete(&all),
                "group b: the collector of shard 1 of 1 (h) warms up; group b: the collector of "
                "shard 1 of 1 (h) warms up");
    all.count = 0;
    assert_text(groups_describe_lacks(&all), "");
    assert_text(groups_list(&all), "");
}

/* The ids of some streams are named, and the others counted. */
static void test_streams(void **state)
{
    struct engine_lack lacks[] = {
        {1, ENGINE_STREAM_MISSING}, {2, ENGINE_STREAM_LOSING}, {3, ENGINE_STREAM_MISSING},
        {4, ENGINE_STREAM_SILENT},  {5, ENGINE_STREAM_SILENT}, {6, ENGINE_STREAM_SILENT},
        {7, ENGINE_STREAM_SILENT},  {8, ENGINE_STREAM_SILENT},
    };
    struct engine_shard_state shards[] = {shard_of("eu-1"), shard_of("eu-2")};
    struct engine_group group;

    (void)state;
    shards[0].shard.warming = true;
    shards[1].lacks = lacks;
    shards[1].lack_count = LENGTH(lacks);
    shards[1].streams_losing = 1;
    shards[1].streams_missing = 2;
    shards[1].streams_silent = 5;
    group = group_of("a", shards, 2);
    assert_text(group_describe_incomplete(&group),
                "group a: the collector of shard 1 of 2 (eu-1) warms up, stream 0000000000000002 "
                "loses over 1 % on its way to shard 2 of 2 (eu-2), streams 0000000000000004, "
                "0000000000000005, 0000000000000006 and 2 more go on elsewhere and are silent in "
                "shard 2 of 2 (eu-2), streams 0000000000000001 and 0000000000000003 go on "
                "elsewhere and never came to shard 2 of 2 (eu-2)");
}

/* Names of machines are what anybody wrote into the engine. */
static void test_hosts_are_escaped(void **state)
{
    struct engine_shard_state shard = shard_of("\u202eevil"), unnamed = shard_of("");
    struct engine_lack lack = {1, ENGINE_STREAM_LOSING};
    struct engine_group group;

    (void)state;
    assert_string_equal(show_host(&shard).text, "\\u{202E}evil");
    shard.shard.warming = true;
    shard.lacks = &lack;
    shard.lack_count = shard.streams_losing = 1;
    group = group_of("a", &shard, 1);
    assert_text(group_describe_incomplete(&group),
                "group a: stream 0000000000000001 loses over 1 % on its way to shard 1 of 1 "
                "(\\u{202E}evil), the collector of shard 1 of 1 (\\u{202E}evil) warms up");
    assert_string_equal(show_host(&unnamed).text, "?");
}

static void test_ages(void **state)
{
    (void)state;
    assert_string_equal(show_age(0).text, "0.0 s");
    assert_string_equal(show_age(9999).text, "9.9 s");
    assert_string_equal(show_age(10000).text, "10 s");
    assert_string_equal(show_age(7200000).text, "2 h");
    assert_string_equal(show_age(UINT64_MAX).text, show_duration(UINT64_MAX / 1000).text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_problem), cmocka_unit_test(test_several_groups),
        cmocka_unit_test(test_streams),      cmocka_unit_test(test_hosts_are_escaped),
        cmocka_unit_test(test_ages),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

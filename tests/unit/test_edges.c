/* test_edges.c - why a site is quiet, by the streams of its edges (R6), and their JSON. */
#include "../support/unit.h"

#include <common/edges_json.h>

#define QUIET 240 /* seconds since the site's last heartbeat */

static struct presence_stream alive(uint64_t last_s)
{
    return (struct presence_stream){.id = 1, .last_s = last_s, .heartbeats = 9};
}

static struct presence_stream silent(uint64_t last_s)
{
    return (struct presence_stream){.id = 1, .last_s = last_s, .heartbeats = 9, .silent = true};
}

static struct presence_stream restarted(uint64_t last_s)
{
    return (struct presence_stream){
        .id = 1, .last_s = last_s, .heartbeats = 9, .silent = true, .restarted = true};
}

static void expect(struct presence_stream *streams, size_t length, const char *text)
{
    const struct presence_streams list = {.streams = streams, .length = length};
    struct edges edges = edges_judge(&list, QUIET);

    assert_string_equal(edges_show(&edges).text, text);
}

#define EXPECT(text, ...)                           \
    expect((struct presence_stream[]){__VA_ARGS__}, \
           sizeof((struct presence_stream[]){__VA_ARGS__}) / sizeof(struct presence_stream), text)

static void edges_that_are_heard_have_nobody(void **state)
{
    (void)state;
    EXPECT("1 edge is alive, with nobody there", alive(0));
    EXPECT("2 edges are alive, with nobody there", alive(0), alive(3));
}

static void an_edge_that_fell_silent_since_is_gone(void **state)
{
    (void)state;
    EXPECT("an edge fell silent 4 s ago", silent(4));
    EXPECT("an edge fell silent 4 min ago", silent(241));
    EXPECT("an edge fell silent 4 s ago, and 1 other is alive", alive(0), silent(4));
    EXPECT("3 edges fell silent, the first 3 min ago, and 2 others are alive", alive(0), alive(1),
           silent(60), silent(61), silent(200));
}

static void an_edge_that_was_silent_before_has_no_part_in_it(void **state)
{
    (void)state;
    EXPECT("whether its edge is alive is not known", silent(242));
    EXPECT("1 edge is alive, with nobody there", alive(0), silent(242));
}

static void an_edge_that_was_restarted_is_not_gone(void **state)
{
    (void)state;
    EXPECT("1 edge is alive, with nobody there", alive(0), restarted(60));
}

/* A presence-web that only reads is alive even when the edges are dead. */
static void senders_of_nobody_are_no_edges(void **state)
{
    struct presence_stream reads = {.id = 2, .address = "::1"};
    struct presence_stream ended = {.id = 3, .last_s = 60, .silent = true, .address = "::1"};
    struct presence_stream other_key = {.id = 4, .key_id = 7};

    (void)state;
    EXPECT("whether its edge is alive is not known", reads, ended);
    EXPECT("whether its edge is alive is not known", other_key, restarted(60));
    EXPECT("an edge fell silent 4 s ago", reads, silent(4), ended);
    EXPECT("1 edge is alive, with nobody there", reads, alive(0));
    EXPECT("1 edge is alive, with nobody there", (struct presence_stream){.id = 5}, restarted(60));
}

/* Looking for what a stream followed takes time: a stranger may open any number. */
static void few_senders_of_nobody_are_looked_at(void **state)
{
    static struct presence_stream many[1000];
    const struct presence_streams list = {.streams = many, .length = LENGTH(many)};

    (void)state;
    many[LENGTH(many) - 1] = restarted(60);
    assert_int_equal(edges_judge(&list, QUIET).alive, 64);
    many[LENGTH(many) - 2] = alive(0);
    assert_int_equal(edges_judge(&list, QUIET).alive, 65);
}

static void without_streams_nothing_is_known(void **state)
{
    (void)state;
    expect(NULL, 0, "whether its edge is alive is not known");
}

/* Check members of an object, which is released. */
static void expect_json(json_t *object, const char *members)
{
    json_t *expected = json_loads(members, 0, NULL);
    const char *name;
    json_t *value;

    assert_non_null(expected);
    json_object_foreach(expected, name, value)
    {
        if (!json_equal(json_object_get(object, name), value))
            fail_msg("%s is not as in %s", name, members);
    }
    json_decref(expected);
    json_decref(object);
}

static void json_has_what_is_known(void **state)
{
    const struct edges one_gone = {.alive = 2, .gone = 1, .gone_s = 70}, all_there = {.alive = 3};
    const struct presence_stream unknown = {.id = 1, .last_s = 3, .first_s = 60};
    const struct presence_stream known = {
        .id = 10, .address = "192.0.2.1", .port = 9, .key_id = 7, .target = 3};

    (void)state;
    expect_json(edges_build(&one_gone), "{\"alive\": 2, \"gone\": 1, \"gone_for_s\": 70}");
    expect_json(edges_build(&all_there), "{\"alive\": 3, \"gone\": 0, \"gone_for_s\": null}");
    expect_json(edges_build_stream(&unknown),
                "{\"address\": null, \"port\": null, \"key\": null, \"state\": \"alive\","
                " \"age_s\": 3, \"first_age_s\": 60}");
    expect_json(edges_build_stream(&known),
                "{\"address\": \"192.0.2.1\", \"port\": 9, \"key\": 7, \"target\": 3,"
                " \"stream\": \"000000000000000a\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edges_that_are_heard_have_nobody),
        cmocka_unit_test(an_edge_that_fell_silent_since_is_gone),
        cmocka_unit_test(an_edge_that_was_silent_before_has_no_part_in_it),
        cmocka_unit_test(an_edge_that_was_restarted_is_not_gone),
        cmocka_unit_test(senders_of_nobody_are_no_edges),
        cmocka_unit_test(few_senders_of_nobody_are_looked_at),
        cmocka_unit_test(without_streams_nothing_is_known),
        cmocka_unit_test(json_has_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_publisher_streams.c - what streams had 30 s ago. */
#include "../support/unit.h"

#include "stream_figures.h"

static struct stream_figures figures;

static int free_figures(void **state)
{
    (void)state;
    stream_figures_free(&figures);
    return 0;
}

static struct presence_stream stream(uint64_t id, uint32_t target, uint64_t expected, uint64_t lost)
{
    return (struct presence_stream){
        .id = id,
        .target = (uint16_t)target,
        .first_s = 10,
        .heartbeats = 10 * expected,
        .expected = expected,
        .lost = lost,
    };
}

static void update(struct presence_stream *streams, size_t length, uint64_t tick)
{
    const struct presence_streams list = {.streams = streams, .length = length};

    assert_int_equal(stream_figures_update(&figures, &list, tick), 0);
}

static void expect(size_t index, uint64_t id, uint64_t expected, int64_t lost,
                   uint64_t expected_before, int64_t lost_before)
{
    const struct engine_stream *found = &figures.streams[index];

    assert_true(index < figures.count);
    assert_int_equal(found->id, id);
    assert_int_equal(found->expected, expected);
    assert_int_equal(found->heartbeats, 10 * expected);
    assert_int_equal(found->lost, lost);
    assert_int_equal(found->expected_before, expected_before);
    assert_int_equal(found->heartbeats_before, 10 * expected_before);
    assert_int_equal(found->lost_before, lost_before);
}

static void figures_are_those_of_30_s_ago(void **state)
{
    (void)state;
    for (uint64_t tick = 1000; tick < 1100; tick++) {
        uint64_t expected = tick - 999, before = expected > 30 ? expected - 30 : 0;
        struct presence_stream one = stream(7, 1, expected, expected / 10);
        update(&one, 1, tick);
        expect(0, 7, expected, (int64_t)expected / 10, before, (int64_t)before / 10);
    }
}

static void ticks_may_be_left_out(void **state)
{
    struct presence_stream one = stream(7, 1, 5, 0);

    (void)state;
    update(&one, 1, 1000);
    one = stream(7, 1, 8, 0);
    update(&one, 1, 1010);
    one = stream(7, 1, 20, 0);
    update(&one, 1, 1031);
    expect(0, 7, 20, 0, 5, 0); /* of 1001, which is that of 1000 */
    update(&one, 1, 1039);
    expect(0, 7, 20, 0, 5, 0);
    update(&one, 1, 1040);
    expect(0, 7, 20, 0, 8, 0);
    one = stream(7, 1, 30, 0);
    update(&one, 1, 5000);
    expect(0, 7, 30, 0, 20, 0);
    update(&one, 1, 5000); /* a stale collector's tick stands still */
    expect(0, 7, 30, 0, 20, 0);
}

/* Nobody knows what an old stream lost before we came. */
static void an_old_stream_begins_with_what_it_has(void **state)
{
    struct presence_stream one = stream(7, 1, 1000, 500);

    (void)state;
    one.first_s = STREAM_FIGURES_BEFORE_S + 1;
    update(&one, 1, 1000);
    expect(0, 7, 1000, 500, 1000, 500);
    one = stream(7, 1, 1100, 510);
    update(&one, 1, 1030);
    expect(0, 7, 1100, 510, 1000, 500);
}

static void streams_are_sorted_and_keep_their_own(void **state)
{
    struct presence_stream three[] = {stream(9, 0, 1, 0), stream(3, 2, 2, 0), stream(3, 1, 3, 0)};
    struct presence_stream others[] = {stream(5, 0, 4, 0), stream(3, 2, 5, 0), stream(9, 0, 6, 0)};

    (void)state;
    update(three, 3, 1000);
    assert_int_equal(figures.streams[0].target, 1);
    assert_int_equal(figures.streams[1].target, 2);
    assert_int_equal(figures.streams[2].id, 9);
    update(others, 3, 1030);
    expect(0, 3, 5, 0, 2, 0);
    expect(1, 5, 4, 0, 0, 0);
    expect(2, 9, 6, 0, 1, 0);
    update(others, 0, 1031);
    assert_int_equal(figures.count, 0);
}

static void what_is_left_out(void **state)
{
    struct presence_stream streams[] = {stream(3, 1, 10, 0), stream(3, 1, 20, 0),
                                        stream(4, 1, 30, 0), stream(5, 1, 40, 0)};

    (void)state;
    streams[0].last_s = 5; /* the same with another key, which was heard last */
    streams[2].last_s = STREAM_FIGURES_OLD_S;
    streams[3].last_s = STREAM_FIGURES_OLD_S - 1;
    update(streams, 4, 1000);
    assert_int_equal(figures.count, 2);
    expect(0, 3, 20, 0, 0, 0);
    expect(1, 5, 40, 0, 0, 0);
    assert_int_equal(figures.streams[1].age_s, STREAM_FIGURES_OLD_S - 1);
}

/* A new segment, or a tick of another boot. */
static void figures_that_fall_begin_anew(void **state)
{
    struct presence_stream one = stream(7, 1, 100, 50);

    (void)state;
    update(&one, 1, 1000);
    one = stream(7, 1, 3, 0);
    update(&one, 1, 1001);
    expect(0, 7, 3, 0, 0, 0);
    one = stream(7, 1, 4, 0);
    update(&one, 1, 10);
    expect(0, 7, 4, 0, 0, 0);
    one = stream(7, 1, 100, 50);
    for (uint64_t tick = 11; tick < 11 + 2 * STREAM_FIGURES_BEFORE_S; tick++)
        update(&one, 1, tick);
    expect(0, 7, 100, 50, 100, 50);
    one = stream(7, 1, 3, 0);
    update(&one, 1, 11 + 2 * STREAM_FIGURES_BEFORE_S);
    expect(0, 7, 3, 0, 0, 0);
}

/* A publisher that has just begun goes on from what the last one knew. */
static void what_the_last_publisher_knew(void **state)
{
    const struct engine_stream last[] = {
        {.id = 3, .target = 1, .heartbeats = 70, .expected = 7},
        {.id = 7,
         .target = 1,
         .heartbeats = 9000,
         .expected = 900,
         .lost = 20,
         .heartbeats_before = 8000,
         .expected_before = 800,
         .lost_before = 10},
        {.id = 7, .target = 2, .heartbeats = 9990, .expected = 999},
    };
    struct presence_stream two[] = {stream(7, 1, 1000, 30), stream(8, 1, 50, 0)};

    (void)state;
    two[0].first_s = STREAM_FIGURES_BEFORE_S + 1;
    update(two, 2, 1000);
    two[0] = stream(7, 1, 1010, 31);
    update(two, 2, 1005);
    stream_figures_inherit(&figures, last, 3, 10); /* at tick 995 */
    expect(0, 7, 1010, 31, 800, 10);
    expect(1, 8, 50, 0, 0, 0);
    update(two, 2, 1024);
    expect(0, 7, 1010, 31, 800, 10); /* at 994 */
    update(two, 2, 1029);
    expect(0, 7, 1010, 31, 900, 20);
    update(two, 2, 1030);
    expect(0, 7, 1010, 31, 1000, 30);
}

static void what_the_last_publisher_does_not_know(void **state)
{
    struct engine_stream last = {.id = 7, .target = 1, .expected = 900};
    struct presence_stream one = stream(7, 1, 1000, 500);

    (void)state;
    one.first_s = STREAM_FIGURES_BEFORE_S + 1;
    update(&one, 1, 1000);
    stream_figures_inherit(&figures, &last, 1, STREAM_FIGURES_BEFORE_S + 1); /* too old */
    expect(0, 7, 1000, 500, 1000, 500);
    last.expected = 1001; /* of another segment */
    stream_figures_inherit(&figures, &last, 1, 1);
    expect(0, 7, 1000, 500, 1000, 500);
    last = (struct engine_stream){.id = 7, .target = 1, .expected = 900, .expected_before = 901};
    stream_figures_inherit(&figures, &last, 1, 1); /* nobody can have had that */
    expect(0, 7, 1000, 500, 1000, 500);
    last = (struct engine_stream){.id = 7, .target = 1, .expected = 1000};
    update(&one, 1, 1030); /* we know ourselves */
    stream_figures_inherit(&figures, &last, 1, 1);
    expect(0, 7, 1000, 500, 1000, 500);
}

static void a_full_table_has_no_place_for_others(void **state)
{
    struct presence_stream two[] = {stream(1, 0, 1, 0), stream(2, 0, 1, 0)};
    const struct presence_streams list = {.streams = two, .length = 2};

    (void)state;
    assert_true(stream_figures_are_full(&list, 2));
    assert_false(stream_figures_are_full(&list, 3));
    two[0].last_s = 61; /* it may be replaced */
    assert_false(stream_figures_are_full(&list, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(figures_are_those_of_30_s_ago, free_figures),
        cmocka_unit_test_teardown(ticks_may_be_left_out, free_figures),
        cmocka_unit_test_teardown(an_old_stream_begins_with_what_it_has, free_figures),
        cmocka_unit_test_teardown(streams_are_sorted_and_keep_their_own, free_figures),
        cmocka_unit_test_teardown(what_is_left_out, free_figures),
        cmocka_unit_test_teardown(figures_that_fall_begin_anew, free_figures),
        cmocka_unit_test_teardown(what_the_last_publisher_knew, free_figures),
        cmocka_unit_test_teardown(what_the_last_publisher_does_not_know, free_figures),
        cmocka_unit_test(a_full_table_has_no_place_for_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

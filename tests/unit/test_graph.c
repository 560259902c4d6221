/* Bars, scales and time axes, row by row, as text without colours. */
#include "../support/unit.h"

#include <locale.h>

#include "graph.h"

#define BEGIN 1769860800 /* 2026-01-31T12:00:00Z */

static struct graph_point known(double mean, double maximum)
{
    return (struct graph_point){.mean = mean, .maximum = maximum, .known = true};
}

static struct graph minutes_of(struct graph_point *points, unsigned count)
{
    return (struct graph){.points = points, .count = count, .begin = BEGIN, .step_s = 60};
}

static void assert_row(const struct canvas *canvas, unsigned row, const char *expected)
{
    char *text = canvas_row(canvas, row);

    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void assert_rows(const struct canvas *canvas, const char *const *expected, unsigned count)
{
    for (unsigned row = 0; row < count; row++)
        assert_row(canvas, row, expected[row]);
}

/* ---- columns ----------------------------------------------------------------------------- */

static void test_a_column_a_step(void **state)
{
    struct graph_point points[] = {known(1, 2), known(3, 4)};
    struct graph graph = minutes_of(points, 2);

    (void)state;
    assert_float_equal(graph_column(&graph, 2, 0).mean, 1, 0);
    assert_float_equal(graph_column(&graph, 2, 1).maximum, 4, 0);
}

static void test_few_steps_are_stretched(void **state)
{
    struct graph_point points[] = {known(1, 1), known(2, 2), known(3, 3)};
    struct graph graph = minutes_of(points, 3);
    unsigned seen[4] = {0};

    (void)state;
    for (unsigned i = 0; i < 9; i++)
        seen[(unsigned)graph_column(&graph, 9, i).mean]++;
    for (unsigned i = 1; i <= 3; i++)
        assert_int_equal(seen[i], 3);
}

static void test_many_steps_are_gathered(void **state)
{
    struct graph_point points[] = {known(2, 9), known(4, 5), {0}, known(6, 7), {0}, {0}};
    struct graph graph = minutes_of(points, 6);

    (void)state;
    assert_float_equal(graph_column(&graph, 3, 0).mean, 3, 0);
    assert_float_equal(graph_column(&graph, 3, 0).maximum, 9, 0);
    assert_float_equal(graph_column(&graph, 3, 1).mean, 6, 0); /* unknown is not 0 */
    assert_false(graph_column(&graph, 3, 2).known);
}

/* With more steps than columns, each step is in exactly one column. */
static void test_every_step_counts_once(void **state)
{
    struct graph_point points[200];

    (void)state;
    for (unsigned count = 1; count <= 200; count += 7) {
        for (unsigned i = 0; i < count; i++)
            points[i] = known(0, i + 1);
        struct graph graph = minutes_of(points, count);
        for (unsigned columns = 1; columns <= count; columns++) {
            double last = 0;
            for (unsigned i = 0; i < columns; i++) {
                double highest = graph_column(&graph, columns, i).maximum;
                assert_true(highest > last);
                last = highest;
            }
            assert_float_equal(last, count, 0);
        }
    }
}

/* The time that is shown may end within a step: the last column has that one, too. */
static void test_a_step_that_has_not_ended(void **state)
{
    struct graph_point points[] = {known(1, 1), known(2, 2), known(3, 3), known(4, 4)};
    struct graph graph = minutes_of(points, 4);

    (void)state;
    graph.after_s = 50;
    assert_float_equal(graph_column(&graph, 1, 0).maximum, 4, 0);
    assert_float_equal(graph_column(&graph, 2, 1).maximum, 4, 0);
}

/* ---- axes -------------------------------------------------------------------------------- */

static void test_scale_steps(void **state)
{
    (void)state;
    assert_float_equal(graph_scale_step(0, 4), 1, 0);
    assert_float_equal(graph_scale_step(3, 4), 1, 0);
    assert_float_equal(graph_scale_step(4, 4), 1, 0);
    assert_float_equal(graph_scale_step(5, 4), 2, 0);
    assert_float_equal(graph_scale_step(1342, 4), 500, 0);
    assert_float_equal(graph_scale_step(1342, 1), 2000, 0);
    assert_float_equal(graph_scale_step(4294967295.0, 3), 2e9, 0);
    assert_float_equal(graph_scale_step(7, 0), 10, 0);
}

static void test_time_steps(void **state)
{
    (void)state;
    assert_int_equal(graph_time_step(1, 10), 60);
    assert_int_equal(graph_time_step(60, 10), 600);
    assert_int_equal(graph_time_step(61, 10), 900);
    assert_int_equal(graph_time_step(300, 10), 3600);
    assert_int_equal(graph_time_step(86400, 10), 14 * 86400);
    assert_int_equal(graph_time_step(864000, 10), 112 * 86400);
}

static void test_labels(void **state)
{
    (void)state;
    assert_string_equal(graph_number(0).text, "0");
    assert_string_equal(graph_number(950).text, "950");
    assert_string_equal(graph_number(2500).text, "2500");
    assert_string_equal(graph_number(9999).text, "9999");
    assert_string_equal(graph_number(10000).text, "10k");
    assert_string_equal(graph_number(12500).text, "12.5k");
    assert_string_equal(graph_number(500000).text, "500k");
    assert_string_equal(graph_number(1500000).text, "1.5M");
    assert_string_equal(graph_number(50000000).text, "50M");
    assert_string_equal(graph_number(4000000000.0).text, "4G");
    assert_string_equal(graph_time(BEGIN).text, "12:00");
    assert_string_equal(graph_time(BEGIN + 12 * 3600).text, "1 Feb");
}

/* ---- whole graphs ------------------------------------------------------------------------ */

static void test_blocks(void **state)
{
    struct graph_point points[20];
    struct graph graph = minutes_of(points, 20);
    struct canvas canvas;

    (void)state;
    for (unsigned i = 0; i < 20; i++)
        points[i] = known(i, i);
    points[4] = (struct graph_point){0};
    points[0] = known(0, 0);
    assert_int_equal(canvas_init(24, 7, true, false, &canvas), 0);
    graph_draw(&canvas, 0, 0, 7, 24, &graph);
    assert_rows(&canvas,
                (const char *const[]){
                    "                    19 ▼",
                    "20 ┤                ▂▃▅▆",
                    "   │           ▂▃▅▆█████",
                    "10 ┤      ▂▃▅▆██████████",
                    "   │ ▂▃▅ ███████████████",
                    " 0 └┴───┈─────┴─────────",
                    "UTC  12:00  12:10",
                },
                7);
    canvas_free(&canvas);
}

static void test_ascii_and_bands(void **state)
{
    struct graph_point points[28];
    struct graph graph = minutes_of(points, 28);
    struct canvas canvas;

    (void)state;
    for (unsigned i = 0; i < 28; i++)
        points[i] = known(20, i == 5 ? 100 : 45);
    assert_int_equal(canvas_init(34, 8, false, false, &canvas), 0);
    graph_draw(&canvas, 0, 2, 8, 32, &graph);
    assert_rows(&canvas,
                (const char *const[]){
                    "            v 100",
                    "  100 +     :",
                    "      |     :",
                    "   50 +     :",
                    "      |:::::::::::::::::::::::::::",
                    "      |###########################",
                },
                6);
    canvas_free(&canvas);
}

/* Draw graphs of every size with a wide range of values: nothing is written outside the canvas. */
static void test_every_size(void **state)
{
    struct graph_point points[100];
    struct graph graph = minutes_of(points, 100);
    uint64_t random = random_seed("test_every_size");

    (void)state;
    for (unsigned columns = 1; columns < 60; columns++) {
        for (unsigned rows = 1; rows < 30; rows += 3) {
            double size = (double)(UINT64_C(1) << random_next(&random) % 33);
            struct canvas canvas;
            for (unsigned i = 0; i < 100; i++) {
                double mean = (double)(random_next(&random) % 1000) / 1000 * size;
                points[i] = known(mean, mean * 1.5);
                points[i].known = random_next(&random) % 4;
            }
            graph.count = (unsigned)(random_next(&random) % 101);
            assert_int_equal(canvas_init(columns, rows, true, true, &canvas), 0);
            graph_draw(&canvas, 0, 0, rows, columns, &graph);
            graph_sparkline(&canvas, 0, 0, columns, &graph);
            canvas_free(&canvas);
        }
    }
}

static void test_nobody(void **state)
{
    struct graph_point points[20];
    struct graph graph = minutes_of(points, 20);
    struct canvas canvas;

    (void)state;
    for (unsigned i = 0; i < 20; i++)
        points[i] = known(0, 0);
    assert_int_equal(canvas_init(23, 4, true, false, &canvas), 0);
    graph_draw(&canvas, 0, 0, 4, 23, &graph);
    assert_rows(&canvas,
                (const char *const[]){"", "1 ┤", "0 └┴─────────┴─────────", "UTC 12:00  12:10"}, 4);
    canvas_free(&canvas);
}

/* A graph begins with the first known minute, but at least the minimum span ago and not before
 * `since`, aligned to the last minute. */
static void test_minutes_become_points(void **state)
{
    const struct timeline_step minutes[] = {
        {.start = BEGIN, .seconds = 60, .mean = 1, .maximum = 2},
        {.start = BEGIN + 60, .seconds = 0},
        {.start = BEGIN + 180, .seconds = 10, .mean = 3, .maximum = 4},
    };
    struct graph graph;

    (void)state;
    assert_int_equal(graph_init(minutes, 3, 60, 60, BEGIN - 3600, BEGIN + 190, &graph), 0);
    assert_int_equal(graph.begin, BEGIN);
    assert_int_equal(graph.count, 4);
    assert_true(graph.points[0].known && graph.points[3].known);
    assert_false(graph.points[1].known || graph.points[2].known);
    assert_float_equal(graph.points[3].maximum, 4, 0);
    graph_free(&graph);
    assert_int_equal(graph_init(minutes, 3, 60, 600, BEGIN - 90, BEGIN + 190, &graph), 0);
    assert_int_equal(graph.begin, BEGIN - 120); /* aligned; half of this step is before since */
    assert_int_equal(graph.before_s, 30);
    assert_true(graph.points[2].known);
    graph_free(&graph);
}

/* The first and the last step are drawn as far as they belong to the time: a day that began at 0:00
 * ends now, not at 24:00. */
static void test_part_of_a_step(void **state)
{
    const int64_t day = 86400, until = BEGIN;
    const struct timeline_step days[] = {
        {.start = BEGIN - 12 * 3600 - day, .seconds = 60, .mean = 5, .maximum = 5},
        {.start = BEGIN - 12 * 3600, .seconds = 60, .mean = 10, .maximum = 10},
    };
    struct canvas canvas;
    struct graph graph;

    (void)state;
    assert_int_equal(graph_init(days, 2, 86400, 60, until - day, until, &graph), 0);
    assert_int_equal(graph.count, 2);
    assert_int_equal(canvas_init(28, 5, true, false, &canvas), 0);
    graph_draw(&canvas, 0, 0, 5, 28, &graph);
    assert_rows(&canvas,
                (const char *const[]){
                    "                        10 ▼",
                    "10 ┤            ████████████",
                    "   │████████████████████████",
                    " 0 └┴───────────┴───────────",
                    "UTC  12:00   31 Jan",
                },
                5);
    canvas_free(&canvas);
    graph_free(&graph);
}

/* The collector's clock may be ahead of the reader's by seconds. */
static void test_the_first_minute_begins(void **state)
{
    (void)state;
    for (int64_t ahead = -2; ahead <= 3; ahead++) {
        for (uint32_t step_s = 60; step_s <= 86400; step_s *= 1440) {
            const struct timeline_step minute = {
                .start = (BEGIN + ahead) / step_s * step_s, .seconds = 1, .mean = 1, .maximum = 1};
            struct canvas canvas;
            struct graph graph;
            assert_int_equal(graph_init(&minute, 1, step_s, 60, BEGIN + ahead, BEGIN, &graph), 0);
            assert_true(graph.count >= 1 && graph.count <= 2);
            assert_int_equal(canvas_init(30, 6, true, false, &canvas), 0);
            graph_draw(&canvas, 0, 0, 6, 30, &graph);
            canvas_free(&canvas);
            graph_free(&graph);
        }
    }
}

/* Two minutes that start within the same one, since the wall clock was set. */
static void test_minutes_that_share_a_point(void **state)
{
    const struct timeline_step minutes[] = {
        {.start = BEGIN, .seconds = 60, .mean = 1, .maximum = 2},
        {.start = BEGIN + 20, .seconds = 60, .mean = 3, .maximum = 9},
        {.start = BEGIN + 60, .seconds = 60, .mean = 4, .maximum = 5},
    };
    struct graph graph;

    (void)state;
    assert_int_equal(graph_init(minutes, 3, 60, 60, BEGIN, BEGIN + 119, &graph), 0);
    assert_int_equal(graph.count, 2);
    assert_float_equal(graph.points[0].mean, 2, 0);
    assert_float_equal(graph.points[0].maximum, 9, 0);
    graph_free(&graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_column_a_step),
        cmocka_unit_test(test_few_steps_are_stretched),
        cmocka_unit_test(test_many_steps_are_gathered),
        cmocka_unit_test(test_every_step_counts_once),
        cmocka_unit_test(test_a_step_that_has_not_ended),
        cmocka_unit_test(test_scale_steps),
        cmocka_unit_test(test_time_steps),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_ascii_and_bands),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_every_size),
        cmocka_unit_test(test_minutes_become_points),
        cmocka_unit_test(test_part_of_a_step),
        cmocka_unit_test(test_the_first_minute_begins),
        cmocka_unit_test(test_minutes_that_share_a_point),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}

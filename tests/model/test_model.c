/* test_model.c - random streams of datagrams: after every step each count must be the oracle's.
 *
 * TEST_SEED=N begins with the stream of that seed; TEST_LONG=1 runs ten times as long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "stream.h"

#define STEPS                  400 /* of a stream */
#define STEPS_A_THOROUGH_CHECK 100

static struct fixture fixture;
static struct stream stream;

static const struct variant variants[] = {
    {
        .name = "everyday",
        .names = {3, 5, 3, 3},
        .visitors = 100,
        .max_visitors = 12000,
        .max_scopes = 64,
        .max_window = 3600,
        .has_histories = true,
    },
    {
        .name = "window of 7 s",
        .names = {2, 4, 2, 2},
        .visitors = 60,
        .max_visitors = 4000,
        .max_scopes = 64,
        .max_window = 7,
        .has_histories = true,
    },
    {
        .name = "window of 300 s",
        .names = {2, 4, 2, 2},
        .visitors = 60,
        .max_visitors = 4000,
        .max_scopes = 64,
        .max_window = 300,
        .has_histories = true,
    },
    {
        .name = "window of 481 s",
        .names = {2, 4, 2, 2},
        .visitors = 60,
        .max_visitors = 4000,
        .max_scopes = 64,
        .max_window = 481,
        .has_histories = true,
    },
    {
        .name = "window of 1000 s",
        .names = {2, 4, 2, 2},
        .visitors = 60,
        .max_visitors = 4000,
        .max_scopes = 64,
        .max_window = 1000,
        .has_histories = true,
    },
    {
        .name = "many scopes",
        .names = {20, 20, 8, 20},
        .visitors = 20,
        .max_visitors = 40000,
        .max_scopes = 1000,
        .max_window = 600,
    },
    {
        .name = "table too small",
        .names = {2, 4, 2, 2},
        .visitors = 60,
        .max_visitors = 120,
        .max_scopes = 64,
        .max_window = 480,
        .table_may_fill = true,
    },
    {
        .name = "smallest table",
        .names = {1, 1, 1, 1},
        .visitors = 40,
        .max_visitors = 1,
        .max_scopes = 64,
        .max_window = 3600,
        .table_may_fill = true,
    },
    {
        .name = "directory too small",
        .names = {6, 6, 3, 3},
        .visitors = 40,
        .max_visitors = 20000,
        .max_scopes = 24,
        .max_window = 60,
        .directory_may_fill = true,
    },
    {
        .name = "smallest directory",
        .names = {4, 2, 1, 1},
        .visitors = 10,
        .max_visitors = 2000,
        .max_scopes = 1,
        .max_window = 5,
        .directory_may_fill = true,
    },
    {
        .name = "both too small",
        .names = {4, 4, 2, 2},
        .visitors = 40,
        .max_visitors = 60,
        .max_scopes = 12,
        .max_window = 600,
        .table_may_fill = true,
        .directory_may_fill = true,
    },
};

#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

static void streams_are_counted_as_by_the_oracle(void **state)
{
    const struct variant *variant = *state;
    uint64_t seed = random_seed(), first = seed;
    double end = fixture_seconds() + fixture_budget(1.5);

    do {
        stream_open(&stream, variant, seed++, &fixture);
        while (stream.step < STEPS) {
            stream_step(&stream);
            check_step(&stream);
            if (stream.step % STEPS_A_THOROUGH_CHECK == 0)
                check_thoroughly(&stream);
            if (stream.step % STEPS_A_THOROUGH_CHECK == 0)
                check_trends(&stream);
        }
        stream_close(&stream);
    } while (fixture_seconds() < end);
    print_message("%s: %llu streams, from TEST_SEED=%llu\n", variant->name,
                  (unsigned long long)(seed - first), (unsigned long long)first);
}

static int clean_up(void **state)
{
    (void)state;
    fixture_remove(&fixture);
    oracle_close(&stream.oracle);
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[VARIANTS];

    for (unsigned i = 0; i < VARIANTS; i++)
        tests[i] = (struct CMUnitTest){
            .name = variants[i].name,
            .test_func = streams_are_counted_as_by_the_oracle,
            .teardown_func = clean_up,
            .initial_state = (void *)(uintptr_t)&variants[i],
        };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}

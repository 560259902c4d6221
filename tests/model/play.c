#include "play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "model_clock.h"

#define STEPS                  400 /* of most variants */
#define STEPS_A_THOROUGH_CHECK 100
#define VARIANTS_MAX           32

static struct fixture fixture;
static struct stream stream;
static double seconds_each;

/* Sums over all streams of a variant. */
static struct {
    uint64_t ticks, events, missed;
} played;

static void play_stream(const struct variant *variant, uint64_t seed)
{
    unsigned steps = variant->steps ? variant->steps : STEPS;

    stream_open(&stream, variant, seed, &fixture);
    uint64_t began = stream.tick;
    while (stream.step < steps) {
        stream_step(&stream);
        check_step(&stream);
        check_activities(&stream);
        check_peaks(&stream);
        check_some_minutes(&stream);
        check_listings(&stream);
        check_followers(&stream);
        if (stream.step % STEPS_A_THOROUGH_CHECK == 0) {
            check_thoroughly(&stream);
            check_minutes(&stream);
        }
    }
    played.ticks += stream.tick - began;
    played.events += stream.feed.written;
    played.missed += stream.feed.missed;
    stream_close(&stream);
}

static void streams_match_the_oracle(void **state)
{
    const struct variant *variant = *state;
    uint64_t seed = random_seed(), first = seed;
    double end = fixture_seconds() + fixture_budget(seconds_each);

    memset(&played, 0, sizeof(played));
    do
        play_stream(variant, seed++);
    while (fixture_seconds() < end);
    print_message("%s: %llu streams of %llu days, %llu events, %llu missed, from TEST_SEED=%llu\n",
                  variant->name, (unsigned long long)(seed - first),
                  (unsigned long long)(played.ticks / 86400 / (seed - first)),
                  (unsigned long long)played.events, (unsigned long long)played.missed,
                  (unsigned long long)first);
}

static int clean_up(void **state)
{
    (void)state;
    model_clock.fixture = NULL;
    fixture_remove(&fixture);
    stream.fixture = NULL;
    stream_close(&stream);
    return 0;
}

int play_variants(const char *name, const struct variant *variants, unsigned count, double seconds)
{
    struct CMUnitTest tests[VARIANTS_MAX];

    seconds_each = seconds;
    for (unsigned i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){
            .name = variants[i].name,
            .test_func = streams_match_the_oracle,
            .teardown_func = clean_up,
            .initial_state = (void *)(uintptr_t)&variants[i],
        };
    /* The macro knows the length of arrays only. */
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

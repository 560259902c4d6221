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
static struct scenario scenario;
static double seconds_each;

/* Sums over all scenarios of a variant. */
static struct {
    uint64_t ticks, events, missed;
    struct oracle_stream_counters streams;
    uint64_t duplicates;
} played;

static void play_scenario(const struct variant *variant, uint64_t seed)
{
    unsigned steps = variant->steps ? variant->steps : STEPS;

    scenario_open(&scenario, variant, seed, &fixture);
    uint64_t began = scenario.tick;
    while (scenario.step < steps) {
        scenario_step(&scenario);
        check_step(&scenario);
        check_streams(&scenario);
        check_activities(&scenario);
        check_peaks(&scenario);
        check_some_minutes(&scenario);
        check_listings(&scenario);
        check_listed_streams(&scenario);
        check_followers(&scenario);
        if (scenario.step % STEPS_A_THOROUGH_CHECK == 0) {
            check_thoroughly(&scenario);
            check_minutes(&scenario);
        }
    }
    played.ticks += scenario.tick - began;
    played.events += scenario.feed.written;
    played.missed += scenario.feed.missed;
    played.streams.expected += scenario.oracle.streams.counters.expected;
    played.streams.received += scenario.oracle.streams.counters.received;
    played.streams.full += scenario.oracle.streams.counters.full;
    played.duplicates += scenario.oracle.counters.duplicate;
    scenario_close(&scenario);
}

static void scenarios_match_the_oracle(void **state)
{
    const struct variant *variant = *state;
    uint64_t seed = random_seed(), first = seed;
    double end = fixture_seconds() + fixture_budget(seconds_each);

    memset(&played, 0, sizeof(played));
    do
        play_scenario(variant, seed++);
    while (fixture_seconds() < end);
    print_message(
        "%s: %llu scenarios of %llu days, %llu events, %llu missed, from TEST_SEED=%llu\n",
        variant->name, (unsigned long long)(seed - first),
        (unsigned long long)(played.ticks / 86400 / (seed - first)),
        (unsigned long long)played.events, (unsigned long long)played.missed,
        (unsigned long long)first);
    print_message("  version 2: %llu of %llu in streams received, %llu duplicates, %llu no place\n",
                  (unsigned long long)played.streams.received,
                  (unsigned long long)played.streams.expected,
                  (unsigned long long)played.duplicates, (unsigned long long)played.streams.full);
}

static int clean_up(void **state)
{
    (void)state;
    model_clock.fixture = NULL;
    fixture_remove(&fixture);
    scenario.fixture = NULL;
    scenario_close(&scenario);
    return 0;
}

int play_variants(const char *name, const struct variant *variants, unsigned count, double seconds)
{
    struct CMUnitTest tests[VARIANTS_MAX];

    seconds_each = seconds;
    for (unsigned i = 0; i < count; i++)
        tests[i] = (struct CMUnitTest){
            .name = variants[i].name,
            .test_func = scenarios_match_the_oracle,
            .teardown_func = clean_up,
            .initial_state = (void *)(uintptr_t)&variants[i],
        };
    /* The macro knows the length of arrays only. */
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

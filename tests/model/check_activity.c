/* check_activity.c - compare presence_activity with the oracle. */
#include <errno.h>

#include "checks.h"

/* Check that the bands follow each other from 0 on, over the window or to the first tick of all. */
static void check_bands(struct scenario *scenario, const struct oracle_scope *scope,
                        const struct presence_activity *activity)
{
    unsigned window = oracle_sampled_window(&scenario->oracle), from = 0;

    for (size_t i = 0; i < activity->bands_length; i++) {
        const struct presence_age_band *band = &activity->bands[i];
        unsigned least, most;
        oracle_count_ages(&scenario->oracle, scope, scenario->tick, band->from_s, band->to_s,
                          &least, &most);
        checks_expect(scenario, scope, "visitors of a band", band->visitors,
                      (struct range){least, most});
        checks_expect_exactly(scenario, scope, "a band begins at", band->from_s, from);
        checks_expect(scenario, scope, "a band ends at", band->to_s,
                      (struct range){from, window - 1});
        from = band->to_s + 1;
    }
    if (from < window && from <= scenario->tick)
        scenario_fail(scenario, "the bands end at %u s of %u s", from, window);
}

/* Check who came and who left in the last minute that was sampled. */
static void check_last_minute(struct scenario *scenario, const struct oracle_scope *scope,
                              const struct presence_activity *activity)
{
    struct oracle_flow flow = {0};
    unsigned seconds = scope->trend.is_kept ? oracle_trend_last_minute(&scope->trend, &flow) : 0;

    checks_expect_exactly(scenario, scope, "has a history", activity->has_history,
                          scope->trend.is_kept);
    checks_expect_exactly(scenario, scope, "seconds observed", activity->seconds, seconds);
    checks_expect(scenario, scope, "heartbeats of the last minute", activity->heartbeats,
                  checks_range(flow.heartbeats));
    checks_expect(scenario, scope, "entries of the last minute", activity->entries,
                  checks_range(flow.entries));
    checks_expect(scenario, scope, "leaves of the last minute", activity->leaves,
                  checks_range(flow.leaves));
    if (!scope->trend.is_doubted)
        checks_expect(scenario, scope, "departures of the last minute", activity->departures,
                      checks_range(flow.departures));
}

static void check_activity(struct scenario *scenario, const struct oracle_scope *scope)
{
    struct place_names names = checks_names(scenario, scope);
    struct presence_activity activity;
    int r = presence_activity(scenario->reader, (enum presence_kind)scope->place, names.site,
                              names.name, &activity);

    checks_expect_exactly(scenario, scope, "presence_activity returns", (uint64_t)r, 0);
    checks_answer(scenario, scope, &activity.reading);
    if (!activity.reading.exists)
        return;
    checks_reading(scenario, scope, &activity.reading, 0);
    check_bands(scenario, scope, &activity);
    check_last_minute(scenario, scope, &activity);
}

void check_activities(struct scenario *scenario)
{
    struct presence_reading moment = presence_freshness(scenario->reader);

    checks_reading(scenario, NULL, &moment, 0);
    for (unsigned i = 0; i < scenario->oracle.scope_count; i++)
        check_activity(scenario, &scenario->oracle.scopes[i]);
}

/* check_activity.c - compare presence_activity with the oracle. */
#include <errno.h>

#include "checks.h"

/* Check that the bands follow each other from 0 on, over the window or to the first tick of all. */
static void check_bands(struct stream *stream, const struct oracle_scope *scope,
                        const struct presence_activity *activity)
{
    unsigned window = oracle_sampled_window(&stream->oracle), from = 0;

    for (size_t i = 0; i < activity->bands_length; i++) {
        const struct presence_age_band *band = &activity->bands[i];
        unsigned least, most;
        oracle_count_ages(&stream->oracle, scope, stream->tick, band->from_s, band->to_s, &least,
                          &most);
        checks_expect(stream, scope, "visitors of a band", band->visitors,
                      (struct range){least, most});
        checks_expect_exactly(stream, scope, "a band begins at", band->from_s, from);
        checks_expect(stream, scope, "a band ends at", band->to_s,
                      (struct range){from, window - 1});
        from = band->to_s + 1;
    }
    if (from < window && from <= stream->tick)
        stream_fail(stream, "the bands end at %u s of %u s", from, window);
}

/* Check who came and who left in the last minute that was sampled. */
static void check_last_minute(struct stream *stream, const struct oracle_scope *scope,
                              const struct presence_activity *activity)
{
    struct oracle_flow flow = {0};
    unsigned seconds = scope->trend.is_kept ? oracle_trend_last_minute(&scope->trend, &flow) : 0;

    checks_expect_exactly(stream, scope, "has a history", activity->has_history,
                          scope->trend.is_kept);
    checks_expect_exactly(stream, scope, "seconds observed", activity->seconds, seconds);
    checks_expect(stream, scope, "heartbeats of the last minute", activity->heartbeats,
                  checks_range(flow.heartbeats));
    checks_expect(stream, scope, "entries of the last minute", activity->entries,
                  checks_range(flow.entries));
    checks_expect(stream, scope, "leaves of the last minute", activity->leaves,
                  checks_range(flow.leaves));
    if (!scope->trend.is_doubted)
        checks_expect(stream, scope, "departures of the last minute", activity->departures,
                      checks_range(flow.departures));
}

static void check_activity(struct stream *stream, const struct oracle_scope *scope)
{
    struct place_names names = checks_names(stream, scope);
    struct presence_activity activity;
    int r = presence_activity(stream->reader, (enum presence_kind)scope->place, names.site,
                              names.name, &activity);

    checks_expect_exactly(stream, scope, "presence_activity returns", (uint64_t)r, 0);
    checks_answer(stream, scope, &activity.reading);
    if (!activity.reading.exists)
        return;
    checks_reading(stream, scope, &activity.reading, 0);
    check_bands(stream, scope, &activity);
    check_last_minute(stream, scope, &activity);
}

void check_activities(struct stream *stream)
{
    struct presence_reading moment = presence_freshness(stream->reader);

    checks_reading(stream, NULL, &moment, 0);
    for (unsigned i = 0; i < stream->oracle.scope_count; i++)
        check_activity(stream, &stream->oracle.scopes[i]);
}

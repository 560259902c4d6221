/* check_trends.c - compare peaks and minutes with the oracle. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "checks.h"
#include "model_clock.h"

#define HELD 1440 /* minutes */
#define HOUR 3600

/* ---- peaks ------------------------------------------------------------------------------- */

static void check_peak(struct scenario *scenario, const struct oracle_scope *scope,
                       const char *what, const struct presence_peak *peak,
                       const struct oracle_peak *expected)
{
    int64_t at = expected->count ? model_clock_wall(expected->at) : 0;

    if (peak->count == expected->count && peak->at == at)
        return;
    scenario_fail(scenario, "place %d, name %d of site %d: peak %s %u at %lld, not %u at %lld",
                  (int)scope->place, scope->name, scope->site, what, peak->count,
                  (long long)peak->at, expected->count, (long long)at);
}

/* Check the peaks: those of a possible life, and from then on only of that one or of one that
 * begins later. */
static void check_peaks_of(struct scenario *scenario, struct oracle_scope *scope)
{
    struct place_names names = checks_names(scenario, scope);
    struct presence_peaks peaks;
    bool is_there = scope->trend.is_kept || !checks_is_gone(scenario, scope);
    int r = presence_peaks(scenario->reader, (enum presence_kind)scope->place, names.site,
                           names.name, &peaks);

    checks_expect_exactly(scenario, scope, "presence_peaks returns", (uint64_t)r,
                          is_there ? 0 : (uint64_t)-ENOENT);
    if (r < 0)
        return;
    uint64_t since = (uint64_t)(peaks.since - model_clock_wall(0));
    const struct oracle_life *life = oracle_lives_find(&scope->lives, since);
    if (!life)
        scenario_fail(scenario,
                      "place %d, name %d of site %d: peaks since tick %llu, when it did not "
                      "begin",
                      (int)scope->place, scope->name, scope->site, (unsigned long long)since);
    checks_expect_exactly(scenario, scope, "window of peaks", peaks.window_s,
                          oracle_sampled_window(&scenario->oracle));
    if (scenario->sampled != ORACLE_ABSENT)
        checks_expect_exactly(scenario, scope, "day of peaks", (uint64_t)peaks.day,
                              scenario->day * 86400);
    check_peak(scenario, scope, "today", &peaks.today, &life->today);
    check_peak(scenario, scope, "ever", &peaks.ever, &life->ever);
    oracle_lives_settle(&scope->lives, since);
}

void check_peaks(struct scenario *scenario)
{
    for (unsigned i = 0; i < scenario->oracle.scope_count; i++) {
        struct oracle_scope *scope = &scenario->oracle.scopes[i];
        /* The oracle doesn't know which labels a full table refused. */
        if (!scenario->variant->table_may_fill || scope->place == PLACE_SITE)
            check_peaks_of(scenario, scope);
    }
}

/* ---- minutes ----------------------------------------------------------------------------- */

static void check_minute(struct scenario *scenario, const struct oracle_scope *scope,
                         const struct presence_minute *got, const struct oracle_minute *expected)
{
    const struct oracle_flow *flow = &expected->flow;

    checks_expect_exactly(scenario, scope, "minute", got->minute, expected->minute);
    checks_expect_exactly(scenario, scope, "start", (uint64_t)got->start,
                          (uint64_t)model_clock_wall(expected->minute * 60));
    checks_expect_exactly(scenario, scope, "samples", got->seconds, expected->samples);
    checks_expect_exactly(scenario, scope, "minimum", got->minimum, expected->minimum);
    checks_expect_exactly(scenario, scope, "maximum", got->maximum, expected->maximum);
    checks_expect_exactly(scenario, scope, "sum", (uint64_t)llround(got->mean * got->seconds),
                          expected->sum);
    checks_expect(scenario, scope, "heartbeats", got->heartbeats, checks_range(flow->heartbeats));
    checks_expect(scenario, scope, "pageviews", got->pageviews, checks_range(flow->pageviews));
    checks_expect(scenario, scope, "entries", got->entries, checks_range(flow->entries));
    checks_expect(scenario, scope, "leaves", got->leaves, checks_range(flow->leaves));
    if (!scope->trend.is_doubted)
        checks_expect(scenario, scope, "departures", got->departures,
                      checks_range(flow->departures));
    checks_expect_exactly(scenario, scope, "warming", got->warming, expected->is_warming);
    checks_expect_exactly(scenario, scope, "running", got->running,
                          expected->minute == scenario->sampled / 60);
}

static bool is_within(const struct oracle_minute *minute, int64_t since, int64_t until)
{
    int64_t start = model_clock_wall(minute->minute * 60);

    return (!since || start >= since) && (!until || start < until);
}

/* Check the minutes of a scope that began from `since` on and before `until`. */
static void check_minutes_of(struct scenario *scenario, const struct oracle_scope *scope,
                             int64_t since, int64_t until)
{
    const struct oracle_trend *trend = &scope->trend;
    struct place_names names = checks_names(scenario, scope);
    struct presence_history history;
    size_t length = 0;
    int absent = scenario->variant->max_histories ? -ENOENT : -EOPNOTSUPP;
    int r = presence_history(scenario->reader, (enum presence_kind)scope->place, names.site,
                             names.name, since, until, &history);

    checks_expect_exactly(scenario, scope, "presence_history returns", (uint64_t)r,
                          trend->is_kept ? 0 : (uint64_t)absent);
    if (r < 0)
        return;
    for (unsigned i = 0; i < trend->length; i++) {
        const struct oracle_minute *minute = &trend->minutes[i];
        if (minute->minute + HELD <= scenario->sampled / 60 || !is_within(minute, since, until))
            continue;
        if (length == history.length)
            scenario_fail(scenario, "place %d, name %d of site %d: minute %llu is missing",
                          (int)scope->place, scope->name, scope->site,
                          (unsigned long long)minute->minute);
        check_minute(scenario, scope, &history.minutes[length++], minute);
    }
    checks_expect_exactly(scenario, scope, "number of minutes", history.length, length);
    presence_history_free(&history);
}

void check_minutes(struct scenario *scenario)
{
    for (unsigned i = 0; i < scenario->oracle.scope_count; i++)
        check_minutes_of(scenario, &scenario->oracle.scopes[i], 0, 0);
}

void check_some_minutes(struct scenario *scenario)
{
    struct random_source *random = &scenario->random;
    const struct oracle_scope *scope =
        &scenario->oracle.scopes[random_below(random, scenario->oracle.scope_count)];
    int64_t now = model_clock_wall(scenario->tick);
    int64_t since = now - random_below(random, 90000);

    if (random_one_in(random, 3)) /* what `top` compares with */
        check_minutes_of(scenario, scope, now - HOUR - 59, now - HOUR + 1);
    else if (random_one_in(random, 4))
        check_minutes_of(scenario, scope, 0, 0);
    else
        check_minutes_of(scenario, scope, since, since + random_between(random, 1, 7200));
}

#include "checks.h"

#include <string.h>

#include "model_clock.h"

static void copy_name(char ret[256], const struct name *name)
{
    memcpy(ret, name->bytes, name->length);
    ret[name->length] = '\0';
}

/* Write a name in one of the ways in which readers may ask for it. */
static void respell(struct scenario *scenario, enum place place, const struct name *name,
                    char ret[256])
{
    unsigned length = name_respell(name, place, &scenario->random, (uint8_t *)ret,
                                   place == PLACE_ROOM ? 255 : 253);

    ret[length] = '\0';
}

struct place_names checks_names(struct scenario *scenario, const struct oracle_scope *scope)
{
    struct place_names names = {0};

    respell(scenario, PLACE_SITE, &scenario->names.names[PLACE_SITE][scope->site], names.site);
    respell(scenario, scope->place, &scenario->names.names[scope->place][scope->name], names.name);
    return names;
}

void checks_site_name(const struct scenario *scenario, int site, char ret[256])
{
    copy_name(ret, &scenario->names.names[PLACE_SITE][site]);
    for (char *byte = ret; *byte; byte++)
        if (*byte >= 'A' && *byte <= 'Z')
            *byte += 'a' - 'A';
}

bool checks_is_named(const struct scenario *scenario, int site, enum place place, int name,
                     const char *returned)
{
    char expected[256];

    if (place == PLACE_SITE)
        checks_site_name(scenario, site, expected);
    else
        copy_name(expected, &scenario->names.names[place][name]);
    return strcmp(returned, expected) == 0;
}

bool checks_is_gone(const struct scenario *scenario, const struct oracle_scope *scope)
{
    return !scope->is_known || scenario->tick - scope->last_heartbeat >= scenario->oracle.longest;
}

struct range checks_count(const struct scenario *scenario, const struct oracle_scope *scope,
                          unsigned window)
{
    unsigned least, most;

    oracle_count(&scenario->oracle, scope, scenario->tick,
                 window ? window : oracle_sampled_window(&scenario->oracle), &least, &most);
    return (struct range){least, most};
}

struct range checks_range(struct oracle_figure figure)
{
    return (struct range){figure.value - figure.doubt, figure.value};
}

void checks_expect(struct scenario *scenario, const struct oracle_scope *scope, const char *what,
                   uint64_t got, struct range range)
{
    if (got >= range.least && got <= range.most)
        return;
    scenario_fail(scenario, "place %d, name %d of site %d: %s %lld, not %lld to %lld",
                  scope ? (int)scope->place : -1, scope ? scope->name : -1,
                  scope ? scope->site : -1, what, (long long)got, (long long)range.least,
                  (long long)range.most);
}

void checks_expect_exactly(struct scenario *scenario, const struct oracle_scope *scope,
                           const char *what, uint64_t got, uint64_t expected)
{
    checks_expect(scenario, scope, what, got, (struct range){expected, expected});
}

/* True if anything was ever refused. */
static bool is_refused(const struct scenario *scenario)
{
    const struct oracle_counters *counters = &scenario->oracle.counters;

    return counters->table_full + counters->label_table_full + counters->scopes_full +
               counters->label_scopes_full !=
           0;
}

void checks_answer(struct scenario *scenario, const struct oracle_scope *scope,
                   const struct presence_reading *reading)
{
    bool is_gone = checks_is_gone(scenario, scope);

    checks_expect_exactly(scenario, scope, "exists", reading->exists, !is_gone);
    if (is_gone)
        checks_expect_exactly(scenario, scope, "count of nobody", reading->count, 0);
    if (!is_gone || !is_refused(scenario))
        checks_expect_exactly(scenario, scope, "known", reading->known,
                              !is_gone || (!reading->stale && !reading->warming));
    if (!is_refused(scenario))
        checks_expect_exactly(scenario, scope, "partial", reading->partial, false);
}

void checks_reading(struct scenario *scenario, const struct oracle_scope *scope,
                    const struct presence_reading *reading, unsigned window)
{
    uint64_t age = fixture_clock(scenario->fixture) - scenario->tick;
    struct range count = scope ? checks_count(scenario, scope, window) : (struct range){0, 0};

    if (window == 0)
        window = oracle_sampled_window(&scenario->oracle);
    checks_expect(scenario, scope, "count", reading->count, count);
    checks_expect_exactly(scenario, scope, "window", reading->window_s,
                          oracle_shown_window(window));
    checks_expect_exactly(scenario, scope, "age of the last heartbeat", reading->last_heartbeat_s,
                          scope ? scenario->tick - scope->last_heartbeat : 0);
    checks_expect_exactly(scenario, scope, "stale", reading->stale,
                          scenario->is_stopped || age > 3);
    checks_expect_exactly(scenario, scope, "warming", reading->warming,
                          scenario->tick - scenario->listening_since < 90);
    checks_expect_exactly(scenario, scope, "as of", (uint64_t)reading->as_of,
                          (uint64_t)model_clock_wall(scenario->tick));
    checks_expect_exactly(scenario, scope, "age", reading->as_of_age_s, age);
}

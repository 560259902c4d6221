/* check_listings.c - compare top, sites, the busiest scopes, those with histories, and when
 * visitors were seen with the oracle. */
#include <errno.h>
#include <string.h>

#include "checks.h"

/* The required contents of a listing, and those found. */
struct expectation {
    int site; /* -1: all */
    enum place place;
    unsigned window;
    size_t limit;
    unsigned total; /* scopes that are not gone */
    unsigned found;
    unsigned last_count; /* of the last line that was checked */
    char last_site[256], last_name[256];
};

static bool is_listed(const struct scenario *scenario, const struct expectation *expectation,
                      const struct oracle_scope *scope)
{
    return scope->place == expectation->place &&
           (expectation->site < 0 || scope->site == expectation->site) &&
           !checks_is_gone(scenario, scope);
}

static struct expectation expect_listing(struct scenario *scenario, enum place place, int site)
{
    struct random_source *random = &scenario->random;
    struct expectation expectation = {
        .site = site,
        .place = place,
        .window =
            random_one_in(random, 2) ? 0 : random_between(random, 1, scenario->oracle.longest),
        .limit = random_one_in(random, 2) ? 0 : random_between(random, 1, 6),
        .last_count = UINT32_MAX,
    };

    if (expectation.window > scenario->variant->max_window)
        expectation.window = scenario->variant->max_window;
    for (unsigned i = 0; i < scenario->oracle.scope_count; i++)
        expectation.total += is_listed(scenario, &expectation, &scenario->oracle.scopes[i]);
    return expectation;
}

static const struct oracle_scope *find_named(struct scenario *scenario,
                                             const struct expectation *expectation,
                                             const char *site, const char *name)
{
    for (unsigned i = 0; i < scenario->oracle.scope_count; i++) {
        const struct oracle_scope *scope = &scenario->oracle.scopes[i];
        if (is_listed(scenario, expectation, scope) &&
            (!site || checks_is_named(scenario, scope->site, PLACE_SITE, 0, site)) &&
            checks_is_named(scenario, scope->site, scope->place, scope->name, name))
            return scope;
    }
    scenario_fail(scenario, "the listing has '%s' of '%s', who is not there", name,
                  site ? site : "");
}

/* Check one line: its figures, and that it follows the one before. `site` may be NULL. */
static void check_line(struct scenario *scenario, struct expectation *expectation, const char *site,
                       const char *name, unsigned count, unsigned last_heartbeat_s)
{
    const struct oracle_scope *scope = find_named(scenario, expectation, site, name);
    int order = strcmp(expectation->last_site, site ? site : "");

    checks_expect(scenario, scope, "listed count", count,
                  checks_count(scenario, scope, expectation->window));
    checks_expect_exactly(scenario, scope, "listed heartbeat", last_heartbeat_s,
                          scenario->tick - scope->last_heartbeat);
    if (order == 0)
        order = strcmp(expectation->last_name, name);
    if (count > expectation->last_count || (count == expectation->last_count && order >= 0))
        scenario_fail(scenario, "'%s' with %u comes after '%s' with %u", name, count,
                      expectation->last_name, expectation->last_count);
    expectation->last_count = count;
    strcpy(expectation->last_site, site ? site : "");
    strcpy(expectation->last_name, name);
    expectation->found++;
}

/* Check that all are there, or as many as were asked for, and no other scope has more. */
static void check_end(struct scenario *scenario, const struct expectation *expectation)
{
    unsigned most = expectation->total, more = 0;

    if (expectation->limit && expectation->limit < most)
        most = (unsigned)expectation->limit;
    checks_expect_exactly(scenario, NULL, "length of a listing", expectation->found, most);
    for (unsigned i = 0; i < scenario->oracle.scope_count; i++) {
        const struct oracle_scope *scope = &scenario->oracle.scopes[i];
        more += is_listed(scenario, expectation, scope) &&
                checks_count(scenario, scope, expectation->window).least > expectation->last_count;
    }
    if (more > expectation->found)
        scenario_fail(scenario, "%u have more than the last of %u that are listed", more,
                      expectation->found);
}

static void check_top(struct scenario *scenario, int site, enum place place)
{
    const struct oracle_scope *scope = oracle_scope(&scenario->oracle, site, PLACE_SITE, 0);
    struct expectation expectation = expect_listing(scenario, place, site);
    struct place_names names = checks_names(scenario, scope);
    struct presence_listing listing;
    int r = presence_top(scenario->reader, names.site, (enum presence_kind)place,
                         expectation.window, expectation.limit, &listing);

    checks_expect_exactly(scenario, scope, "presence_top returns", (uint64_t)r, 0);
    checks_answer(scenario, scope, &listing.site);
    if (!listing.site.exists)
        return;
    checks_reading(scenario, scope, &listing.site, expectation.window);
    for (size_t i = 0; i < listing.length; i++)
        check_line(scenario, &expectation, NULL, listing.entries[i].name, listing.entries[i].count,
                   listing.entries[i].last_heartbeat_s);
    check_end(scenario, &expectation);
    presence_listing_free(&listing);
}

static void check_sites(struct scenario *scenario)
{
    struct expectation expectation = expect_listing(scenario, PLACE_SITE, -1);
    struct presence_listing listing;
    int r = presence_sites(scenario->reader, expectation.window, &listing);

    checks_expect_exactly(scenario, NULL, "presence_sites returns", (uint64_t)r, 0);
    expectation.limit = 0;
    checks_reading(scenario, NULL, &listing.site, expectation.window);
    for (size_t i = 0; i < listing.length; i++)
        check_line(scenario, &expectation, NULL, listing.entries[i].name, listing.entries[i].count,
                   listing.entries[i].last_heartbeat_s);
    check_end(scenario, &expectation);
    presence_listing_free(&listing);
}

static void check_busiest(struct scenario *scenario, enum place place)
{
    struct expectation expectation = expect_listing(scenario, place, -1);
    struct presence_busiest busiest;
    int r = presence_busiest(scenario->reader, (enum presence_kind)place, expectation.window,
                             expectation.limit, &busiest);

    checks_expect_exactly(scenario, NULL, "presence_busiest returns", (uint64_t)r, 0);
    checks_reading(scenario, NULL, &busiest.moment, expectation.window);
    checks_expect_exactly(scenario, NULL, "total of the busiest", busiest.total, expectation.total);
    for (size_t i = 0; i < busiest.length; i++) {
        const struct presence_busy_scope *line = &busiest.scopes[i];
        check_line(scenario, &expectation, line->site,
                   place == PLACE_SITE ? line->site : line->name, line->count,
                   line->last_heartbeat_s);
    }
    check_end(scenario, &expectation);
    presence_busiest_free(&busiest);
}

static void check_seen(struct scenario *scenario)
{
    unsigned visitor = random_below(&scenario->random, scenario->variant->visitors);
    int site = (int)random_below(&scenario->random, scenario->variant->names[PLACE_SITE]);
    const struct oracle_scope *scope = oracle_scope(&scenario->oracle, site, PLACE_SITE, 0);
    const struct oracle_presence *presence = &scope->visitors[visitor];
    const struct name *text = &scenario->names.visitors[visitor].text;
    struct place_names names = checks_names(scenario, scope);
    char id[NAME_MAX_BYTES + 1] = {0};
    struct presence_reading reading;

    if (presence->unsure)
        return;
    memcpy(id, text->bytes, text->length);
    uint64_t expected = scenario->tick - presence->last;
    bool is_seen = presence->last != ORACLE_ABSENT && expected < scenario->oracle.longest;
    int r = presence_seen(scenario->reader, names.site, id, &reading);
    checks_expect_exactly(scenario, scope, "presence_seen returns", (uint64_t)r, 0);
    checks_expect_exactly(scenario, scope, "seen", reading.exists, is_seen);
    if (is_seen)
        checks_expect_exactly(scenario, scope, "seen ago", reading.last_heartbeat_s, expected);
}

/* Check the scopes that have a history, and no others: sites first, then by site, kind and name. */
static void check_history_scopes(struct scenario *scenario)
{
    struct presence_scopes scopes;
    size_t kept = 0;
    int r = presence_history_scopes(scenario->reader, &scopes);

    checks_expect_exactly(scenario, NULL, "presence_history_scopes returns", (uint64_t)r,
                          scenario->variant->max_histories ? 0 : (uint64_t)-EOPNOTSUPP);
    if (r < 0)
        return;
    for (unsigned i = 0; i < scenario->oracle.scope_count; i++) {
        const struct oracle_scope *scope = &scenario->oracle.scopes[i];
        bool is_found = false;
        for (size_t line = 0; line < scopes.length && !is_found; line++)
            is_found =
                (int)scopes.scopes[line].kind == (int)scope->place &&
                checks_is_named(scenario, scope->site, PLACE_SITE, 0, scopes.scopes[line].site) &&
                (scope->place == PLACE_SITE ||
                 checks_is_named(scenario, scope->site, scope->place, scope->name,
                                 scopes.scopes[line].name));
        checks_expect_exactly(scenario, scope, "is listed with a history", is_found,
                              scope->trend.is_kept);
        kept += scope->trend.is_kept;
    }
    checks_expect_exactly(scenario, NULL, "number of histories", scopes.length, kept);
    for (size_t line = 1; line < scopes.length; line++)
        if (scopes.scopes[line].kind == PRESENCE_SITE &&
            scopes.scopes[line - 1].kind != PRESENCE_SITE)
            scenario_fail(scenario, "a site's history is listed after a label's");
    presence_scopes_free(&scopes);
}

void check_listings(struct scenario *scenario)
{
    int site = (int)random_below(&scenario->random, scenario->variant->names[PLACE_SITE]);

    check_top(scenario, site,
              (enum place)random_between(&scenario->random, PLACE_ROOM, PLACE_SOURCE));
    check_sites(scenario);
    check_busiest(scenario, (enum place)random_below(&scenario->random, PLACES));
    check_seen(scenario);
    check_history_scopes(scenario);
}

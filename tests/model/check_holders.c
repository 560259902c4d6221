/* check_holders.c - which scopes have a history, if there are fewer than scopes.
 *
 * The collector is free to choose within rules: sites before labels, no scope without one while one
 * is free, none taken from a site that is still there, and busy labels before quiet ones. A
 * history's contents are checked against the oracle, which learns here since when the history may
 * know its scope.
 */
#include <string.h>

#include "checks.h"

#define CANDIDATES_MAX 16 /* that can get one in a minute */

/* The result of one round of samples. */
struct census {
    const struct oracle_round *round;
    unsigned held, labels_held;
    unsigned forgotten;       /* scopes that were silent for a day, since this round */
    unsigned wanting;         /* had a heartbeat since the last round, and have none */
    unsigned sites_wanting;   /* of these */
    unsigned quietest;        /* the lowest count of labels that have one */
    unsigned busiest;         /* the highest count of labels that want one */
    struct range new_refused; /* new sites that got none */
};

static const struct segment *segment_of(const struct scenario *scenario)
{
    return &scenario->fixture->collector.file.segment;
}

/* ---- finding ----------------------------------------------------------------------------- */

static bool is_history_of(const struct scenario *scenario, const struct history *head,
                          const struct oracle_scope *scope)
{
    const struct name *label = &scenario->names.names[scope->place][scope->name];
    char site[256];

    checks_site_name(scenario, scope->site, site);
    if (head->kind != (uint8_t)scope->place || head->site_length != strlen(site) ||
        memcmp(head->site, site, head->site_length) != 0)
        return false;
    return scope->place == PLACE_SITE || (head->name_length == label->length &&
                                          memcmp(head->name, label->bytes, label->length) == 0);
}

static struct holding find_holding(const struct scenario *scenario,
                                   const struct oracle_scope *scope)
{
    const struct histories *histories = &segment_of(scenario)->histories;

    for (uint32_t i = 0; i < histories->capacity; i++)
        if (is_history_of(scenario, &histories->heads[i], scope))
            return (struct holding){true, i, histories->heads[i].version};
    return (struct holding){0};
}

static bool is_first_sample(const struct oracle_scope *scope, uint64_t since)
{
    const struct oracle_life *life = oracle_lives_find(&scope->lives, since);

    return life && life->samples == 1;
}

/* True if a site without a history was created since the last round. */
static struct range is_newborn(const struct scenario *scenario, const struct oracle_scope *scope)
{
    const struct segment *segment = segment_of(scenario);
    const struct oracle_lives *lives = &scope->lives;
    char site[256];
    uint64_t state;

    checks_site_name(scenario, scope->site, site);
    uint32_t found = fixture_scope(segment, site, NULL, &state);
    if (found != SCOPE_NONE) {
        uint64_t since = segment->directory.activities[found].since;
        bool may_be = is_first_sample(scope, since), goes_on = false;
        for (unsigned i = 0; i < lives->length; i++) /* was forgotten at that very tick */
            goes_on |= lives->lives[i].since == since && lives->lives[i].samples > 1;
        return (struct range){may_be && !goes_on, may_be};
    }
    /* Freed after these samples: whether it was free before, too, is unknown. */
    bool may_be = lives->length && lives->lives[lives->length - 1].samples == 1;
    return (struct range){may_be && lives->length == 1, may_be};
}

/* ---- judging ----------------------------------------------------------------------------- */

static void judge_unheld(struct scenario *scenario, const struct oracle_scope *scope,
                         bool has_just_lost_it, struct census *census)
{
    bool is_forgotten = oracle_is_forgotten(scope, census->round->now);
    bool is_wanting =
        census->round->before == ORACLE_ABSENT || scope->last_heartbeat > census->round->before;

    if (scope->place == PLACE_SITE) {
        struct range newborn = is_newborn(scenario, scope);
        census->new_refused.least += is_forgotten ? 0 : newborn.least;
        census->new_refused.most += newborn.most;
    }
    if (is_forgotten || !is_wanting)
        return;
    census->wanting++;
    census->sites_wanting += scope->place == PLACE_SITE;
    if (scope->place != PLACE_SITE && !has_just_lost_it && scope->sampled > census->busiest)
        census->busiest = scope->sampled;
}

/* Judge a scope that has one. `sampled` is its count when candidates were collected. */
static void judge_held(const struct oracle_scope *scope, unsigned sampled, struct census *census)
{
    census->held++;
    if (scope->place == PLACE_SITE)
        return;
    census->labels_held++;
    if (sampled < census->quietest)
        census->quietest = sampled;
}

static bool is_new_minute(const struct oracle_round *round)
{
    return round->before != ORACLE_ABSENT && round->before / 60 != round->now / 60;
}

/* True if a history that was given in this round knows its scope from the start. One that was taken
 * from a quieter label, which happens once a minute, does not. */
static bool knows_all(const struct scenario *scenario, const struct oracle_scope *scope,
                      uint32_t index, const struct oracle_round *round)
{
    const struct histories *histories = &segment_of(scenario)->histories;
    bool may_be_taken = scope->place != PLACE_SITE && is_new_minute(round);

    return is_first_sample(scope, histories->heads[index].since) &&
           !(may_be_taken && history_minute_at(histories, index, round->now / 60)->heartbeats == 0);
}

/* Return the count that a scope's history is ranked by. A label that has returned since the last
 * round is ranked by its visitors of now. */
static unsigned rank(const struct oracle_scope *scope, const struct holding *before, bool is_same)
{
    const struct oracle_lives *lives = &scope->lives;
    bool may_have_returned = lives->length && lives->lives[lives->length - 1].samples == 1;

    if (!is_same || (may_have_returned && scope->sampled > before->sampled))
        return scope->sampled;
    return before->sampled;
}

/* Tell the oracle what a scope has, and check that no site lost its own. */
static void judge_scope(struct scenario *scenario, struct oracle_scope *scope,
                        struct holding *before, struct census *census)
{
    struct holding now = find_holding(scenario, scope);
    bool is_same = now.is_held && before->is_held && now.index == before->index &&
                   now.version == before->version;
    bool is_forgotten = oracle_is_forgotten(scope, census->round->now);
    enum oracle_holding holding = ORACLE_UNHELD;

    if (now.is_held && is_forgotten)
        scenario_fail(scenario,
                      "place %d, name %d of site %d was silent for a day, and has a history",
                      (int)scope->place, scope->name, scope->site);
    if (before->is_held && !is_same && !is_forgotten && scope->place == PLACE_SITE)
        scenario_fail(scenario, "site %d has lost its history", scope->site);
    census->forgotten += scope->fell_silent;
    if (now.is_held) {
        judge_held(scope, rank(scope, before, is_same), census);
        holding = is_same                                                ? ORACLE_HELD
                  : knows_all(scenario, scope, now.index, census->round) ? ORACLE_GIVEN_NEW
                                                                         : ORACLE_GIVEN;
    } else {
        judge_unheld(scenario, scope, before->is_held, census);
    }
    oracle_hold(scope, holding, census->round);
    *before = now;
    before->sampled = scope->sampled;
}

static void judge_census(struct scenario *scenario, const struct census *census)
{
    const struct oracle_round *round = census->round;
    uint64_t refused = fixture_counter(scenario->fixture, COUNTER_histories_full);

    if (census->sites_wanting && census->labels_held)
        scenario_fail(scenario, "%u sites want a history, while %u labels have one",
                      census->sites_wanting, census->labels_held);
    if (census->wanting && !census->forgotten && census->held < scenario->variant->max_histories)
        scenario_fail(scenario, "%u scopes want a history, while %u of %u are given",
                      census->wanting, census->held, scenario->variant->max_histories);
    if (is_new_minute(round) && census->labels_held && census->labels_held <= CANDIDATES_MAX &&
        census->busiest > 3 * census->quietest + 16)
        scenario_fail(scenario, "a label with %u wants a history, while one with %u has one",
                      census->busiest, census->quietest);
    checks_expect(scenario, NULL, "sites without a history", refused - scenario->histories_full,
                  census->new_refused);
    scenario->histories_full = refused;
}

/* If there are enough, every scope has one from its first sample on. */
static enum oracle_holding holding_of_all(const struct scenario *scenario,
                                          const struct oracle_scope *scope)
{
    if (scenario->variant->max_histories == 0)
        return ORACLE_UNHELD;
    return scope->trend.is_kept ? ORACLE_HELD : ORACLE_GIVEN_NEW;
}

void check_holders(struct scenario *scenario, const struct oracle_round *round)
{
    struct census census = {.round = round, .quietest = UINT32_MAX};
    bool for_all = scenario->variant->max_histories == 0 ||
                   scenario->variant->max_histories == VARIANT_FOR_ALL;

    for (unsigned i = 0; i < scenario->oracle.scope_count; i++) {
        struct oracle_scope *scope = &scenario->oracle.scopes[i];
        if (!scope->is_known)
            continue;
        if (for_all)
            oracle_hold(scope, holding_of_all(scenario, scope), round);
        else
            judge_scope(scenario, scope, &scenario->holdings[i], &census);
    }
    if (!for_all)
        judge_census(scenario, &census);
    else if (fixture_counter(scenario->fixture, COUNTER_histories_full) &&
             scenario->variant->max_histories)
        scenario_fail(scenario, "sites got no history, of which there are enough");
}

void check_moved_holders(struct scenario *scenario)
{
    for (unsigned i = 0; i < scenario->oracle.scope_count; i++) {
        const struct oracle_scope *scope = &scenario->oracle.scopes[i];
        struct holding *holding = &scenario->holdings[i];
        struct holding moved = find_holding(scenario, scope);

        if (holding->is_held && !moved.is_held && !oracle_is_forgotten(scope, scenario->tick))
            scenario_fail(scenario, "place %d, name %d of site %d: the history has not moved",
                          (int)scope->place, scope->name, scope->site);
        if (!holding->is_held || !moved.is_held)
            continue;
        holding->index = moved.index;
        holding->version = moved.version;
    }
}

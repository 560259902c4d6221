#include "oracle.h"

#include <stdlib.h>
#include <string.h>

unsigned oracle_shown_window(unsigned window)
{
    if (window <= 480)
        return window;
    return window % 60 == 0 ? window : (window / 60 + 1) * 60;
}

static unsigned labels_of_site(const struct oracle *oracle)
{
    return oracle->names[PLACE_ROOM] + oracle->names[PLACE_COUNTRY] + oracle->names[PLACE_SOURCE];
}

struct oracle_scope *oracle_scope(const struct oracle *oracle, int site, enum place place, int name)
{
    unsigned index = (unsigned)site * (1 + labels_of_site(oracle));

    if (place != PLACE_SITE)
        index += 1 + (unsigned)name;
    if (place == PLACE_COUNTRY || place == PLACE_SOURCE)
        index += oracle->names[PLACE_ROOM];
    if (place == PLACE_SOURCE)
        index += oracle->names[PLACE_COUNTRY];
    return &oracle->scopes[index];
}

static void make_scopes(struct oracle *oracle, enum place place, unsigned names)
{
    for (unsigned site = 0; site < oracle->names[PLACE_SITE]; site++) {
        for (unsigned name = 0; name < names; name++) {
            struct oracle_scope *scope = oracle_scope(oracle, (int)site, place, (int)name);
            scope->site = (int)site;
            scope->place = place;
            scope->name = place == PLACE_SITE ? (int)site : (int)name;
            scope->visitors = calloc(oracle->visitors, sizeof(*scope->visitors));
            for (unsigned i = 0; i < oracle->visitors; i++)
                scope->visitors[i].last = ORACLE_ABSENT;
        }
    }
}

void oracle_open(struct oracle *oracle, const unsigned names[PLACES], unsigned visitors,
                 unsigned capacity, unsigned max_window)
{
    memset(oracle, 0, sizeof(*oracle));
    memcpy(oracle->names, names, sizeof(oracle->names));
    oracle->visitors = visitors;
    oracle->capacity = capacity;
    oracle->longest = oracle_shown_window(max_window);
    oracle->scope_count = names[PLACE_SITE] * (1 + labels_of_site(oracle));
    oracle->scopes = calloc(oracle->scope_count, sizeof(*oracle->scopes));
    make_scopes(oracle, PLACE_SITE, 1);
    for (int place = PLACE_ROOM; place < PLACES; place++)
        make_scopes(oracle, (enum place)place, names[place]);
}

void oracle_close(struct oracle *oracle)
{
    for (unsigned i = 0; i < oracle->scope_count; i++)
        free(oracle->scopes[i].visitors);
    for (unsigned i = 0; i < oracle->scope_count; i++)
        oracle_trend_forget(&oracle->scopes[i].trend);
    free(oracle->scopes);
    oracle->scopes = NULL;
    oracle->scope_count = 0;
}

bool oracle_is_idle(const struct oracle *oracle, const struct oracle_scope *scope, uint64_t now)
{
    return !scope->is_known || now - scope->last_heartbeat > oracle->longest;
}

/* Every scope that is not idle has its place; an idle one gives its place to who needs it. */
static bool has_room(const struct oracle *oracle, uint64_t now)
{
    unsigned taken = 0;

    for (unsigned i = 0; i < oracle->scope_count; i++)
        taken += !oracle_is_idle(oracle, &oracle->scopes[i], now);
    return taken < oracle->capacity;
}

/* A heartbeat names this scope. False: it is refused, the directory is full. */
static bool touch(struct oracle *oracle, struct oracle_scope *scope, uint64_t now)
{
    if (oracle_is_idle(oracle, scope, now) && !has_room(oracle, now))
        return false;
    scope->is_known = true;
    scope->last_heartbeat = now;
    return true;
}

bool oracle_is_held(const struct oracle *oracle, const struct oracle_scope *scope, unsigned visitor,
                    uint64_t now)
{
    const struct oracle_presence *presence = &scope->visitors[visitor];
    unsigned held = oracle->longest > 300 ? oracle->longest : 300;

    return presence->last != ORACLE_ABSENT && !presence->unsure && now - presence->last < held;
}

static void count_entry(struct oracle *oracle, const struct oracle_presence *presence, uint64_t now)
{
    bool entered = presence->last == ORACLE_ABSENT || now - presence->last >= 300;

    if (!entered && presence->unsure)
        oracle->counters.unsure++;
    else if (entered)
        oracle->counters.entered++;
    else
        oracle->counters.refreshed++;
}

/* The same for the scope's trend, and from here on the visitor is there. */
static void come(struct oracle_scope *scope, unsigned visitor, uint64_t now)
{
    struct oracle_presence *presence = &scope->visitors[visitor];
    struct oracle_flow *pending = &scope->trend.pending;

    if (presence->last == ORACLE_ABSENT || now - presence->last >= 300) {
        pending->departures.value += presence->is_inside; /* gone before, and nobody looked */
        pending->entries.value++;
    } else if (presence->unsure) {
        pending->entries.value++;
        pending->entries.doubt++;
    }
    pending->heartbeats.value++;
    *presence = (struct oracle_presence){.last = now, .is_inside = true};
}

static void apply_to_site(struct oracle *oracle, struct oracle_scope *scope, unsigned visitor,
                          uint64_t now, bool refused)
{
    struct oracle_presence *presence = &scope->visitors[visitor];

    if (refused) {
        oracle->counters.table_full++;
        presence->last = ORACLE_ABSENT;
        return;
    }
    count_entry(oracle, presence, now);
    come(scope, visitor, now);
}

/* `refused` of the labels' updates did not get into the table; which ones is not known unless they
 * are none or all of those that could be. */
static void apply_to_labels(struct oracle *oracle, struct oracle_scope **labels, unsigned count,
                            unsigned visitor, uint64_t now, unsigned refused)
{
    unsigned refusable = 0;

    oracle->counters.label_table_full += refused;
    for (unsigned i = 0; i < count; i++)
        refusable += !oracle_is_held(oracle, labels[i], visitor, now);
    for (unsigned i = 0; i < count; i++) {
        struct oracle_presence *presence = &labels[i]->visitors[visitor];
        bool may_be_refused = refused && !oracle_is_held(oracle, labels[i], visitor, now);
        if (may_be_refused && refused >= refusable)
            *presence = (struct oracle_presence){.last = ORACLE_ABSENT};
        else
            come(labels[i], visitor, now);
        presence->unsure = may_be_refused;
    }
}

static void apply_heartbeat(struct oracle *oracle, const struct beat *beat, uint64_t now,
                            struct oracle_refusal refusal)
{
    struct oracle_scope *site = oracle_scope(oracle, beat->names[PLACE_SITE], PLACE_SITE, 0);
    struct oracle_scope *labels[PLACES];
    unsigned count = 0;

    if (!touch(oracle, site, now)) {
        oracle->counters.scopes_full += beat->visitors;
        return;
    }
    for (int place = PLACE_ROOM; place < PLACES; place++) {
        if (beat->names[place] < 0)
            continue;
        labels[count] = oracle_scope(oracle, site->site, (enum place)place, beat->names[place]);
        if (touch(oracle, labels[count], now))
            count++;
        else
            oracle->counters.label_scopes_full += beat->visitors;
    }
    for (unsigned i = 0; i < beat->visitors; i++) {
        apply_to_site(oracle, site, beat->visitor[i], now, refusal.site);
        apply_to_labels(oracle, labels, count, beat->visitor[i], now, refusal.labels);
    }
    if (beat->kind == BEAT_PAGEVIEW) {
        site->trend.pending.pageviews.value += beat->visitors;
        for (unsigned i = 0; i < count; i++)
            labels[i]->trend.pending.pageviews.value += beat->visitors;
    }
    oracle->counters.pageviews += beat->kind == BEAT_PAGEVIEW ? beat->visitors : 0;
    oracle->counters.events += beat->kind == BEAT_EVENT ? beat->visitors : 0;
}

static unsigned sampled_window(const struct oracle *oracle)
{
    return oracle->longest < 300 ? oracle->longest : 300;
}

static void leave(struct oracle *oracle, struct oracle_scope *scope, const struct beat *beat,
                  uint64_t now)
{
    for (unsigned i = 0; i < beat->visitors; i++) {
        struct oracle_presence *presence = &scope->visitors[beat->visitor[i]];
        if (presence->last == ORACLE_ABSENT)
            continue;
        /* Nobody is active there; whether their last heartbeat is still known shows in nothing but
         * whether the next one, if within 300 s, is an enter. */
        if (oracle_is_idle(oracle, scope, now)) {
            presence->unsure = true;
            continue;
        }
        if (now - presence->last < sampled_window(oracle))
            scope->trend.pending.leaves.value++;
        else
            scope->trend.pending.departures.value += presence->is_inside;
        *presence = (struct oracle_presence){.last = ORACLE_ABSENT};
    }
}

static void apply_leave(struct oracle *oracle, const struct beat *beat, uint64_t now)
{
    int site = beat->names[PLACE_SITE];

    oracle->counters.left += beat->visitors;
    if (beat->names[PLACE_ROOM] >= 0) {
        leave(oracle, oracle_scope(oracle, site, PLACE_ROOM, beat->names[PLACE_ROOM]), beat, now);
        return;
    }
    leave(oracle, oracle_scope(oracle, site, PLACE_SITE, 0), beat, now);
    for (int place = PLACE_COUNTRY; place < PLACES; place++)
        if (beat->names[place] >= 0)
            leave(oracle, oracle_scope(oracle, site, (enum place)place, beat->names[place]), beat,
                  now);
}

void oracle_apply(struct oracle *oracle, const struct beat *beat, uint64_t now,
                  struct oracle_refusal refusal)
{
    oracle->counters.received++;
    oracle->counters.accepted++;
    oracle->counters.labels_invalid += beat->labels_invalid;
    oracle->counters.rooms_too_long += beat->rooms_too_long;
    if (beat->kind == BEAT_LEAVE)
        apply_leave(oracle, beat, now);
    else
        apply_heartbeat(oracle, beat, now, refusal);
}

static bool is_active(uint64_t last, uint64_t now, unsigned window)
{
    if (window <= 480)
        return now - last < window;
    return now / 60 - last / 60 < oracle_shown_window(window) / 60;
}

void oracle_count(const struct oracle *oracle, const struct oracle_scope *scope, uint64_t now,
                  unsigned window, unsigned *ret_least, unsigned *ret_most)
{
    unsigned least = 0, most = 0;

    for (unsigned i = 0; i < oracle->visitors; i++) {
        const struct oracle_presence *presence = &scope->visitors[i];
        if (presence->last == ORACLE_ABSENT || !is_active(presence->last, now, window))
            continue;
        most++;
        least += !presence->unsure;
    }
    *ret_least = least;
    *ret_most = most;
}

static void look_at(const struct oracle *oracle, struct oracle_scope *scope, uint64_t now,
                    uint64_t before, bool is_new_day)
{
    unsigned count = 0;

    for (unsigned i = 0; i < oracle->visitors; i++) {
        struct oracle_presence *presence = &scope->visitors[i];
        bool is_there = presence->last != ORACLE_ABSENT &&
                        is_active(presence->last, now, sampled_window(oracle));
        count += is_there;
        scope->trend.pending.departures.value += presence->is_inside && !is_there;
        presence->is_inside = is_there;
    }
    oracle_trend_sample(&scope->trend, count, now, before, is_new_day);
}

void oracle_sample(struct oracle *oracle, uint64_t now, uint64_t before, bool is_new_day)
{
    for (unsigned i = 0; i < oracle->scope_count; i++) {
        struct oracle_scope *scope = &oracle->scopes[i];
        if (!scope->is_known)
            continue;
        if (now - scope->last_heartbeat <= 86400)
            look_at(oracle, scope, now, before, is_new_day);
        else
            oracle_trend_forget(&scope->trend);
    }
}

void oracle_kill(struct oracle *oracle)
{
    for (unsigned i = 0; i < oracle->scope_count; i++)
        oracle_trend_doubt(&oracle->scopes[i].trend);
}

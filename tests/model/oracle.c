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
    for (unsigned i = 0; i < oracle->scope_count; i++) {
        free(oracle->scopes[i].visitors);
        oracle_lives_free(&oracle->scopes[i].lives);
        oracle_trend_drop(&oracle->scopes[i].trend);
    }
    free(oracle->scopes);
    oracle_events_free(&oracle->events);
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
    if (oracle_is_idle(oracle, scope, now)) {
        if (!has_room(oracle, now))
            return false;
        oracle_lives_begin(&scope->lives, now);
    }
    scope->is_known = true;
    scope->is_silent = false;
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

/* What a beat's events have in common. */
static struct oracle_event event_of(const struct beat *beat)
{
    struct oracle_event event = {.name = beat->event};

    for (int place = 0; place < PLACES; place++)
        event.names[place] = beat->names[place];
    return event;
}

static void tell(struct oracle *oracle, const struct oracle_event *event,
                 enum oracle_event_kind kind, bool is_unsure)
{
    struct oracle_event told = *event;

    told.kind = kind;
    told.is_unsure = is_unsure;
    oracle_events_tell(&oracle->events, &told);
}

static void count_entry(struct oracle *oracle, const struct oracle_presence *presence, uint64_t now,
                        const struct oracle_event *event)
{
    bool entered = presence->last == ORACLE_ABSENT || now - presence->last >= 300;

    if (!entered && presence->unsure)
        oracle->counters.unsure++;
    else if (entered)
        oracle->counters.entered++;
    else
        oracle->counters.refreshed++;
    if (entered || presence->unsure)
        tell(oracle, event, ORACLE_ENTERED, !entered);
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
                          uint64_t now, bool refused, enum beat_kind kind,
                          const struct oracle_event *event)
{
    struct oracle_presence *presence = &scope->visitors[visitor];

    if (refused) {
        oracle->counters.table_full++;
        presence->last = ORACLE_ABSENT;
        return;
    }
    count_entry(oracle, presence, now, event);
    if (kind == BEAT_PAGEVIEW)
        tell(oracle, event, ORACLE_PAGEVIEW, false);
    if (kind == BEAT_EVENT)
        tell(oracle, event, ORACLE_CUSTOM, false);
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
    struct oracle_event event = event_of(beat);
    unsigned count = 0;

    if (!touch(oracle, site, now)) {
        oracle->counters.scopes_full += beat->visitors;
        return;
    }
    for (int place = PLACE_ROOM; place < PLACES; place++) {
        if (beat->names[place] < 0)
            continue;
        labels[count] = oracle_scope(oracle, site->site, (enum place)place, beat->names[place]);
        if (touch(oracle, labels[count], now)) {
            count++;
        } else {
            oracle->counters.label_scopes_full += beat->visitors;
            event.names[place] = -1;
        }
    }
    for (unsigned i = 0; i < beat->visitors; i++) {
        apply_to_site(oracle, site, beat->visitor[i], now, refusal.site, beat->kind, &event);
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

unsigned oracle_sampled_window(const struct oracle *oracle)
{
    return oracle->longest < 300 ? oracle->longest : 300;
}

static void leave(struct oracle *oracle, struct oracle_scope *scope, const struct beat *beat,
                  uint64_t now, const struct oracle_event *event)
{
    bool is_told = scope->place == PLACE_SITE || scope->place == PLACE_ROOM;

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
        if (now - presence->last < oracle_sampled_window(oracle)) {
            scope->trend.pending.leaves.value++;
            if (is_told)
                tell(oracle, event, ORACLE_LEFT, presence->unsure);
        } else {
            scope->trend.pending.departures.value += presence->is_inside;
        }
        *presence = (struct oracle_presence){.last = ORACLE_ABSENT};
    }
}

/* An event tells of labels that are known; a leave makes none. */
static struct oracle_event event_of_leave(const struct oracle *oracle, const struct beat *beat,
                                          uint64_t now)
{
    struct oracle_event event = event_of(beat);

    for (int place = PLACE_ROOM; place < PLACES; place++) {
        if (beat->names[place] < 0)
            continue;
        const struct oracle_scope *scope =
            oracle_scope(oracle, beat->names[PLACE_SITE], (enum place)place, beat->names[place]);
        event.may_lack[place] = oracle_is_idle(oracle, scope, now);
        if (!scope->is_known)
            event.names[place] = -1;
    }
    return event;
}

static void apply_leave(struct oracle *oracle, const struct beat *beat, uint64_t now)
{
    struct oracle_event event = event_of_leave(oracle, beat, now);
    int site = beat->names[PLACE_SITE];

    oracle->counters.left += beat->visitors;
    if (beat->names[PLACE_ROOM] >= 0) {
        leave(oracle, oracle_scope(oracle, site, PLACE_ROOM, beat->names[PLACE_ROOM]), beat, now,
              &event);
        return;
    }
    leave(oracle, oracle_scope(oracle, site, PLACE_SITE, 0), beat, now, &event);
    for (int place = PLACE_COUNTRY; place < PLACES; place++)
        if (beat->names[place] >= 0)
            leave(oracle, oracle_scope(oracle, site, (enum place)place, beat->names[place]), beat,
                  now, &event);
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

void oracle_count_ages(const struct oracle *oracle, const struct oracle_scope *scope, uint64_t now,
                       unsigned young, unsigned old, unsigned *ret_least, unsigned *ret_most)
{
    unsigned least = 0, most = 0;

    for (unsigned i = 0; i < oracle->visitors; i++) {
        const struct oracle_presence *presence = &scope->visitors[i];
        if (presence->last == ORACLE_ABSENT || now - presence->last < young ||
            now - presence->last > old)
            continue;
        most++;
        least += !presence->unsure;
    }
    *ret_least = least;
    *ret_most = most;
}

bool oracle_is_forgotten(const struct oracle_scope *scope, uint64_t now)
{
    return now - scope->last_heartbeat > 86400;
}

static void look_at(const struct oracle *oracle, struct oracle_scope *scope,
                    const struct oracle_round *round)
{
    scope->sampled = 0;
    for (unsigned i = 0; i < oracle->visitors; i++) {
        struct oracle_presence *presence = &scope->visitors[i];
        bool is_there = presence->last != ORACLE_ABSENT &&
                        is_active(presence->last, round->now, oracle_sampled_window(oracle));
        scope->sampled += is_there;
        scope->trend.pending.departures.value += presence->is_inside && !is_there;
        presence->is_inside = is_there;
    }
    scope->fell_silent = !scope->is_silent && oracle_is_forgotten(scope, round->now);
    scope->is_silent |= scope->fell_silent;
    /* Should it not have been given up in all that time, it has its peaks from now on. */
    if (scope->fell_silent)
        oracle_lives_begin(&scope->lives, round->now);
    oracle_lives_sample(&scope->lives, scope->sampled, round->now, round->is_new_day);
}

void oracle_sample(struct oracle *oracle, const struct oracle_round *round)
{
    for (unsigned i = 0; i < oracle->scope_count; i++)
        if (oracle->scopes[i].is_known)
            look_at(oracle, &oracle->scopes[i], round);
}

void oracle_hold(struct oracle_scope *scope, enum oracle_holding holding,
                 const struct oracle_round *round)
{
    struct oracle_trend *trend = &scope->trend;
    struct oracle_flow pending = trend->pending;
    /* Killed since the last sample: what the daemon forgot makes a new scope look like one that was
     * given its history later, and whose departures could be told. */
    bool is_doubted = trend->is_doubted && !trend->is_kept;

    if (oracle_is_forgotten(scope, round->now)) {
        oracle_trend_forget(trend);
        return;
    }
    if (holding == ORACLE_UNHELD || holding == ORACLE_GIVEN ||
        (holding == ORACLE_GIVEN_NEW && trend->is_kept)) /* lost, and given anew at once */
        oracle_trend_drop(trend);
    if (holding == ORACLE_GIVEN)
        trend->is_doubted = is_doubted;
    if (holding == ORACLE_GIVEN_NEW)
        trend->pending = pending;
    if (holding != ORACLE_UNHELD)
        oracle_trend_sample(trend, scope->sampled, round);
}

void oracle_kill(struct oracle *oracle)
{
    for (unsigned i = 0; i < oracle->scope_count; i++)
        oracle_trend_doubt(&oracle->scopes[i].trend);
}

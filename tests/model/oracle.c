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

/* True if there is room for a scope: each that is not idle has its place, an idle one can be
 * evicted. */
static bool has_room(const struct oracle *oracle, uint64_t now)
{
    unsigned taken = 0;

    for (unsigned i = 0; i < oracle->scope_count; i++)
        taken += !oracle_is_idle(oracle, &oracle->scopes[i], now);
    return taken < oracle->capacity;
}

/* Apply a heartbeat to a scope. False: it is refused, the directory is full. */
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

    /* From then on their slot may be reused. */
    return presence->last != ORACLE_ABSENT && !presence->unsure &&
           now - presence->last < oracle->longest;
}

/* Fill in what a beat's events have in common. */
static struct oracle_event event_of(const struct beat *beat)
{
    struct oracle_event event = {.name = beat->event};

    for (int place = 0; place < PLACES; place++)
        event.names[place] = beat->names[place];
    return event;
}

static void emit(struct oracle *oracle, const struct oracle_event *event,
                 enum oracle_event_kind kind, bool is_unsure)
{
    struct oracle_event emitted = *event;

    emitted.kind = kind;
    emitted.is_unsure = is_unsure;
    oracle_events_emit(&oracle->events, &emitted);
}

/* True if the heartbeat is an enter (R4). */
static bool enters(const struct oracle *oracle, const struct oracle_presence *presence,
                   uint64_t now)
{
    return presence->last == ORACLE_ABSENT ||
           now - presence->last >= (oracle->longest < 300 ? oracle->longest : 300);
}

static void count_entry(struct oracle *oracle, const struct oracle_presence *presence, uint64_t now,
                        const struct oracle_event *event)
{
    bool entered = enters(oracle, presence, now);

    if (!entered && presence->unsure)
        oracle->counters.unsure++;
    else if (entered)
        oracle->counters.entered++;
    else
        oracle->counters.refreshed++;
    if (entered || presence->unsure)
        emit(oracle, event, ORACLE_ENTERED, !entered);
}

/* The same for the scope's trend, and from here on the visitor is inside. */
static void come(const struct oracle *oracle, struct oracle_scope *scope, unsigned visitor,
                 uint64_t now, enum beat_kind kind)
{
    struct oracle_presence *presence = &scope->visitors[visitor];
    struct oracle_flow *pending = &scope->trend.pending;

    if (enters(oracle, presence, now)) {
        pending->departures.value += presence->is_inside; /* was gone before, and not yet sampled */
        pending->entries.value++;
    } else if (presence->unsure) {
        pending->entries.value++;
        pending->entries.doubt++;
    }
    pending->heartbeats.value++;
    pending->pageviews.value += kind == BEAT_PAGEVIEW;
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
        emit(oracle, event, ORACLE_PAGEVIEW, false);
    if (kind == BEAT_EVENT)
        emit(oracle, event, ORACLE_CUSTOM, false);
    oracle->counters.pageviews += kind == BEAT_PAGEVIEW;
    oracle->counters.custom_events += kind == BEAT_EVENT;
    come(oracle, scope, visitor, now, kind);
}

/* Apply a beat to its labels. `refused` of their updates did not get into the table; which ones is
 * unknown unless they are none or all of those possible. */
static void apply_to_labels(struct oracle *oracle, struct oracle_scope **labels, unsigned count,
                            unsigned visitor, uint64_t now, unsigned refused, enum beat_kind kind)
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
            come(oracle, labels[i], visitor, now, kind);
        presence->unsure = may_be_refused;
        labels[i]->trend.pending.pageviews.doubt += may_be_refused && kind == BEAT_PAGEVIEW;
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
        apply_to_labels(oracle, labels, count, beat->visitor[i], now, refusal.labels, beat->kind);
    }
}

unsigned oracle_sampled_window(const struct oracle *oracle)
{
    return oracle->longest < 300 ? oracle->longest : 300;
}

static void leave(struct oracle *oracle, struct oracle_scope *scope, const struct beat *beat,
                  uint64_t now, const struct oracle_event *event)
{
    bool emits_event = scope->place == PLACE_SITE || scope->place == PLACE_ROOM;

    for (unsigned i = 0; i < beat->visitors; i++) {
        struct oracle_presence *presence = &scope->visitors[beat->visitor[i]];
        if (presence->last == ORACLE_ABSENT)
            continue;
        /* Nobody is active there. Whether their last heartbeat is still known matters only to
         * whether the next one is an enter. */
        if (oracle_is_idle(oracle, scope, now)) {
            presence->unsure = true;
            continue;
        }
        if (now - presence->last < oracle_sampled_window(oracle)) {
            scope->trend.pending.leaves.value++;
            if (emits_event)
                emit(oracle, event, ORACLE_LEFT, presence->unsure);
        } else {
            scope->trend.pending.departures.value += presence->is_inside;
        }
        *presence = (struct oracle_presence){.last = ORACLE_ABSENT};
    }
}

/* Make the event of a leave, which names only labels that exist: a leave creates none. */
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

static void update_trend(const struct oracle *oracle, struct oracle_scope *scope,
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
    /* If it was not freed in all that time, it has its peaks from now on. */
    if (scope->fell_silent)
        oracle_lives_begin(&scope->lives, round->now);
    oracle_lives_sample(&scope->lives, scope->sampled, round->now, round->is_new_day);
}

void oracle_sample(struct oracle *oracle, const struct oracle_round *round)
{
    for (unsigned i = 0; i < oracle->scope_count; i++)
        if (oracle->scopes[i].is_known)
            update_trend(oracle, &oracle->scopes[i], round);
}

void oracle_hold(struct oracle_scope *scope, enum oracle_holding holding,
                 const struct oracle_round *round)
{
    struct oracle_trend *trend = &scope->trend;
    struct oracle_flow pending = trend->pending;
    /* Killed since the last sample: because of what the daemon forgot, a new scope looks like one
     * that got its history later, and whose departures are known. */
    bool is_doubted = trend->is_doubted && !trend->is_kept;

    if (oracle_is_forgotten(scope, round->now)) {
        oracle_trend_forget(trend);
        return;
    }
    if (holding == ORACLE_UNHELD || holding == ORACLE_GIVEN ||
        (holding == ORACLE_GIVEN_NEW && trend->is_kept)) /* lost, and given again at once */
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

/* refusal_oracle.h - what becomes of each visitor under every limit, counted one by one as the
 * documents say (docs/protocol.md, docs/deploying.md, R4, R6, R7). Within an epoch of less than the
 * window no presence ends by itself; the next one begins with an empty table and idle scopes. */
#ifndef PRESENCE_TESTS_REFUSAL_ORACLE_H
#define PRESENCE_TESTS_REFUSAL_ORACLE_H

#include "ingest_fixture.h"

#define ORACLE_WINDOW   300
#define ORACLE_SLOTS    32 /* of the smallest table */
#define ORACLE_VISITORS 48
#define ORACLE_SITES    3
#define ORACLE_LABELS   4 /* of each kind in a site */
#define ORACLE_SCOPES   (ORACLE_SITES * (1 + ORACLE_LABELS * (SCOPE_KINDS - 1)))
#define ORACLE_SENDERS  2
#define ORACLE_EVENTS   2048 /* of one datagram */

/* A scope, whether it is in the directory or not. */
struct oracle_scope {
    enum scope_kind kind;
    unsigned site;
    bool exists;
    uint64_t last;                        /* tick of the last heartbeat */
    bool has[ORACLE_VISITORS];            /* who is there */
    struct activity totals;               /* since it was created */
    uint32_t refused_scopes[SCOPE_KINDS]; /* marks, of a site */
    uint32_t refused[SCOPE_KINDS];        /* marks of visitors */
};

/* A place with visitors, by numbers: 0 is no label, otherwise one more than its number. */
struct oracle_place {
    enum wire_kind kind;
    unsigned site, labels[SCOPE_KINDS];
    unsigned first, count; /* visitors; numbers begin anew after the last */
};

struct oracle_event {
    enum event_kind kind;
    unsigned site;
};

struct oracle {
    unsigned scopes_max, labels_max, new_max, sites_known; /* limits; 0: none */
    uint64_t now;
    struct oracle_scope scopes[ORACLE_SCOPES];
    unsigned words, scopes_used;
    unsigned spent[ORACLE_SENDERS][SCOPE_KINDS]; /* new visitors, at this tick */
    uint64_t made_room;                          /* tick */
    uint32_t site_refused, site_entry_refused;   /* marks */
    uint64_t counters[COUNTERS];
    struct oracle_event events[ORACLE_EVENTS];
    unsigned event_count;
};

static inline struct oracle_scope *oracle_scope_of(struct oracle *oracle, unsigned site,
                                                   enum scope_kind kind, unsigned label)
{
    unsigned index = site;

    if (kind != SCOPE_SITE)
        index = ORACLE_SITES + (site * (SCOPE_KINDS - 1) + kind - 1) * ORACLE_LABELS + label - 1;
    struct oracle_scope *scope = &oracle->scopes[index];
    scope->kind = kind;
    scope->site = site;
    return scope;
}

static inline void oracle_move_clock(struct oracle *oracle, uint64_t now, bool is_new_epoch)
{
    if (now != oracle->now)
        memset(oracle->spent, 0, sizeof(oracle->spent));
    oracle->now = now;
    if (!is_new_epoch)
        return;
    oracle->words = 0;
    for (unsigned i = 0; i < ORACLE_SCOPES; i++)
        memset(oracle->scopes[i].has, 0, sizeof(oracle->scopes[i].has));
}

/* ---- scopes ------------------------------------------------------------------------------- */

static inline bool oracle_has_labels(const struct oracle *oracle, unsigned site)
{
    for (unsigned i = ORACLE_SITES; i < ORACLE_SCOPES; i++)
        if (oracle->scopes[i].exists && oracle->scopes[i].site == site)
            return true;
    return false;
}

/* Free idle scopes: labels first, then sites that have none. Once a tick. */
static inline bool oracle_make_room(struct oracle *oracle)
{
    if (oracle->made_room == oracle->now)
        return false;
    oracle->made_room = oracle->now;
    for (unsigned i = ORACLE_SCOPES; i-- > 0;) {
        struct oracle_scope *scope = &oracle->scopes[i];
        if (!scope->exists || scope->last + ORACLE_WINDOW >= oracle->now ||
            (scope->kind == SCOPE_SITE && oracle_has_labels(oracle, i)))
            continue;
        scope->exists = false;
        oracle->scopes_used--;
        oracle->counters[COUNTER_scopes_retired]++;
    }
    return true;
}

/* True if a site has as many labels of a kind as it may. */
static inline bool oracle_site_is_full(struct oracle *oracle, unsigned site, enum scope_kind kind)
{
    unsigned used = 0;

    if (!oracle->labels_max || kind == SCOPE_SITE || kind == SCOPE_COUNTRY)
        return false;
    for (unsigned label = 1; label <= ORACLE_LABELS; label++)
        used += oracle_scope_of(oracle, site, kind, label)->exists;
    return used >= oracle->labels_max;
}

static inline void oracle_create(struct oracle *oracle, struct oracle_scope *scope)
{
    uint32_t before = scope->kind == SCOPE_SITE
                          ? oracle->site_refused
                          : oracle->scopes[scope->site].refused_scopes[scope->kind];

    scope->exists = true;
    scope->last = oracle->now;
    scope->totals = (struct activity){0};
    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++) {
        scope->refused_scopes[kind] = 0;
        scope->refused[kind] = scope->kind == SCOPE_SITE || kind == scope->kind ? before : 0;
    }
    oracle->scopes_used++;
    oracle->counters[COUNTER_scopes_created]++;
}

/* ---- visitors ----------------------------------------------------------------------------- */

/* True if the sender may bring a visitor who is new in this scope. */
static inline bool oracle_may_enter(struct oracle *oracle, const struct oracle_scope *scope,
                                    unsigned visitor, unsigned sender)
{
    if (!oracle->new_max)
        return true;
    if (scope->kind != SCOPE_SITE && !oracle->scopes[scope->site].has[visitor])
        return false;
    return scope->has[visitor] || oracle->spent[sender][scope->kind]++ < oracle->new_max;
}

static inline void oracle_emit(struct oracle *oracle, enum event_kind kind, unsigned site)
{
    assert_true(oracle->event_count < ORACLE_EVENTS);
    oracle->events[oracle->event_count++] = (struct oracle_event){kind, site};
}

static inline void oracle_refuse_visitor(struct oracle *oracle, const struct oracle_scope *scope,
                                         enum counter of_site, enum counter of_label)
{
    oracle->scopes[scope->site].refused[scope->kind] = refusal_mark(oracle->now);
    if (scope->kind == SCOPE_SITE)
        oracle->site_entry_refused = refusal_mark(oracle->now);
    oracle->counters[scope->kind == SCOPE_SITE ? of_site : of_label]++;
}

/* A heartbeat of one visitor in one scope. */
static inline void oracle_beat(struct oracle *oracle, struct oracle_scope *scope, unsigned visitor,
                               unsigned sender, enum wire_kind kind)
{
    const bool is_site = scope->kind == SCOPE_SITE, enters = !scope->has[visitor];

    if (!oracle_may_enter(oracle, scope, visitor, sender)) {
        oracle_refuse_visitor(oracle, scope, COUNTER_sender_new_exceeded,
                              COUNTER_label_sender_new_exceeded);
        return;
    }
    if (enters && oracle->words == ORACLE_SLOTS) {
        oracle_refuse_visitor(oracle, scope, COUNTER_table_full, COUNTER_label_table_full);
        return;
    }
    scope->has[visitor] = true;
    oracle->words += enters;
    scope->totals.heartbeats++;
    scope->totals.entries += enters;
    scope->totals.pageviews += kind == WIRE_PAGEVIEW;
    if (!is_site)
        return;
    oracle->counters[enters ? COUNTER_heartbeats_new : COUNTER_heartbeats_refreshed]++;
    oracle->counters[COUNTER_pageviews] += kind == WIRE_PAGEVIEW;
    oracle->counters[COUNTER_custom_events] += kind == WIRE_EVENT;
    if (enters)
        oracle_emit(oracle, EVENT_ENTERED, scope->site);
    if (kind == WIRE_PAGEVIEW || kind == WIRE_EVENT)
        oracle_emit(oracle, kind == WIRE_PAGEVIEW ? EVENT_PAGEVIEW : EVENT_CUSTOM, scope->site);
}

static inline void oracle_leave(struct oracle *oracle, const struct oracle_place *place)
{
    oracle->counters[COUNTER_heartbeats_left] += place->count;
    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++) {
        bool is_named = kind == SCOPE_SITE ? !place->labels[SCOPE_ROOM]
                                           : place->labels[kind] &&
                                                 (!place->labels[SCOPE_ROOM] || kind == SCOPE_ROOM);
        struct oracle_scope *scope =
            is_named
                ? oracle_scope_of(oracle, place->site, (enum scope_kind)kind, place->labels[kind])
                : NULL;
        if (!scope || !scope->exists || !oracle->scopes[place->site].exists)
            continue;
        for (unsigned i = 0; i < place->count; i++) {
            bool *has = &scope->has[(place->first + i) % ORACLE_VISITORS];
            if (!*has)
                continue;
            *has = false;
            oracle->words--;
            scope->totals.leaves++;
            if (kind == SCOPE_SITE || kind == SCOPE_ROOM)
                oracle_emit(oracle, EVENT_LEFT, place->site);
        }
    }
}

#endif

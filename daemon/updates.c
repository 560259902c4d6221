#include "updates.h"

#include <string.h>

#include "refusals.h"

struct move_context {
    struct tally *tally;
    uint32_t scope;
};

static inline void move_bucket(void *context, uint64_t tick, int delta)
{
    struct move_context *move = context;

    tally_add(move->tally, move->scope, tick, delta);
}

/* An update that is applied. */
struct update {
    unsigned index; /* in the ring of pending updates */
    uint32_t scope;
    uint8_t kind;
};

static inline struct update update_at(const struct updates *updates, const struct update_run *run,
                                      unsigned index)
{
    uint32_t scope = run->scope == SCOPE_NONE ? updates->scopes[index] : run->scope;

    return (struct update){index, scope, run->kind};
}

/* True if the visitor is in the scope already, which costs nothing, or if the sender may add one. A
 * visitor who was refused in a site is refused in its labels: the site's update comes first. */
static bool may_be_counted(const struct updates *updates, struct update update)
{
    const struct table *table = &updates->segment->table;
    uint64_t word;

    if (update.kind != SCOPE_SITE && !table_find(table, updates->site_keys[update.index], &word))
        return false;
    if (table_find(table, updates->pending.keys[update.index], &word))
        return true;
    return admission_spend_visitor(updates->admission, updates->senders[update.index],
                                   (enum scope_kind)update.kind);
}

static const struct update_origin *origin_of(const struct updates *updates, struct update update)
{
    return &updates->origins[updates->origin_of[update.index]];
}

/* Emit an event at an update's place. */
static void emit(struct updates *updates, struct update update, enum event_kind kind)
{
    if (updates->event_share &&
        !event_writer_emit(updates->segment, updates->event_share, kind,
                           &origin_of(updates, update)->place, updates->now))
        updates->counted[COUNTER_events_thinned]++;
}

/* Emit what a visitor of a site did. */
static inline void emit_heartbeat_events(struct updates *updates, struct update update,
                                         bool entered)
{
    enum wire_kind kind = origin_of(updates, update)->kind;

    if (entered)
        emit(updates, update, EVENT_ENTERED);
    if (kind == WIRE_PAGEVIEW)
        emit(updates, update, EVENT_PAGEVIEW);
    else if (kind == WIRE_EVENT)
        emit(updates, update, EVENT_CUSTOM);
}

/* Take back what was counted of a visitor who is refused in a scope, before it was known. */
static void refuse(struct updates *updates, struct update update)
{
    struct traffic_slot *traffic = traffic_of(updates->traffic, update.scope);
    const enum wire_kind kind = origin_of(updates, update)->kind;

    refusal_of_entry(updates->segment, update.scope, updates->now);
    traffic->heartbeats--;
    traffic->pageviews -= kind == WIRE_PAGEVIEW;
    if (update.kind != SCOPE_SITE)
        return;
    updates->counted[COUNTER_pageviews] -= kind == WIRE_PAGEVIEW;
    updates->counted[COUNTER_custom_events] -= kind == WIRE_EVENT;
}

/* Record an enter, a refusal or an event. Out of line, so that plain refreshes are as fast as they
 * can be. */
static __attribute__((noinline, cold)) void
record_heartbeat(struct updates *updates, struct update update, struct table_outcome outcome)
{
    struct traffic_slot *traffic = traffic_of(updates->traffic, update.scope);
    /* Each cleared duplicate was an enter too many: two workers had inserted it at once. */
    uint64_t entered = (uint64_t)outcome.inserted - outcome.duplicates + outcome.entered;

    traffic->entries += entered;
    updates->counted[COUNTER_entries_taken] += outcome.taken;
    updates->counted[COUNTER_entries_freed] += outcome.duplicates;
    if (outcome.full)
        refuse(updates, update);
    if (update.kind != SCOPE_SITE) {
        updates->counted[COUNTER_label_table_full] += outcome.full;
        return;
    }
    updates->counted[COUNTER_heartbeats_new] += entered;
    updates->counted[COUNTER_heartbeats_refreshed] += 1 - entered - outcome.full;
    updates->counted[COUNTER_table_full] += outcome.full;
    if (!outcome.full)
        emit_heartbeat_events(updates, update, (int64_t)entered > 0);
}

static void count_exceeded(struct updates *updates, struct update update)
{
    refuse(updates, update);
    updates->counted[update.kind == SCOPE_SITE ? COUNTER_sender_new_exceeded
                                               : COUNTER_label_sender_new_exceeded]++;
}

/* Consecutive refreshes, summed: most are of one scope, and all move to one tick. */
struct refreshes {
    struct table table; /* a copy, so that stores of words can't change it */
    struct move_context move;
    uint64_t now;
    int32_t added;
};

static inline void move_refresh(void *context, uint64_t tick, int delta)
{
    struct refreshes *refreshes = context;

    if (delta > 0)
        refreshes->added++; /* a refresh moves to `now` only */
    else
        move_bucket(&refreshes->move, tick, delta);
}

/* Add the sum to the tally, and make room in it for twice the subtractions of a group, so that none
 * of them is published before the additions of the same refreshes. */
static inline void add_refreshed(struct refreshes *refreshes)
{
    if (refreshes->added)
        tally_add(refreshes->move.tally, refreshes->move.scope, refreshes->now, refreshes->added);
    refreshes->added = 0;
    tally_make_room(refreshes->move.tally, 2 * PENDING_GROUP);
}

/* Insert a visitor who is new, or was not found in the lines that were searched. */
static __attribute__((noinline)) void insert(struct updates *updates, struct update update)
{
    struct move_context context = {&updates->tally, update.scope};

    record_heartbeat(updates, update,
                     table_upsert(&updates->segment->table, updates->pending.keys[update.index],
                                  updates->now, move_bucket, &context));
}

/* Apply heartbeats of one scope, the first of which is pending at `first`. Returns how many only
 * refreshed. */
static inline uint64_t apply_to_scope(struct updates *updates, struct refreshes *refreshes,
                                      const struct update_run *run, unsigned first, unsigned count)
{
    const bool limited = updates->limited, emits_event = run->emits_event;
    uint64_t refreshed = 0;

    if (run->scope != refreshes->move.scope) {
        add_refreshed(refreshes);
        refreshes->move.scope = run->scope;
    }
    for (unsigned i = first; i < first + count; i++) {
        struct update update = {i, run->scope, run->kind};
        bool entered;
        if (__builtin_expect(limited, false) && !may_be_counted(updates, update)) {
            count_exceeded(updates, update);
        } else if (!table_refresh_at(&refreshes->table, updates->pending.slots[i],
                                     updates->pending.keys[i], refreshes->now, move_refresh,
                                     refreshes, &entered)) {
            add_refreshed(refreshes);
            insert(updates, update);
        } else if (__builtin_expect(entered || emits_event, false))
            record_heartbeat(updates, update, (struct table_outcome){.entered = entered});
        else
            refreshed++;
    }
    return refreshed;
}

/* Apply heartbeats of several scopes, likewise. Each adds before it subtracts, so there is nothing
 * to sum first. */
static inline uint64_t apply_to_scopes(struct updates *updates, struct refreshes *refreshes,
                                       const struct update_run *run, unsigned first, unsigned count)
{
    const bool limited = updates->limited, emits_event = run->emits_event;
    uint64_t refreshed = 0;

    add_refreshed(refreshes);
    for (unsigned i = first; i < first + count; i++) {
        struct update update = update_at(updates, run, i);
        bool entered;
        refreshes->move.scope = update.scope;
        if (__builtin_expect(limited, false) && !may_be_counted(updates, update))
            count_exceeded(updates, update);
        else if (!table_refresh_at(&refreshes->table, updates->pending.slots[i],
                                   updates->pending.keys[i], refreshes->now, move_bucket,
                                   &refreshes->move, &entered))
            insert(updates, update);
        else if (__builtin_expect(entered || emits_event, false))
            record_heartbeat(updates, update, (struct table_outcome){.entered = entered});
        else
            refreshed++;
    }
    return refreshed;
}

static inline void apply_heartbeats(struct updates *updates, struct refreshes *refreshes,
                                    const struct update_run *run, unsigned first, unsigned count)
{
    uint64_t refreshed = run->scope == SCOPE_NONE
                             ? apply_to_scopes(updates, refreshes, run, first, count)
                             : apply_to_scope(updates, refreshes, run, first, count);

    if (run->kind == SCOPE_SITE)
        updates->counted[COUNTER_heartbeats_refreshed] += refreshed;
}

/* A leave being applied. `counted`: the histories' window counted the visitor. */
struct leave_context {
    struct move_context move;
    uint64_t since; /* oldest tick that the histories' window counts */
    bool counted;
};

static void move_leave(void *context, uint64_t tick, int delta)
{
    struct leave_context *leave = context;

    leave->counted |= tick >= leave->since;
    move_bucket(&leave->move, tick, delta);
}

static void apply_leave(struct updates *updates, struct update update)
{
    struct leave_context context = {
        .move = {&updates->tally, update.scope},
        .since = updates->now >= updates->window ? updates->now - updates->window + 1 : 0,
    };

    updates->counted[COUNTER_entries_freed] +=
        table_leave(&updates->segment->table, updates->pending.keys[update.index], updates->now,
                    move_leave, &context);
    if (!context.counted)
        return;
    traffic_of(updates->traffic, update.scope)->leaves++;
    if (update.kind == SCOPE_SITE || update.kind == SCOPE_ROOM)
        emit(updates, update, EVENT_LEFT);
}

/* Apply a group's updates run by run, in the order of their datagrams. */
static void apply_group(struct updates *updates, struct refreshes *refreshes, unsigned group)
{
    unsigned next = group * PENDING_GROUP, run_first = updates->run_first;
    const unsigned end = next + pending_size(&updates->pending, group);

    while (next < end) {
        const struct update_run *run = &updates->runs[run_first % PENDING_MAX];
        unsigned first = next % PENDING_MAX;
        unsigned count = (run->end < end ? run->end : end) - next;
        if (run->is_leave) {
            add_refreshed(refreshes);
            for (unsigned i = first; i < first + count; i++)
                apply_leave(updates, update_at(updates, run, i));
        } else
            apply_heartbeats(updates, refreshes, run, first, count);
        next += count;
        run_first += run->end == next;
    }
    updates->run_first = run_first;
    add_refreshed(refreshes);
}

/* Advance all pending updates by a step, or to the end if `all`. */
static void advance(struct updates *updates, bool all)
{
    struct pending *pending = &updates->pending;
    struct refreshes refreshes = {
        .table = updates->segment->table, .move = {&updates->tally, 0}, .now = updates->now};
    unsigned ready = pending_advance(pending, &refreshes.table, all);

    for (; pending->applied < ready; pending->applied++)
        apply_group(updates, &refreshes, pending->applied);
}

/* Record a place until its updates are applied. */
static void record_origin(struct updates *updates, struct place *place)
{
    const struct wire_name *event = &place->heartbeat.event;

    place->origin = updates->origin_end++ % UPDATES_ORIGINS;
    struct update_origin *origin = &updates->origins[place->origin];
    origin->kind = (enum wire_kind)place->heartbeat.kind;
    memcpy(origin->place.scopes, place->scopes, sizeof(place->scopes));
    origin->place.name_length = (uint8_t)event->length;
    if (event->length)
        memcpy(origin->place.name, event->bytes, event->length);
}

/* Record for may_be_counted the senders and site keys of the next `count` updates. */
static void record_senders(struct updates *updates, uint32_t scope, const uint8_t *ids,
                           unsigned count)
{
    const struct scope_entry *entries = updates->segment->directory.entries;
    const struct scope_key *site = &entries[entries[scope].site].key;
    unsigned first = updates->pending.queued % PENDING_MAX;

    for (unsigned i = 0; i < count; i++) {
        const uint8_t *id = ids + (size_t)i * WIRE_VISITOR_SIZE;
        updates->senders[first + i] = updates->admission->sender;
        updates->site_keys[first + i] =
            table_key(hash_visitor(site, id), updates->segment->table.pairs);
    }
}

/* Queue visitors of a scope; the newest group has room for them. Always inline: one visitor is a
 * case of its own. */
static inline __attribute__((always_inline)) void queue_in_group(struct updates *updates,
                                                                 uint32_t scope, uint8_t origin,
                                                                 const uint8_t *ids, unsigned count)
{
    const struct scope_key key = updates->segment->directory.entries[scope].key;
    const uint64_t pairs = updates->segment->table.pairs;
    unsigned first = updates->pending.queued % PENDING_MAX;
    struct table_key *keys = &updates->pending.keys[first];

    if (__builtin_expect(updates->limited, false))
        record_senders(updates, scope, ids, count);
    for (unsigned i = 0; i < count; i++) {
        updates->scopes[first + i] = scope;
        updates->origin_of[first + i] = origin;
    }
    for (unsigned i = 0; i < count; i++)
        keys[i] = table_key(hash_visitor(&key, ids + (size_t)i * WIRE_VISITOR_SIZE), pairs);
    updates->pending.queued += count;
}

/* Queue a place's visitors in one of its scopes. */
static inline void queue_visitors(struct updates *updates, uint32_t scope,
                                  const struct place *place)
{
    const uint8_t *ids = place->heartbeat.visitor_ids;

    if (place->heartbeat.visitors == 1) {
        queue_in_group(updates, scope, place->origin, ids, 1);
        if (updates->pending.queued % PENDING_GROUP == 0)
            advance(updates, false);
        return;
    }
    for (uint32_t left = place->heartbeat.visitors; left;) {
        unsigned room = PENDING_GROUP - updates->pending.queued % PENDING_GROUP;
        unsigned count = left < room ? left : room;
        queue_in_group(updates, scope, place->origin, ids, count);
        ids += (size_t)count * WIRE_VISITOR_SIZE;
        left -= count;
        if (count == room)
            advance(updates, false);
    }
}

static void begin_run(struct updates *updates, struct update_run run)
{
    updates->runs[updates->run_end++ % PENDING_MAX] = run;
}

/* Move a scope's last heartbeat to `now`; never backward. */
static void touch_scope(struct updates *updates, uint32_t scope)
{
    uint64_t *last = &updates->segment->directory.entries[scope].last_heartbeat;
    uint64_t seen = atomic_load_relaxed(last); /* readers may see either tick */

    while (seen < updates->now && !atomic_swap_if(last, &seen, updates->now))
        ;
}

/* Count a place's visitors in the totals of one of its scopes. */
static inline void count_traffic(struct updates *updates, uint32_t scope,
                                 const struct wire_heartbeat *heartbeat)
{
    struct traffic_slot *traffic = traffic_of(updates->traffic, scope);

    touch_scope(updates, scope);
    traffic->heartbeats += heartbeat->visitors;
    if (heartbeat->kind == WIRE_PAGEVIEW)
        traffic->pageviews += heartbeat->visitors;
}

/* Queue all places' visitors in their scopes of one kind. Always inline: one place is a case of its
 * own. */
static inline __attribute__((always_inline)) void queue_kind(struct updates *updates,
                                                             const struct place *places,
                                                             unsigned count, enum scope_kind kind)
{
    struct update_run run = {.kind = (uint8_t)kind, .scope = SCOPE_NONE};
    bool several = false;
    uint32_t visitors = 0;

    for (unsigned i = 0; i < count; i++) {
        const struct wire_heartbeat *heartbeat = &places[i].heartbeat;
        uint32_t scope = places[i].scopes[kind];
        if (scope == SCOPE_NONE)
            continue;
        several |= visitors && scope != run.scope;
        run.scope = scope;
        run.emits_event |= kind == SCOPE_SITE && heartbeat->kind >= WIRE_PAGEVIEW;
        visitors += heartbeat->visitors;
        count_traffic(updates, scope, heartbeat);
    }
    if (!visitors)
        return;
    run.end = updates->pending.queued + visitors;
    run.scope = several ? SCOPE_NONE : run.scope;
    begin_run(updates, run);
    for (unsigned i = 0; i < count; i++)
        if (places[i].scopes[kind] != SCOPE_NONE)
            queue_visitors(updates, places[i].scopes[kind], &places[i]);
}

void updates_queue(struct updates *updates, struct place *places, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (places[i].scopes[SCOPE_SITE] != SCOPE_NONE)
            record_origin(updates, &places[i]);
    if (count == 1) {
        for (unsigned kind = 0; kind < SCOPE_KINDS; kind++)
            if (places->scopes[kind] != SCOPE_NONE)
                queue_kind(updates, places, 1, (enum scope_kind)kind);
        return;
    }
    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++)
        queue_kind(updates, places, count, (enum scope_kind)kind);
}

void updates_queue_leave(struct updates *updates, struct place *place)
{
    bool recorded = false;

    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++) {
        bool ends = place->heartbeat.room.length ? kind == SCOPE_ROOM : true;
        if (!ends || place->scopes[kind] == SCOPE_NONE)
            continue;
        if (!recorded)
            record_origin(updates, place);
        recorded = true;
        begin_run(updates, (struct update_run){
                               .end = updates->pending.queued + place->heartbeat.visitors,
                               .scope = place->scopes[kind],
                               .kind = (uint8_t)kind,
                               .is_leave = true,
                           });
        queue_visitors(updates, place->scopes[kind], place);
    }
}

void updates_finish(struct updates *updates)
{
    advance(updates, true);
    pending_clear(&updates->pending);
    tally_publish(&updates->tally);
}

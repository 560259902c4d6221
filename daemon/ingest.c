#include "ingest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admission.h"
#include "feed.h"
#include "lookup.h"
#include "pending.h"
#include "core/wire.h"
#include "tally.h"
#include "traffic.h"

_Static_assert(COUNTER_datagrams_rejected_site - COUNTER_datagrams_rejected_source ==
                   WIRE_SITE - WIRE_SOURCE,
               "the counters of rejections stand in the order of the reasons");

/* Updates of one datagram's visitors in one scope. */
struct run {
    unsigned end; /* the number of the update after its last one, since nothing was pending */
    uint32_t scope;
    uint8_t kind; /* enum scope_kind */
    bool is_leave;
    bool is_told;   /* each is an event, whatever it does to the count */
    uint8_t origin; /* index of the datagram it came in */
};

/* What must be known of a datagram as long as its updates wait. */
struct origin {
    enum wire_kind kind;
    struct feed_place place;
};

struct ingest {
    struct collector *collector;
    struct segment *segment;
    struct admission_view admission;
    pthread_mutex_t *gate;
    struct segment_counters *published;
    uint64_t now;
    bool limited; /* new visitors of a source, that is */
    struct pending pending;
    /* Of what is pending, with at least an update each: rings, as that is. */
    unsigned run_first, run_end;
    struct run runs[PENDING_MAX];
    struct origin origins[PENDING_MAX];
    unsigned origin; /* of the datagram that is being counted */
    uint32_t window; /* what histories sample */
    bool has_feed;
    /* When there is a limit: who brings them (see admission.h), and what they are in their site. */
    uint64_t sources[PENDING_MAX];
    struct table_key site_keys[PENDING_MAX];
    uint64_t counted[COUNTERS]; /* since the batch began */
    struct wire_scratch scratch;
    struct lookup lookup;
    struct tally tally;
    struct traffic *traffic; /* the collector's; published by others */
};

int ingest_open(struct collector *collector, unsigned worker, struct ingest **ret)
{
    struct ingest *ingest = calloc(1, sizeof(*ingest));

    if (!ingest)
        return -ENOMEM;
    ingest->collector = collector;
    ingest->segment = &collector->file.segment;
    admission_look(collector->admission, &ingest->admission);
    ingest->limited = admission_limits_visitors(&ingest->admission);
    ingest->gate = &collector->gates[worker].mutex;
    ingest->published = &collector->file.segment.counters[worker];
    ingest->lookup.directory = &collector->directory;
    ingest->tally.directory = &collector->file.segment.directory;
    ingest->tally.is_alone = ingest->segment->table.lone_writer;
    ingest->traffic = &collector->traffics[worker];
    ingest->window = history_window(collector->file.segment.max_window);
    ingest->has_feed = feed_is_open(ingest->segment);
    *ret = ingest;
    return 0;
}

void ingest_close(struct ingest *ingest)
{
    free(ingest);
}

void ingest_count(struct ingest *ingest, enum counter counter, uint64_t value)
{
    ingest->counted[counter] += value;
}

void ingest_begin(struct ingest *ingest)
{
    struct collector *collector = ingest->collector;

    for (;;) {
        pthread_mutex_lock(ingest->gate);
        ingest->now = collector_tick(collector);
        if (collector->clock(collector->clock_context) <= ingest->now)
            break;
        pthread_mutex_unlock(ingest->gate);
        collector_advance(collector);
    }
    admission_begin(&ingest->admission, ingest->now);
    lookup_begin(&ingest->lookup);
}

void ingest_from(struct ingest *ingest, const struct sockaddr *source)
{
    admission_from(&ingest->admission, source);
}

struct move_context {
    struct tally *tally;
    uint32_t scope;
};

static inline void move_bucket(void *context, uint64_t tick, int delta)
{
    struct move_context *move = context;

    tally_add(move->tally, move->scope, tick, delta);
}

/* A visitor who is in the scope already costs nothing; a new one may be one too many of those that
 * their source brings. Nobody is in a room of a site that they are not counted in: the site's
 * update stands before its labels'. */
static bool may_be_counted(const struct ingest *ingest, const struct run *run, unsigned index)
{
    const struct table *table = &ingest->segment->table;
    uint64_t word;

    if (run->kind != SCOPE_SITE && !table_find(table, ingest->site_keys[index], &word))
        return false;
    if (table_find(table, ingest->pending.keys[index], &word))
        return true;
    return admission_take_visitor(&ingest->admission, ingest->sources[index],
                                  (enum scope_kind)run->kind);
}

/* Tell of an event at the place of a run's datagram. */
static void tell(struct ingest *ingest, const struct run *run, enum event_kind kind)
{
    if (ingest->has_feed &&
        !feed_write(ingest->segment, kind, &ingest->origins[run->origin].place, ingest->now))
        ingest->counted[COUNTER_events_thinned]++;
}

/* What a visitor of a site did, once it is known whether they entered. */
static inline void tell_of_heartbeat(struct ingest *ingest, const struct run *run, bool entered)
{
    enum wire_kind kind = ingest->origins[run->origin].kind;

    if (entered)
        tell(ingest, run, EVENT_ENTERED);
    if (kind == WIRE_PAGEVIEW)
        tell(ingest, run, EVENT_PAGEVIEW);
    else if (kind == WIRE_EVENT)
        tell(ingest, run, EVENT_CUSTOM);
}

/* What is not a mere refresh: an enter, a refusal, or something to tell of. Out of line, so that
 * refreshes are as fast as they can be. */
static __attribute__((noinline, cold)) void
note_heartbeat(struct ingest *ingest, const struct run *run, struct table_outcome outcome)
{
    struct traffic_slot *traffic = traffic_of(ingest->traffic, run->scope);
    /* A duplicate that was cleared is one enter less: its insert raced with another. */
    uint64_t entered = (uint64_t)outcome.inserted - outcome.duplicates + outcome.entered;

    traffic->entries += entered;
    traffic->heartbeats -= outcome.full;
    if (run->kind != SCOPE_SITE) {
        ingest->counted[COUNTER_label_table_full] += outcome.full;
        return;
    }
    ingest->counted[COUNTER_heartbeats_new] += entered;
    ingest->counted[COUNTER_heartbeats_refreshed] += 1 - entered - outcome.full;
    ingest->counted[COUNTER_table_full] += outcome.full;
    if (!outcome.full)
        tell_of_heartbeat(ingest, run, (int64_t)entered > 0);
}

static void count_exceeded(struct ingest *ingest, const struct run *run)
{
    traffic_of(ingest->traffic, run->scope)->heartbeats--;
    ingest->counted[run->kind == SCOPE_SITE ? COUNTER_source_new_exceeded
                                            : COUNTER_label_source_new_exceeded]++;
}

/* Most refreshes in a row are of one scope, and all come into one tick: those are added up. */
struct refreshes {
    struct table table; /* a copy, which storing words does not change */
    struct move_context move;
    uint64_t now;
    int32_t added;
};

static inline void move_refresh(void *context, uint64_t tick, int delta)
{
    struct refreshes *refreshes = context;

    if (delta > 0)
        refreshes->added++; /* a refresh goes nowhere but to `now` */
    else
        move_bucket(&refreshes->move, tick, delta);
}

/* Put what was added up into the tally. Twice as much as a group may take away finds room there
 * until the next time: it is not published before what the same refreshes add. */
static inline void add_refreshed(struct refreshes *refreshes)
{
    if (refreshes->added)
        tally_add(refreshes->move.tally, refreshes->move.scope, refreshes->now, refreshes->added);
    refreshes->added = 0;
    tally_make_room(refreshes->move.tally, 2 * PENDING_GROUP);
}

/* A heartbeat of a visitor who is not where they were looked for, or is new. */
static __attribute__((noinline)) void insert(struct ingest *ingest, const struct run *run,
                                             struct table_key key)
{
    struct move_context context = {&ingest->tally, run->scope};

    note_heartbeat(ingest, run,
                   table_upsert(&ingest->segment->table, key, ingest->now, move_bucket, &context));
}

/* Apply `count` heartbeats of a run, the first of which is pending at `first`. */
static inline void apply_heartbeats(struct ingest *ingest, struct refreshes *refreshes,
                                    const struct run *run, unsigned first, unsigned count)
{
    const bool limited = ingest->limited, is_told = run->is_told;
    uint64_t refreshed = 0;

    if (run->scope != refreshes->move.scope) {
        add_refreshed(refreshes);
        refreshes->move.scope = run->scope;
    }
    for (unsigned i = first; i < first + count; i++) {
        struct table_key key = ingest->pending.keys[i];
        bool entered;
        if (__builtin_expect(limited, false) && !may_be_counted(ingest, run, i)) {
            count_exceeded(ingest, run);
        } else if (!table_refresh_at(&refreshes->table, ingest->pending.slots[i], key,
                                     refreshes->now, move_refresh, refreshes, &entered)) {
            add_refreshed(refreshes);
            insert(ingest, run, key);
        } else if (__builtin_expect(entered || is_told, false))
            note_heartbeat(ingest, run, (struct table_outcome){.entered = entered});
        else
            refreshed++;
    }
    if (run->kind == SCOPE_SITE)
        ingest->counted[COUNTER_heartbeats_refreshed] += refreshed;
}

/* A leave takes the visitor's word away: do they count now, where histories look? */
struct leave_context {
    struct move_context move;
    uint64_t since; /* tick of the oldest heartbeat that counts */
    bool counted;
};

static void move_leave(void *context, uint64_t tick, int delta)
{
    struct leave_context *leave = context;

    leave->counted |= tick >= leave->since;
    move_bucket(&leave->move, tick, delta);
}

static void apply_leave(struct ingest *ingest, const struct run *run, struct table_key key)
{
    struct leave_context context = {
        .move = {&ingest->tally, run->scope},
        .since = ingest->now >= ingest->window ? ingest->now - ingest->window + 1 : 0,
    };

    table_leave(&ingest->segment->table, key, ingest->now, move_leave, &context);
    if (!context.counted)
        return;
    traffic_of(ingest->traffic, run->scope)->leaves++;
    if (run->kind == SCOPE_SITE || run->kind == SCOPE_ROOM)
        tell(ingest, run, EVENT_LEFT);
}

/* Apply a group's updates, run by run: the order is that of their datagrams. */
static void apply_group(struct ingest *ingest, struct refreshes *refreshes, unsigned group)
{
    unsigned next = group * PENDING_GROUP, run_first = ingest->run_first;
    const unsigned end = next + pending_size(&ingest->pending, group);

    while (next < end) {
        const struct run *run = &ingest->runs[run_first % PENDING_MAX];
        unsigned first = next % PENDING_MAX;
        unsigned count = (run->end < end ? run->end : end) - next;
        if (run->is_leave) {
            add_refreshed(refreshes);
            for (unsigned i = first; i < first + count; i++)
                apply_leave(ingest, run, ingest->pending.keys[i]);
        } else
            apply_heartbeats(ingest, refreshes, run, first, count);
        next += count;
        run_first += run->end == next;
    }
    ingest->run_first = run_first;
    add_refreshed(refreshes);
}

/* Move what is pending on by a step, or `all` of it to the end. */
static void advance(struct ingest *ingest, bool all)
{
    struct pending *pending = &ingest->pending;
    struct refreshes refreshes = {
        .table = ingest->segment->table, .move = {&ingest->tally, 0}, .now = ingest->now};
    unsigned ready = pending_advance(pending, &refreshes.table, all);

    for (; pending->applied < ready; pending->applied++)
        apply_group(ingest, &refreshes, pending->applied);
}

/* Remember a datagram until its updates have been applied. Its scopes are still to be found. */
static void note_origin(struct ingest *ingest, const struct wire_heartbeat *heartbeat)
{
    unsigned index = ingest->origin;

    /* If no update waits with the last one, its place is free: a leave may have found nothing. */
    if (ingest->run_first != ingest->run_end &&
        ingest->runs[(ingest->run_end - 1) % PENDING_MAX].origin == index)
        index = (index + 1) % PENDING_MAX;
    struct origin *origin = &ingest->origins[index];

    ingest->origin = index;
    origin->kind = (enum wire_kind)heartbeat->kind;
    origin->place.name_length = (uint8_t)heartbeat->event.length;
    if (heartbeat->event.length)
        memcpy(origin->place.name, heartbeat->event.bytes, heartbeat->event.length);
}

/* Remember what may_be_counted asks for of the updates that are next in the queue. */
static void note_bringers(struct ingest *ingest, uint32_t scope, const uint8_t *ids, unsigned count)
{
    const struct scope_entry *entries = ingest->segment->directory.entries;
    const struct scope_key *site = &entries[entries[scope].site].key;
    unsigned first = ingest->pending.queued % PENDING_MAX;

    for (unsigned i = 0; i < count; i++) {
        const uint8_t *id = ids + (size_t)i * WIRE_VISITOR_SIZE;
        ingest->sources[first + i] = ingest->admission.source;
        ingest->site_keys[first + i] =
            table_key(hash_visitor(site, id), ingest->segment->table.pairs);
    }
}

/* Queue as many visitors of a scope as the newest group has room for, or fewer. */
static inline void queue_in_group(struct ingest *ingest, uint32_t scope, const uint8_t *ids,
                                  unsigned count)
{
    const struct scope_key key = ingest->segment->directory.entries[scope].key;
    const uint64_t pairs = ingest->segment->table.pairs;
    struct table_key *keys = &ingest->pending.keys[ingest->pending.queued % PENDING_MAX];

    if (__builtin_expect(ingest->limited, false))
        note_bringers(ingest, scope, ids, count);
    for (unsigned i = 0; i < count; i++)
        keys[i] = table_key(hash_visitor(&key, ids + (size_t)i * WIRE_VISITOR_SIZE), pairs);
    ingest->pending.queued += count;
}

/* Queue a scope's visitors. */
static void queue_visitors(struct ingest *ingest, uint32_t scope, unsigned kind,
                           const struct wire_heartbeat *heartbeat)
{
    const uint8_t *ids = heartbeat->visitor_ids;

    ingest->runs[ingest->run_end++ % PENDING_MAX] = (struct run){
        .end = ingest->pending.queued + heartbeat->visitors,
        .scope = scope,
        .kind = (uint8_t)kind,
        .is_leave = heartbeat->kind == WIRE_LEAVE,
        .is_told = kind == SCOPE_SITE && heartbeat->kind >= WIRE_PAGEVIEW,
        .origin = (uint8_t)ingest->origin,
    };
    for (uint32_t left = heartbeat->visitors; left;) {
        unsigned room = PENDING_GROUP - ingest->pending.queued % PENDING_GROUP;
        unsigned count = left < room ? left : room;
        queue_in_group(ingest, scope, ids, count);
        ids += (size_t)count * WIRE_VISITOR_SIZE;
        left -= count;
        if (count == room)
            advance(ingest, false);
    }
}

/* A heartbeat arrived at this scope at `now`; never backward. */
static void touch_scope(struct ingest *ingest, uint32_t scope)
{
    uint64_t *last = &ingest->segment->directory.entries[scope].last_heartbeat;
    uint64_t seen = atomic_load_relaxed(last); /* readers may see either tick */

    while (seen < ingest->now && !atomic_swap_if(last, &seen, ingest->now))
        ;
}

static void count_heartbeat(struct ingest *ingest, const struct wire_heartbeat *heartbeat)
{
    note_origin(ingest, heartbeat);
    uint32_t *scopes = ingest->origins[ingest->origin].place.scopes;
    struct lookup_refusals refusals =
        lookup_scopes(&ingest->lookup, heartbeat, &ingest->now, scopes);
    if (refusals.directory_full && collector_may_make_room(ingest->collector, ingest->now)) {
        /* Idle scopes can be given up only between batches. The scopes are then found anew. */
        ingest_end(ingest);
        collector_make_room(ingest->collector);
        ingest_begin(ingest);
        refusals = lookup_scopes(&ingest->lookup, heartbeat, &ingest->now, scopes);
    }
    if (scopes[SCOPE_SITE] == SCOPE_NONE) {
        ingest->counted[COUNTER_scopes_full] += heartbeat->visitors;
        return;
    }
    ingest->counted[COUNTER_label_scopes_full] +=
        (uint64_t)refusals.directory_full * heartbeat->visitors;
    if (refusals.site_full & 1u << SCOPE_ROOM)
        ingest->counted[COUNTER_site_rooms_full] += heartbeat->visitors;
    if (refusals.site_full & 1u << SCOPE_SOURCE)
        ingest->counted[COUNTER_site_sources_full] += heartbeat->visitors;
    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++) {
        uint32_t scope = scopes[kind];
        if (scope == SCOPE_NONE)
            continue;
        touch_scope(ingest, scope);
        struct traffic_slot *traffic = traffic_of(ingest->traffic, scope);
        traffic->heartbeats += heartbeat->visitors;
        if (heartbeat->kind == WIRE_PAGEVIEW)
            traffic->pageviews += heartbeat->visitors;
        queue_visitors(ingest, scope, kind, heartbeat);
    }
    if (heartbeat->kind == WIRE_PAGEVIEW)
        ingest->counted[COUNTER_pageviews] += heartbeat->visitors;
    if (heartbeat->kind == WIRE_EVENT)
        ingest->counted[COUNTER_events] += heartbeat->visitors;
}

/* Rule 4: with a room it ends only the presence in that room; without one, in the site and in the
 * country and source it names. It creates nothing. A room that decoding skipped is no room. */
static void count_leave(struct ingest *ingest, const struct wire_heartbeat *heartbeat)
{
    note_origin(ingest, heartbeat);
    uint32_t *scopes = ingest->origins[ingest->origin].place.scopes;
    lookup_scopes(&ingest->lookup, heartbeat, NULL, scopes);
    ingest->counted[COUNTER_heartbeats_left] += heartbeat->visitors;
    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++) {
        bool ends = heartbeat->room.length ? kind == SCOPE_ROOM : true;
        uint32_t scope = scopes[kind];
        if (ends && scope != SCOPE_NONE)
            queue_visitors(ingest, scope, kind, heartbeat);
    }
}

static enum wire_reason judge_datagram(struct ingest *ingest, const uint8_t *datagram,
                                       uint32_t length, struct wire_heartbeat *ret)
{
    const struct admission_view *admission = &ingest->admission;

    if (admission_is_welcome(admission) && !admission_take_datagram(admission)) {
        ingest->counted[COUNTER_source_rate_exceeded]++;
        return WIRE_SOURCE;
    }
    return admission_decode(admission, datagram, length, &ingest->scratch, ret);
}

void ingest_datagram(struct ingest *ingest, const uint8_t *datagram, uint32_t length)
{
    struct wire_heartbeat heartbeat;
    enum wire_reason reason = judge_datagram(ingest, datagram, length, &heartbeat);

    ingest->counted[COUNTER_datagrams_received]++;
    if (reason != WIRE_ACCEPTED) {
        ingest->counted[COUNTER_datagrams_rejected_source + reason - WIRE_SOURCE]++;
        return;
    }
    ingest->counted[COUNTER_datagrams_accepted]++;
    ingest->counted[COUNTER_label_invalid] += heartbeat.labels_invalid;
    ingest->counted[COUNTER_room_too_long] += heartbeat.rooms_too_long;
    if (heartbeat.kind == WIRE_LEAVE)
        count_leave(ingest, &heartbeat);
    else
        count_heartbeat(ingest, &heartbeat);
}

void ingest_truncated(struct ingest *ingest)
{
    ingest->counted[COUNTER_datagrams_received]++;
    ingest->counted[COUNTER_datagrams_rejected_malformed]++;
    ingest->counted[COUNTER_receive_truncated]++;
}

/* Only this worker writes its block: readers see each value before or after. */
static void publish_counters(struct ingest *ingest)
{
    for (unsigned i = 0; i < COUNTERS; i++) {
        if (!ingest->counted[i])
            continue;
        uint64_t *value = &ingest->published->values[i];
        atomic_store_relaxed(value, atomic_load_relaxed(value) + ingest->counted[i]);
        ingest->counted[i] = 0;
    }
}

void ingest_end(struct ingest *ingest)
{
    advance(ingest, true);
    pending_clear(&ingest->pending);
    tally_publish(&ingest->tally);
    publish_counters(ingest);
    if (!traffic_is_published(ingest->traffic))
        traffic_publish(ingest->traffic);
    pthread_mutex_unlock(ingest->gate);
}

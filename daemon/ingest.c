#include "ingest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admission.h"
#include "core/wire.h"
#include "event_writer.h"
#include "lookup.h"
#include "pending.h"
#include "refusals.h"
#include "streams.h"
#include "tally.h"
#include "traffic.h"

#define RECORDS_MAX 16 /* of version 2 that are looked up at once */

/* Updates of one datagram's visitors in one scope. */
struct run {
    unsigned end; /* number of the update after its last one; counted since the queue was empty */
    uint32_t scope;
    uint8_t kind; /* enum scope_kind */
    bool is_leave;
    bool emits_event; /* each visitor is an event, even if nobody enters */
    uint8_t origin;   /* index of the datagram that it came in */
};

/* A datagram, while its updates wait. */
struct origin {
    enum wire_kind kind;
    struct event_place place;
};

/* A record of version 2, while what it names is looked up. */
struct record {
    struct wire_heartbeat heartbeat;
    struct lookup_ahead ahead;
    struct wire_scratch scratch;
};

struct ingest {
    struct collector *collector;
    struct segment *segment;
    struct admission_view admission;
    const struct sockaddr *sender; /* NULL: unknown */
    pthread_mutex_t *gate;
    struct segment_counters *published;
    uint64_t now;
    bool limited; /* each sender's new visitors are limited */
    struct pending pending;
    /* Runs and origins of pending updates, at least one each; rings, like `pending`. */
    unsigned run_first, run_end;
    struct run runs[PENDING_MAX];
    struct origin origins[PENDING_MAX];
    unsigned origin; /* index of the current datagram */
    uint32_t window; /* sampled by histories */
    bool has_events;
    /* Only if `limited`, for each pending update: the sender (admission.h), and the visitor's key
     * in the site. */
    uint64_t senders[PENDING_MAX];
    struct table_key site_keys[PENDING_MAX];
    uint64_t counted[COUNTERS]; /* since the batch began */
    struct wire_scratch scratch;
    struct wire_v2_datagram datagram; /* being counted */
    struct record records[RECORDS_MAX];
    struct lookup lookup;
    struct tally tally;
    struct traffic *traffic; /* the collector's; others publish it, too */
};

int ingest_open(struct collector *collector, unsigned worker, struct ingest **ret)
{
    struct ingest *ingest = calloc(1, sizeof(*ingest));

    if (!ingest)
        return -ENOMEM;
    ingest->collector = collector;
    ingest->segment = &collector->file.segment;
    admission_view_init(collector->admission, &ingest->admission);
    ingest->limited = admission_limits_visitors(&ingest->admission);
    ingest->gate = &collector->gates[worker].mutex;
    ingest->published = &collector->file.segment.counters[worker];
    ingest->lookup.directory = &collector->directory;
    ingest->tally.directory = &collector->file.segment.directory;
    ingest->tally.is_alone = ingest->segment->table.lone_writer;
    ingest->traffic = &collector->traffics[worker];
    ingest->window = history_window(collector->file.segment.max_window);
    ingest->has_events = event_writer_is_open(ingest->segment);
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
        collector_pass(collector);
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

void ingest_from(struct ingest *ingest, const struct sockaddr *sender)
{
    ingest->sender = sender;
    admission_from(&ingest->admission, sender);
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

/* True if the visitor is in the scope already, which costs nothing, or if the sender may add one. A
 * visitor who was refused in a site is refused in its labels: the site's update comes first. */
static bool may_be_counted(const struct ingest *ingest, const struct run *run, unsigned index)
{
    const struct table *table = &ingest->segment->table;
    uint64_t word;

    if (run->kind != SCOPE_SITE && !table_find(table, ingest->site_keys[index], &word))
        return false;
    if (table_find(table, ingest->pending.keys[index], &word))
        return true;
    return admission_spend_visitor(&ingest->admission, ingest->senders[index],
                                   (enum scope_kind)run->kind);
}

/* Emit an event at the place of a run's datagram. */
static void emit(struct ingest *ingest, const struct run *run, enum event_kind kind)
{
    if (ingest->has_events &&
        !event_writer_emit(ingest->segment, kind, &ingest->origins[run->origin].place, ingest->now))
        ingest->counted[COUNTER_events_thinned]++;
}

/* Emit what a visitor of a site did. */
static inline void emit_heartbeat_events(struct ingest *ingest, const struct run *run, bool entered)
{
    enum wire_kind kind = ingest->origins[run->origin].kind;

    if (entered)
        emit(ingest, run, EVENT_ENTERED);
    if (kind == WIRE_PAGEVIEW)
        emit(ingest, run, EVENT_PAGEVIEW);
    else if (kind == WIRE_EVENT)
        emit(ingest, run, EVENT_CUSTOM);
}

/* Record an enter, a refusal or an event. Out of line, so that plain refreshes are as fast as they
 * can be. */
static __attribute__((noinline, cold)) void
record_heartbeat(struct ingest *ingest, const struct run *run, struct table_outcome outcome)
{
    struct traffic_slot *traffic = traffic_of(ingest->traffic, run->scope);
    /* Each cleared duplicate was an enter too many: two workers had inserted it at once. */
    uint64_t entered = (uint64_t)outcome.inserted - outcome.duplicates + outcome.entered;

    traffic->entries += entered;
    traffic->heartbeats -= outcome.full;
    ingest->counted[COUNTER_entries_taken] += outcome.taken;
    ingest->counted[COUNTER_entries_freed] += outcome.duplicates;
    if (outcome.full)
        refusal_of_entry(ingest->segment, run->scope, ingest->now);
    if (run->kind != SCOPE_SITE) {
        ingest->counted[COUNTER_label_table_full] += outcome.full;
        return;
    }
    ingest->counted[COUNTER_heartbeats_new] += entered;
    ingest->counted[COUNTER_heartbeats_refreshed] += 1 - entered - outcome.full;
    ingest->counted[COUNTER_table_full] += outcome.full;
    if (!outcome.full)
        emit_heartbeat_events(ingest, run, (int64_t)entered > 0);
}

static void count_exceeded(struct ingest *ingest, const struct run *run)
{
    traffic_of(ingest->traffic, run->scope)->heartbeats--;
    refusal_of_entry(ingest->segment, run->scope, ingest->now);
    ingest->counted[run->kind == SCOPE_SITE ? COUNTER_sender_new_exceeded
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
static __attribute__((noinline)) void insert(struct ingest *ingest, const struct run *run,
                                             struct table_key key)
{
    struct move_context context = {&ingest->tally, run->scope};

    record_heartbeat(
        ingest, run,
        table_upsert(&ingest->segment->table, key, ingest->now, move_bucket, &context));
}

/* Apply `count` heartbeats of a run, the first of which is pending at `first`. */
static inline void apply_heartbeats(struct ingest *ingest, struct refreshes *refreshes,
                                    const struct run *run, unsigned first, unsigned count)
{
    const bool limited = ingest->limited, emits_event = run->emits_event;
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
        } else if (__builtin_expect(entered || emits_event, false))
            record_heartbeat(ingest, run, (struct table_outcome){.entered = entered});
        else
            refreshed++;
    }
    if (run->kind == SCOPE_SITE)
        ingest->counted[COUNTER_heartbeats_refreshed] += refreshed;
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

static void apply_leave(struct ingest *ingest, const struct run *run, struct table_key key)
{
    struct leave_context context = {
        .move = {&ingest->tally, run->scope},
        .since = ingest->now >= ingest->window ? ingest->now - ingest->window + 1 : 0,
    };

    ingest->counted[COUNTER_entries_freed] +=
        table_leave(&ingest->segment->table, key, ingest->now, move_leave, &context);
    if (!context.counted)
        return;
    traffic_of(ingest->traffic, run->scope)->leaves++;
    if (run->kind == SCOPE_SITE || run->kind == SCOPE_ROOM)
        emit(ingest, run, EVENT_LEFT);
}

/* Apply a group's updates run by run, in the order of their datagrams. */
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

/* Advance all pending updates by a step, or to the end if `all`. */
static void advance(struct ingest *ingest, bool all)
{
    struct pending *pending = &ingest->pending;
    struct refreshes refreshes = {
        .table = ingest->segment->table, .move = {&ingest->tally, 0}, .now = ingest->now};
    unsigned ready = pending_advance(pending, &refreshes.table, all);

    for (; pending->applied < ready; pending->applied++)
        apply_group(ingest, &refreshes, pending->applied);
}

/* Record a datagram until its updates are applied; count_heartbeat and count_leave add its scopes.
 */
static void record_origin(struct ingest *ingest, const struct wire_heartbeat *heartbeat)
{
    unsigned index = ingest->origin;

    /* Reuse the last place if no update refers to it: a leave may have found no scope. */
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

/* Record for may_be_counted the senders and site keys of the next `count` updates. */
static void record_senders(struct ingest *ingest, uint32_t scope, const uint8_t *ids,
                           unsigned count)
{
    const struct scope_entry *entries = ingest->segment->directory.entries;
    const struct scope_key *site = &entries[entries[scope].site].key;
    unsigned first = ingest->pending.queued % PENDING_MAX;

    for (unsigned i = 0; i < count; i++) {
        const uint8_t *id = ids + (size_t)i * WIRE_VISITOR_SIZE;
        ingest->senders[first + i] = ingest->admission.sender;
        ingest->site_keys[first + i] =
            table_key(hash_visitor(site, id), ingest->segment->table.pairs);
    }
}

/* Queue visitors of a scope; the newest group has room for them. */
static inline void queue_in_group(struct ingest *ingest, uint32_t scope, const uint8_t *ids,
                                  unsigned count)
{
    const struct scope_key key = ingest->segment->directory.entries[scope].key;
    const uint64_t pairs = ingest->segment->table.pairs;
    struct table_key *keys = &ingest->pending.keys[ingest->pending.queued % PENDING_MAX];

    if (__builtin_expect(ingest->limited, false))
        record_senders(ingest, scope, ids, count);
    for (unsigned i = 0; i < count; i++)
        keys[i] = table_key(hash_visitor(&key, ids + (size_t)i * WIRE_VISITOR_SIZE), pairs);
    ingest->pending.queued += count;
}

/* Queue a heartbeat's visitors in one of its scopes. */
static void queue_visitors(struct ingest *ingest, uint32_t scope, unsigned kind,
                           const struct wire_heartbeat *heartbeat)
{
    const uint8_t *ids = heartbeat->visitor_ids;

    ingest->runs[ingest->run_end++ % PENDING_MAX] = (struct run){
        .end = ingest->pending.queued + heartbeat->visitors,
        .scope = scope,
        .kind = (uint8_t)kind,
        .is_leave = heartbeat->kind == WIRE_LEAVE,
        .emits_event = kind == SCOPE_SITE && heartbeat->kind >= WIRE_PAGEVIEW,
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

/* Move a scope's last heartbeat to `now`; never backward. */
static void touch_scope(struct ingest *ingest, uint32_t scope)
{
    uint64_t *last = &ingest->segment->directory.entries[scope].last_heartbeat;
    uint64_t seen = atomic_load_relaxed(last); /* readers may see either tick */

    while (seen < ingest->now && !atomic_swap_if(last, &seen, ingest->now))
        ;
}

/* Count and record the scopes of a heartbeat that had no room. */
static __attribute__((noinline, cold)) void count_refused_scopes(struct ingest *ingest,
                                                                 struct lookup_refusals refusals,
                                                                 uint32_t site, uint32_t visitors)
{
    if (site == SCOPE_NONE) {
        refusal_of_site(ingest->segment, ingest->now);
        ingest->counted[COUNTER_scopes_full] += visitors;
        return;
    }
    for (unsigned kind = SCOPE_ROOM; kind < SCOPE_KINDS; kind++) {
        if (((refusals.directory_full | refusals.site_full) >> kind & 1) == 0)
            continue;
        refusal_of_label(ingest->segment, site, (enum scope_kind)kind, ingest->now);
        if (refusals.directory_full >> kind & 1)
            ingest->counted[COUNTER_label_scopes_full] += visitors;
        else
            ingest->counted[kind == SCOPE_ROOM ? COUNTER_site_rooms_full
                                               : COUNTER_site_sources_full] += visitors;
    }
}

static void count_heartbeat(struct ingest *ingest, const struct wire_heartbeat *heartbeat,
                            const struct lookup_ahead *ahead)
{
    record_origin(ingest, heartbeat);
    uint32_t *scopes = ingest->origins[ingest->origin].place.scopes;
    struct lookup_refusals refusals =
        lookup_scopes(&ingest->lookup, heartbeat, ahead, &ingest->now, scopes);
    if (refusals.directory_full && collector_may_make_room(ingest->collector, ingest->now)) {
        /* Idle scopes can be retired only between batches. Then look the scopes up again. */
        ingest_end(ingest);
        collector_make_room(ingest->collector);
        ingest_begin(ingest);
        refusals = lookup_scopes(&ingest->lookup, heartbeat, ahead, &ingest->now, scopes);
    }
    if (__builtin_expect((refusals.directory_full | refusals.site_full) != 0, false))
        count_refused_scopes(ingest, refusals, scopes[SCOPE_SITE], heartbeat->visitors);
    if (scopes[SCOPE_SITE] == SCOPE_NONE)
        return;
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
        ingest->counted[COUNTER_custom_events] += heartbeat->visitors;
}

/* R4: a leave with a room ends the presence in that room only; without one, in the site and in the
 * country and source that it names. It creates nothing. A room that the parser skipped is none. */
static void count_leave(struct ingest *ingest, const struct wire_heartbeat *heartbeat,
                        const struct lookup_ahead *ahead)
{
    record_origin(ingest, heartbeat);
    uint32_t *scopes = ingest->origins[ingest->origin].place.scopes;
    lookup_scopes(&ingest->lookup, heartbeat, ahead, NULL, scopes);
    ingest->counted[COUNTER_heartbeats_left] += heartbeat->visitors;
    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++) {
        bool ends = heartbeat->room.length ? kind == SCOPE_ROOM : true;
        uint32_t scope = scopes[kind];
        if (ends && scope != SCOPE_NONE)
            queue_visitors(ingest, scope, kind, heartbeat);
    }
}

static enum counter counter_of(enum wire_reason reason)
{
    switch (reason) { /* without a default: the compiler asks for a new reason's counter */
    case WIRE_SENDER:
        return COUNTER_datagrams_rejected_sender;
    case WIRE_VERSION:
        return COUNTER_datagrams_rejected_version;
    case WIRE_MALFORMED:
        return COUNTER_datagrams_rejected_malformed;
    case WIRE_VISITOR:
        return COUNTER_datagrams_rejected_visitor;
    case WIRE_UNAUTHENTICATED:
        return COUNTER_datagrams_rejected_unauthenticated;
    case WIRE_STALE:
        return COUNTER_datagrams_rejected_stale;
    case WIRE_DUPLICATE:
        return COUNTER_datagrams_rejected_duplicate;
    case WIRE_SITE:
        return COUNTER_datagrams_rejected_site;
    case WIRE_ACCEPTED:
    case WIRE_REASONS:
        break;
    }
    return COUNTER_datagrams_accepted;
}

/* Charge the sender for a datagram; false if it has sent too many. */
static bool spend_datagram(struct ingest *ingest)
{
    const struct admission_view *admission = &ingest->admission;

    if (!admission_is_welcome(admission) || admission_spend_datagram(admission))
        return true;
    ingest->counted[COUNTER_sender_rate_exceeded]++;
    return false;
}

static void count_place(struct ingest *ingest, const struct wire_heartbeat *heartbeat,
                        const struct lookup_ahead *ahead)
{
    if (heartbeat->kind == WIRE_LEAVE)
        count_leave(ingest, heartbeat, ahead);
    else
        count_heartbeat(ingest, heartbeat, ahead);
}

/* Count a datagram of one place: version 1 or text. */
static enum wire_reason count_one_place(struct ingest *ingest, const uint8_t *datagram,
                                        uint32_t length)
{
    struct wire_heartbeat heartbeat;
    enum wire_reason reason =
        admission_decode(&ingest->admission, datagram, length, &ingest->scratch, &heartbeat);

    if (reason != WIRE_ACCEPTED)
        return reason;
    ingest->counted[COUNTER_label_invalid] += heartbeat.labels_invalid;
    ingest->counted[COUNTER_room_too_long] += heartbeat.rooms_too_long;
    count_place(ingest, &heartbeat, NULL);
    return WIRE_ACCEPTED;
}

/* Return how many of a datagram's visitors are at a site that is not counted. */
static uint32_t refused_visitors(struct ingest *ingest)
{
    struct wire_v2_datagram *datagram = &ingest->datagram;
    const uint8_t *first = datagram->next;
    struct wire_heartbeat record;
    uint32_t refused = 0;

    if (!admission_limits_sites(&ingest->admission))
        return 0;
    while (wire_v2_next(datagram, &ingest->scratch, &record))
        refused += admission_counts_site(&ingest->admission, record.site) ? 0 : record.visitors;
    datagram->next = first;
    return refused;
}

/* Count the next records of a datagram, as many as are looked up at once: their memory is fetched
 * meanwhile. Returns false if there was none. */
static bool count_records(struct ingest *ingest, bool some_refused)
{
    struct record *records = ingest->records;
    unsigned count = 0;

    while (count < RECORDS_MAX &&
           wire_v2_next(&ingest->datagram, &records[count].scratch, &records[count].heartbeat)) {
        struct record *record = &records[count];
        if (some_refused && !admission_counts_site(&ingest->admission, record->heartbeat.site))
            continue;
        lookup_hash(&ingest->lookup, &record->heartbeat, &record->ahead);
        count++;
    }
    for (unsigned i = 0; i < count; i++)
        lookup_fetch(&ingest->lookup, &records[i].heartbeat, &records[i].ahead);
    for (unsigned i = 0; i < count; i++)
        count_place(ingest, &records[i].heartbeat, &records[i].ahead);
    return count;
}

/* Count a datagram of version 2: its records in their order. */
static enum wire_reason count_places(struct ingest *ingest, const uint8_t *datagram,
                                     uint32_t length)
{
    enum wire_reason reason =
        admission_decode_v2(&ingest->admission, datagram, length, &ingest->datagram);

    if (reason != WIRE_ACCEPTED)
        return reason;
    uint8_t key_id = admission_identity(&ingest->admission, &ingest->datagram);
    if (!streams_receive(ingest->collector->streams, &ingest->datagram, key_id, ingest->sender,
                         ingest->now, ingest->counted))
        return WIRE_DUPLICATE;
    uint32_t refused = refused_visitors(ingest);
    ingest->counted[COUNTER_site_refused] += refused;
    ingest->counted[COUNTER_datagrams_empty] += ingest->datagram.records == 0;
    if (refused && refused == ingest->datagram.visitors)
        return WIRE_SITE;
    while (count_records(ingest, refused != 0))
        ;
    return WIRE_ACCEPTED;
}

void ingest_datagram(struct ingest *ingest, const uint8_t *datagram, uint32_t length)
{
    enum wire_reason reason = !spend_datagram(ingest) ? WIRE_SENDER
                              : wire_is_v2(datagram, length)
                                  ? count_places(ingest, datagram, length)
                                  : count_one_place(ingest, datagram, length);

    ingest->counted[COUNTER_datagrams_received]++;
    ingest->counted[counter_of(reason)]++;
}

void ingest_truncated(struct ingest *ingest)
{
    ingest->counted[COUNTER_datagrams_received]++;
    ingest->counted[COUNTER_datagrams_rejected_malformed]++;
    ingest->counted[COUNTER_receive_truncated]++;
}

/* Add the batch's counters to this worker's block, which no other thread writes. From the last to
 * the first: a reader who sees that datagrams were received sees what became of them, too. Release:
 * pairs with reader_counter. */
static void publish_counters(struct ingest *ingest)
{
    for (unsigned i = COUNTERS; i-- > 0;) {
        if (!ingest->counted[i])
            continue;
        uint64_t *value = &ingest->published->values[i];
        atomic_store_release(value, atomic_load_relaxed(value) + ingest->counted[i]);
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

#include "ingest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admission.h"
#include "feed.h"
#include "lookup.h"
#include "presence/wire.h"
#include "tally.h"
#include "traffic.h"

#define PENDING_MAX 64 /* updates that are applied together: 4 times as fast as one at a time */
#define FETCH_GROUP 16 /* of them are fetched at once, as many as a core has under way */

_Static_assert(COUNTER_datagrams_rejected_site - COUNTER_datagrams_rejected_source ==
                   WIRE_SITE - WIRE_SOURCE,
               "the counters of rejections stand in the order of the reasons");

/* One visitor in one scope. */
struct update {
    struct table_key key;
    uint64_t *slot; /* where it seems to stand; set when it is its turn */
    uint32_t scope;
    struct {
        uint8_t kind; /* enum scope_kind */
        bool is_leave;
        bool is_told;   /* an event, whatever it does to the count */
        uint8_t origin; /* index of the datagram it came in */
    } about;            /* stored at once: it is the same for all visitors of a datagram */
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
    unsigned pending_count, fetched_count;
    struct update pending[PENDING_MAX];
    struct origin *origin;                  /* of the datagram that is being counted */
    struct origin origins[PENDING_MAX + 1]; /* each before it has an update that waits */
    uint32_t window;                        /* what histories sample */
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
    ingest->origin = ingest->origins;
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
static bool may_be_counted(const struct ingest *ingest, unsigned index)
{
    const struct table *table = &ingest->segment->table;
    const struct update *update = &ingest->pending[index];
    uint64_t word;

    if (update->about.kind != SCOPE_SITE && !table_find(table, ingest->site_keys[index], &word))
        return false;
    if (table_find(table, update->key, &word))
        return true;
    return admission_take_visitor(&ingest->admission, ingest->sources[index],
                                  (enum scope_kind)update->about.kind);
}

/* Tell of an event at the place of an update's datagram. */
static void tell(struct ingest *ingest, const struct update *update, enum event_kind kind)
{
    if (ingest->has_feed && !feed_write(ingest->segment, kind,
                                        &ingest->origins[update->about.origin].place, ingest->now))
        ingest->counted[COUNTER_events_thinned]++;
}

/* What a visitor of a site did, once it is known whether they entered. */
static inline void tell_of_heartbeat(struct ingest *ingest, const struct update *update,
                                     bool entered)
{
    enum wire_kind kind = ingest->origins[update->about.origin].kind;

    if (entered)
        tell(ingest, update, EVENT_ENTERED);
    if (kind == WIRE_PAGEVIEW)
        tell(ingest, update, EVENT_PAGEVIEW);
    else if (kind == WIRE_EVENT)
        tell(ingest, update, EVENT_CUSTOM);
}

/* What is not a mere refresh: an enter, a refusal, or something to tell of. Out of line, so that
 * refreshes are as fast as they can be. */
static __attribute__((noinline, cold)) void
note_heartbeat(struct ingest *ingest, const struct update *update, struct table_outcome outcome)
{
    struct traffic_slot *traffic = traffic_of(ingest->traffic, update->scope);
    /* A duplicate that was cleared is one enter less: its insert raced with another. */
    uint64_t entered = (uint64_t)outcome.inserted - outcome.duplicates + outcome.entered;

    traffic->entries += entered;
    traffic->heartbeats -= outcome.full;
    if (update->about.kind != SCOPE_SITE) {
        ingest->counted[COUNTER_label_table_full] += outcome.full;
        return;
    }
    ingest->counted[COUNTER_heartbeats_new] += entered;
    ingest->counted[COUNTER_heartbeats_refreshed] += 1 - entered - outcome.full;
    ingest->counted[COUNTER_table_full] += outcome.full;
    if (!outcome.full)
        tell_of_heartbeat(ingest, update, (int64_t)entered > 0);
}

static inline void apply_heartbeat(struct ingest *ingest, const struct update *update)
{
    const struct table *table = &ingest->segment->table;
    struct move_context context = {&ingest->tally, update->scope};
    bool entered;

    if (!table_refresh_at(table, update->slot, update->key, ingest->now, move_bucket, &context,
                          &entered))
        note_heartbeat(ingest, update,
                       table_upsert(table, update->key, ingest->now, move_bucket, &context));
    else if (__builtin_expect(entered || update->about.is_told, 0))
        note_heartbeat(ingest, update, (struct table_outcome){.entered = entered});
    else
        ingest->counted[COUNTER_heartbeats_refreshed] += update->about.kind == SCOPE_SITE;
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

static void count_exceeded(struct ingest *ingest, const struct update *update)
{
    traffic_of(ingest->traffic, update->scope)->heartbeats--;
    ingest->counted[update->about.kind == SCOPE_SITE ? COUNTER_source_new_exceeded
                                                     : COUNTER_label_source_new_exceeded]++;
}

static void apply_leave(struct ingest *ingest, const struct update *update)
{
    struct leave_context context = {
        .move = {&ingest->tally, update->scope},
        .since = ingest->now >= ingest->window ? ingest->now - ingest->window + 1 : 0,
    };

    table_leave(&ingest->segment->table, update->key, ingest->now, move_leave, &context);
    if (!context.counted)
        return;
    traffic_of(ingest->traffic, update->scope)->leaves++;
    if (update->about.kind == SCOPE_SITE || update->about.kind == SCOPE_ROOM)
        tell(ingest, update, EVENT_LEFT);
}

/* Have all that is queued on its way. Side by side, apart from the hashing: the processor has the
 * more translations of addresses and lines under way at once, and they are what takes the time.
 * (What it keeps count of, it could derive; but a function that only prefetches has no effect that
 * the compiler knows of, and vanishes.) */
static void fetch_pending(struct ingest *ingest)
{
    const struct table *table = &ingest->segment->table;

    for (unsigned i = ingest->fetched_count; i < ingest->pending_count; i++)
        table_fetch(table, ingest->pending[i].key);
    ingest->fetched_count = ingest->pending_count;
}

static void apply_pending(struct ingest *ingest)
{
    const struct table *table = &ingest->segment->table;

    fetch_pending(ingest);
    for (unsigned i = 0; i < ingest->pending_count; i++)
        ingest->pending[i].slot = table_locate(table, ingest->pending[i].key);
    for (unsigned i = 0; i < ingest->pending_count; i++)
        if (!ingest->pending[i].slot)
            ingest->pending[i].slot = table_locate_away(table, ingest->pending[i].key);
    for (unsigned i = 0; i < ingest->pending_count; i++) {
        const struct update *update = &ingest->pending[i];
        if (update->about.is_leave)
            apply_leave(ingest, update);
        else if (ingest->limited && !may_be_counted(ingest, i))
            count_exceeded(ingest, update);
        else
            apply_heartbeat(ingest, update);
    }
    ingest->pending_count = ingest->fetched_count = 0;
    ingest->origins[0] = *ingest->origin; /* its updates may still be on their way */
    ingest->origin = ingest->origins;
}

/* Remember a datagram until its updates have been applied. Its scopes are still to be found. */
static void note_origin(struct ingest *ingest, const struct wire_heartbeat *heartbeat)
{
    /* After the last one that an update waits with: a leave may have found nothing to end. */
    unsigned last =
        ingest->pending_count ? ingest->pending[ingest->pending_count - 1].about.origin + 1u : 0;
    struct origin *origin = &ingest->origins[last];

    ingest->origin = origin;
    origin->kind = (enum wire_kind)heartbeat->kind;
    origin->place.name_length = (uint8_t)heartbeat->event.length;
    if (heartbeat->event.length)
        memcpy(origin->place.name, heartbeat->event.bytes, heartbeat->event.length);
}

/* Remember what may_be_counted asks for of the update that is next in the queue. */
static void note_bringer(struct ingest *ingest, uint32_t scope, const uint8_t *id)
{
    const struct scope_entry *entries = ingest->segment->directory.entries;
    const struct scope_key *site = &entries[entries[scope].site].key;

    ingest->sources[ingest->pending_count] = ingest->admission.source;
    ingest->site_keys[ingest->pending_count] =
        table_key(hash_visitor(site, id), ingest->segment->table.pairs);
}

/* Queue a scope's visitors. */
static void queue_visitors(struct ingest *ingest, uint32_t scope, unsigned kind,
                           const struct wire_heartbeat *heartbeat)
{
    const struct table *table = &ingest->segment->table;
    const struct scope_key *key = &ingest->segment->directory.entries[scope].key;

    struct update next = {
        .scope = scope,
        .about =
            {
                .kind = (uint8_t)kind,
                .is_leave = heartbeat->kind == WIRE_LEAVE,
                .is_told = kind == SCOPE_SITE && heartbeat->kind >= WIRE_PAGEVIEW,
                .origin = (uint8_t)(ingest->origin - ingest->origins),
            },
    };

    for (uint32_t i = 0; i < heartbeat->visitors; i++) {
        const uint8_t *id = heartbeat->visitor_ids + (size_t)i * WIRE_VISITOR_SIZE;
        struct update *update = &ingest->pending[ingest->pending_count];
        update->key = table_key(hash_visitor(key, id), table->pairs);
        update->scope = next.scope;
        update->about = next.about;
        if (__builtin_expect(ingest->limited, false))
            note_bringer(ingest, scope, id);
        if (++ingest->pending_count % FETCH_GROUP == 0)
            fetch_pending(ingest); /* while the next ones are hashed */
        if (ingest->pending_count == PENDING_MAX) {
            apply_pending(ingest);
            next.about.origin = 0; /* where it has been put */
        }
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
    uint32_t *scopes = ingest->origin->place.scopes;
    struct lookup_refusals refusals =
        lookup_scopes(&ingest->lookup, heartbeat, &ingest->now, scopes);
    if (refusals.directory_full && collector_may_make_room(ingest->collector, ingest->now)) {
        /* Idle scopes can be given up only between batches. The scopes are then found anew. */
        ingest_end(ingest);
        collector_make_room(ingest->collector);
        ingest_begin(ingest);
        scopes = ingest->origin->place.scopes;
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
        uint32_t scope =
            ingest->origin->place.scopes[kind]; /* which moves when updates are applied */
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
    lookup_scopes(&ingest->lookup, heartbeat, NULL, ingest->origin->place.scopes);
    ingest->counted[COUNTER_heartbeats_left] += heartbeat->visitors;
    for (unsigned kind = 0; kind < SCOPE_KINDS; kind++) {
        bool ends = heartbeat->room.length ? kind == SCOPE_ROOM : true;
        uint32_t scope = ingest->origin->place.scopes[kind];
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
    apply_pending(ingest);
    tally_publish(&ingest->tally);
    publish_counters(ingest);
    if (!traffic_is_published(ingest->traffic))
        traffic_publish(ingest->traffic);
    pthread_mutex_unlock(ingest->gate);
}

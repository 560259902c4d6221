#include "ingest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "receive/streams.h"
#include "refusals.h"
#include "updates.h"

/* A batch is closed once it has so many bytes, so that its heartbeats count within about a
 * millisecond. */
#define BATCH_BYTES (256u << 10)

struct ingest {
    struct collector *collector;
    struct admission_view admission;
    const struct sockaddr *sender; /* NULL: unknown */
    pthread_mutex_t *gate;
    struct segment_counters *published;
    uint64_t now;
    uint64_t counted[COUNTERS]; /* since the batch began */
    struct lookup lookup;
    struct updates updates;
    struct wire_v2_datagram datagram; /* being counted */
    struct place places[UPDATES_PLACES_MAX];
    struct wire_scratch scratches[UPDATES_PLACES_MAX]; /* of the places */
};

int ingest_open(struct collector *collector, unsigned worker, struct ingest **ret)
{
    struct ingest *ingest = calloc(1, sizeof(*ingest));

    if (!ingest)
        return -ENOMEM;
    ingest->collector = collector;
    admission_view_init(collector->admission, &ingest->admission);
    ingest->gate = &collector->gates[worker].mutex;
    ingest->published = &collector->file.segment.counters[worker];
    ingest->lookup.directory = &collector->directory;
    ingest->updates = (struct updates){
        .segment = &collector->file.segment,
        .admission = &ingest->admission,
        .traffic = &collector->traffics[worker],
        .counted = ingest->counted,
        .limited = admission_limits_visitors(&ingest->admission),
        .event_share =
            event_writer_is_open(&collector->file.segment) ? &collector->event_share : NULL,
        .window = history_window(collector->file.segment.max_window),
        .tally = {.directory = &collector->file.segment.directory,
                  .is_alone = collector->file.segment.table.lone_writer},
    };
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
    ingest->updates.now = ingest->now;
    admission_begin(&ingest->admission, ingest->now);
    lookup_begin(&ingest->lookup);
}

void ingest_from(struct ingest *ingest, const struct sockaddr *sender)
{
    ingest->sender = sender;
    admission_from(&ingest->admission, sender);
}

/* Count and record the scopes of a heartbeat that had no room. */
static __attribute__((noinline, cold)) void count_refused_scopes(struct ingest *ingest,
                                                                 struct lookup_refusals refusals,
                                                                 uint32_t site, uint32_t visitors)
{
    if (site == SCOPE_NONE) {
        refusal_of_site(ingest->updates.segment, ingest->now);
        ingest->counted[COUNTER_scopes_full] += visitors;
        return;
    }
    for (unsigned kind = SCOPE_ROOM; kind < SCOPE_KINDS; kind++) {
        if (((refusals.directory_full | refusals.site_full) >> kind & 1) == 0)
            continue;
        refusal_of_label(ingest->updates.segment, site, (enum scope_kind)kind, ingest->now);
        if (refusals.directory_full >> kind & 1)
            ingest->counted[COUNTER_label_scopes_full] += visitors;
        else
            ingest->counted[kind == SCOPE_ROOM ? COUNTER_site_rooms_full
                                               : COUNTER_site_sources_full] += visitors;
    }
}

/* Look up the scopes of a heartbeat, creating them. Returns false if the directory is full and
 * retiring idle scopes may help. */
static bool find_scopes(struct ingest *ingest, struct place *place, bool may_retry)
{
    const struct wire_heartbeat *heartbeat = &place->heartbeat;
    struct lookup_refusals refusals =
        lookup_scopes(&ingest->lookup, heartbeat, &place->ahead, &ingest->now, place->scopes);

    if (__builtin_expect((refusals.directory_full | refusals.site_full) != 0, false)) {
        if (refusals.directory_full && may_retry &&
            collector_may_make_room(ingest->collector, ingest->now))
            return false;
        count_refused_scopes(ingest, refusals, place->scopes[SCOPE_SITE], heartbeat->visitors);
    }
    if (place->scopes[SCOPE_SITE] == SCOPE_NONE)
        return true;
    if (heartbeat->kind == WIRE_PAGEVIEW)
        ingest->counted[COUNTER_pageviews] += heartbeat->visitors;
    if (heartbeat->kind == WIRE_EVENT)
        ingest->counted[COUNTER_custom_events] += heartbeat->visitors;
    return true;
}

/* Retire idle scopes, which is possible only between batches: what was found ahead may be gone. */
static __attribute__((noinline, cold)) void make_room(struct ingest *ingest)
{
    ingest_end(ingest);
    collector_make_room(ingest->collector);
    ingest_begin(ingest);
    for (unsigned i = 0; i < UPDATES_PLACES_MAX; i++)
        ingest->places[i].ahead.site = SCOPE_NONE;
}

/* Count neighbouring places, none of which is a leave. */
static void count_heartbeats(struct ingest *ingest, struct place *places, unsigned count)
{
    unsigned first = 0; /* that is not queued yet */

    for (unsigned i = 0; i < count; i++) {
        if (find_scopes(ingest, &places[i], true))
            continue;
        updates_queue(&ingest->updates, places + first, i - first);
        make_room(ingest);
        first = i;
        find_scopes(ingest, &places[i], false);
    }
    updates_queue(&ingest->updates, places + first, count - first);
}

/* R4: a leave with a room ends the presence in that room only; without one, in the site and in the
 * country and source that it names. It creates nothing. A room that the parser skipped is none. */
static void count_leave(struct ingest *ingest, struct place *place)
{
    lookup_scopes(&ingest->lookup, &place->heartbeat, &place->ahead, NULL, place->scopes);
    ingest->counted[COUNTER_heartbeats_left] += place->heartbeat.visitors;
    updates_queue_leave(&ingest->updates, place);
}

/* Count places in their order. */
static void count_in_order(struct ingest *ingest, struct place *places, unsigned count)
{
    for (unsigned i = 0; i < count;) {
        unsigned first = i;
        while (i < count && places[i].heartbeat.kind != WIRE_LEAVE)
            i++;
        if (i > first)
            count_heartbeats(ingest, places + first, i - first);
        if (i < count)
            count_leave(ingest, &places[i++]);
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

/* Count a datagram of one place: version 1 or text. */
static enum wire_reason count_one_place(struct ingest *ingest, const uint8_t *datagram,
                                        uint32_t length)
{
    struct place *place = &ingest->places[0];
    enum wire_reason reason = admission_decode(&ingest->admission, datagram, length,
                                               &ingest->scratches[0], &place->heartbeat);

    if (reason != WIRE_ACCEPTED)
        return reason;
    ingest->counted[COUNTER_label_invalid] += place->heartbeat.labels_invalid;
    ingest->counted[COUNTER_room_too_long] += place->heartbeat.rooms_too_long;
    place->ahead.site = SCOPE_NONE;
    if (place->heartbeat.kind == WIRE_LEAVE)
        count_leave(ingest, place);
    else
        count_heartbeats(ingest, place, 1);
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
    while (wire_v2_next(datagram, &ingest->scratches[0], &record))
        refused += admission_counts_site(&ingest->admission, record.site) ? 0 : record.visitors;
    datagram->next = first;
    return refused;
}

/* Count the next records of a datagram, as many as are looked up at once: their memory is fetched
 * meanwhile. Returns false if there was none. */
static bool count_records(struct ingest *ingest, bool some_refused)
{
    struct place *places = ingest->places;
    unsigned count = 0;

    while (count < UPDATES_PLACES_MAX &&
           wire_v2_next(&ingest->datagram, &ingest->scratches[count], &places[count].heartbeat)) {
        struct place *place = &places[count];
        if (some_refused && !admission_counts_site(&ingest->admission, place->heartbeat.site))
            continue;
        lookup_hash(&ingest->lookup, &place->heartbeat, &place->ahead);
        count++;
    }
    for (unsigned i = 0; i < count; i++)
        lookup_fetch(&ingest->lookup, &places[i].heartbeat, &places[i].ahead);
    count_in_order(ingest, places, count);
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
    updates_finish(&ingest->updates);
    publish_counters(ingest);
    if (!traffic_is_published(ingest->updates.traffic))
        traffic_publish(ingest->updates.traffic);
    pthread_mutex_unlock(ingest->gate);
}

/* ---- what a worker receives -------------------------------------------------------------- */

/* Count a buffer: one datagram, or with receive offload several of the same size. */
static void count_buffer(struct ingest *ingest, const struct receive_buffer *buffer)
{
    uint32_t offset = 0;

    ingest_from(ingest, buffer->sender);
    do {
        uint32_t length = receive_buffer_cut(buffer, offset);
        ingest_datagram(ingest, buffer->data + offset, length);
        offset += length;
    } while (offset < buffer->length);
}

static void count_statistics(struct ingest *ingest, const struct receive_statistics *counted)
{
    ingest_begin(ingest);
    ingest_count(ingest, COUNTER_receive_rearmed, counted->rearmed);
    ingest_count(ingest, COUNTER_receive_buffers_exhausted, counted->buffers_exhausted);
    for (uint64_t i = 0; i < counted->truncated; i++)
        ingest_truncated(ingest);
    ingest_end(ingest);
}

void ingest_arrivals(void *context, const struct receive_buffer *buffers, unsigned count,
                     const struct receive_statistics *counted)
{
    struct ingest *ingest = context;

    for (unsigned i = 0; i < count;) {
        uint32_t bytes = 0;
        ingest_begin(ingest);
        do {
            count_buffer(ingest, &buffers[i]);
            bytes += buffers[i].length;
        } while (++i < count && bytes < BATCH_BYTES);
        ingest_end(ingest);
    }
    if (counted->rearmed || counted->buffers_exhausted || counted->truncated)
        count_statistics(ingest, counted);
}

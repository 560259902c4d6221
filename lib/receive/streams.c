#include "streams.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "stream_record.h"

#define NONE  UINT32_MAX
#define LOCKS 64 /* a power of two; slot i is behind lock i % LOCKS */

struct lock {
    _Alignas(64) pthread_mutex_t mutex;
};

/* A slot's neighbours in the order in which streams were last heard. */
struct place {
    uint32_t before, after;
    uint64_t heard; /* tick at which it was last put at the end */
};

/* Workers look a stream up without a lock, then lock its slot and check that it is the right one.
 * Whoever assigns a slot holds `mutex` and the slot's lock, locked in this order. */
struct stream_table {
    const struct segment *segment;
    pthread_mutex_t mutex; /* of all below, and of which stream a slot is */
    uint32_t index_mask;
    uint64_t *index; /* open addressing: high half of a stream's hash, and its slot + 1; 0: free */
    struct place *places; /* by slot; the one behind the last begins and ends the order */
    struct lock locks[LOCKS];
};

static uint32_t capacity_of(const struct stream_table *table)
{
    return table->segment->streams.capacity;
}

static struct stream *stream_at(const struct stream_table *table, uint32_t slot)
{
    return &table->segment->streams.slots[slot];
}

static pthread_mutex_t *lock_of(struct stream_table *table, uint32_t slot)
{
    return &table->locks[slot % LOCKS].mutex;
}

/* ---- finding a stream ------------------------------------------------------------------------ */

static uint64_t hash_of(const struct stream_table *table, uint64_t id, uint16_t target,
                        uint8_t key_id)
{
    const uint64_t *secret = table->segment->header->secret;

    return hash_fold(id ^ secret[0], ((uint64_t)target << 8 | key_id) ^ secret[1]);
}

/* Return the hash of the stream that a slot has. */
static uint64_t hash_at(const struct stream_table *table, uint32_t slot)
{
    const struct stream *stream = stream_at(table, slot);

    return hash_of(table, stream->id, stream->target, stream->key_id);
}

static bool is_stream(const struct stream *stream, const struct stream_arrival *arrival)
{
    return stream->id == arrival->datagram->stream && stream->target == arrival->datagram->target &&
           stream->key_id == arrival->key_id;
}

/* Return the slot of a stream whose hash has the same high half, or NONE. With `exact`, which needs
 * the table's mutex, it is the stream itself. Without, it may be another's, or be missed. */
static uint32_t find(const struct stream_table *table, const struct stream_arrival *arrival,
                     bool exact)
{
    for (uint32_t at = (uint32_t)arrival->hash;; at++) {
        /* Half of the index is free. Stored by index_add and index_remove. */
        uint64_t word = atomic_load_relaxed(&table->index[at & table->index_mask]);
        uint32_t slot = (uint32_t)word - 1;
        if (word == 0)
            return NONE;
        if (word >> 32 == arrival->hash >> 32 &&
            (!exact || is_stream(stream_at(table, slot), arrival)))
            return slot;
    }
}

static void index_add(struct stream_table *table, uint64_t hash, uint32_t slot)
{
    uint32_t at = (uint32_t)hash & table->index_mask;

    while (table->index[at])
        at = (at + 1) & table->index_mask;
    atomic_store_relaxed(&table->index[at], hash >> 32 << 32 | (slot + 1)); /* loaded by find */
}

/* Remove a stream's slot from the index, and move forward those behind it that the gap would hide.
 */
static void index_remove(struct stream_table *table, uint32_t slot)
{
    const uint32_t mask = table->index_mask;
    uint32_t gap = (uint32_t)hash_at(table, slot) & mask;

    while ((uint32_t)table->index[gap] != slot + 1)
        gap = (gap + 1) & mask;
    for (uint32_t at = (gap + 1) & mask; table->index[at]; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)hash_at(table, (uint32_t)table->index[at] - 1) & mask;
        if (((at - home) & mask) < ((at - gap) & mask))
            continue;
        atomic_store_relaxed(&table->index[gap], table->index[at]); /* loaded by find */
        gap = at;
    }
    atomic_store_relaxed(&table->index[gap], 0); /* loaded by find */
}

/* ---- the order in which streams were heard --------------------------------------------------- */

static void put_last(struct stream_table *table, uint32_t slot, uint64_t heard)
{
    struct place *places = table->places, *place = &places[slot];
    uint32_t end = capacity_of(table);

    place->heard = heard;
    place->before = places[end].before;
    place->after = end;
    places[place->before].after = slot;
    places[end].before = slot;
}

static void move_last(struct stream_table *table, uint32_t slot, uint64_t heard)
{
    const struct place *place = &table->places[slot];

    table->places[place->before].after = place->after;
    table->places[place->after].before = place->before;
    put_last(table, slot, heard);
}

static bool is_silent(uint64_t heard, uint64_t now)
{
    return heard < now && now - heard > STREAM_SILENCE;
}

/* Lock a slot that is free, or else the one whose stream has been silent longest, and return it;
 * NONE if no stream has been silent for long enough. */
static uint32_t lock_replaceable(struct stream_table *table, uint64_t now)
{
    for (;;) {
        uint32_t slot = table->places[capacity_of(table)].after;
        const struct stream *stream = stream_at(table, slot);
        if (stream->id != 0 && !is_silent(table->places[slot].heard, now))
            return NONE;
        pthread_mutex_lock(lock_of(table, slot));
        uint64_t heard = stream->last_tick;
        if (stream->id == 0 || is_silent(heard, now))
            return slot;
        /* A worker has just heard it, and has yet to put it last: see streams_receive. */
        pthread_mutex_unlock(lock_of(table, slot));
        move_last(table, slot, heard);
    }
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* Receive a datagram whose stream was not found without the mutex: it is new, or another worker was
 * changing the index. */
static __attribute__((noinline, cold)) bool receive_rare(struct stream_table *table,
                                                         const struct stream_arrival *arrival)
{
    bool is_new = true;

    if (capacity_of(table) == 0) {
        arrival->counted[COUNTER_streams_full]++;
        return true;
    }
    pthread_mutex_lock(&table->mutex);
    uint32_t slot = find(table, arrival, true);
    if (slot != NONE) {
        pthread_mutex_lock(lock_of(table, slot));
        is_new = stream_receive(stream_at(table, slot), arrival);
    } else {
        slot = lock_replaceable(table, arrival->now);
        if (slot == NONE) {
            arrival->counted[COUNTER_streams_full]++;
            goto out;
        }
        struct stream *stream = stream_at(table, slot);
        if (stream->id != 0)
            index_remove(table, slot);
        stream_begin(stream, arrival);
        index_add(table, arrival->hash, slot);
    }
    move_last(table, slot, stream_at(table, slot)->last_tick);
    pthread_mutex_unlock(lock_of(table, slot));
out:
    pthread_mutex_unlock(&table->mutex);
    return is_new;
}

bool streams_receive(struct stream_table *table, const struct wire_v2_datagram *datagram,
                     uint8_t key_id, const struct sockaddr *sender, uint64_t now,
                     uint64_t counted[COUNTERS])
{
    if (datagram->stream == 0)
        return true;

    struct stream_arrival arrival = {
        .datagram = datagram,
        .key_id = key_id,
        .sender = sender,
        .now = now,
        .hash = hash_of(table, datagram->stream, datagram->target, key_id),
        .counted = counted,
    };
    uint32_t slot = find(table, &arrival, false);
    if (slot == NONE)
        return receive_rare(table, &arrival);
    struct stream *stream = stream_at(table, slot);
    pthread_mutex_lock(lock_of(table, slot));
    if (!is_stream(stream, &arrival)) {
        pthread_mutex_unlock(lock_of(table, slot));
        return receive_rare(table, &arrival);
    }
    uint64_t heard = stream->last_tick;
    bool is_new = stream_receive(stream, &arrival);
    bool is_later = stream->last_tick != heard;
    pthread_mutex_unlock(lock_of(table, slot));
    if (is_later) { /* at most once a second */
        pthread_mutex_lock(&table->mutex);
        move_last(table, slot, now);
        pthread_mutex_unlock(&table->mutex);
    }
    return is_new;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Order slots: free ones first, then by their last tick. */
static int compare_slots(const void *left, const void *right, void *context)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    const struct stream *first = stream_at(context, a), *second = stream_at(context, b);
    int order = (first->id != 0) - (second->id != 0);

    if (order == 0)
        order = (first->last_tick > second->last_tick) - (first->last_tick < second->last_tick);
    return order ? order : (a > b) - (a < b);
}

/* Adopt the streams of the segment. */
static int adopt(struct stream_table *table)
{
    uint32_t capacity = capacity_of(table);
    uint32_t *order = calloc((size_t)capacity + 1, sizeof(*order));

    if (!order)
        return -ENOMEM;
    table->places[capacity] = (struct place){.before = capacity, .after = capacity};
    for (uint32_t i = 0; i < capacity; i++) {
        stream_repair(stream_at(table, i));
        order[i] = i;
    }
    qsort_r(order, capacity, sizeof(*order), compare_slots, table);
    for (uint32_t i = 0; i < capacity; i++) {
        const struct stream *stream = stream_at(table, order[i]);
        put_last(table, order[i], stream->last_tick);
        if (stream->id != 0)
            index_add(table, hash_at(table, order[i]), order[i]);
    }
    free(order);
    return 0;
}

int streams_open(const struct segment *segment, struct stream_table **ret)
{
    struct stream_table *table = aligned_alloc(_Alignof(struct stream_table), sizeof(*table));
    uint32_t capacity = segment->streams.capacity, size = 16;

    if (!table)
        return -ENOMEM;
    while (size < capacity * 2)
        size *= 2;
    *table = (struct stream_table){
        .segment = segment,
        .index_mask = size - 1,
        .index = calloc(size, sizeof(*table->index)),
        .places = calloc((size_t)capacity + 1, sizeof(*table->places)),
    };
    pthread_mutex_init(&table->mutex, NULL);
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_init(&table->locks[i].mutex, NULL);
    int r = table->index && table->places ? adopt(table) : -ENOMEM;
    if (r < 0) {
        streams_close(table);
        return r;
    }
    *ret = table;
    return 0;
}

void streams_close(struct stream_table *table)
{
    if (!table)
        return;
    pthread_mutex_destroy(&table->mutex);
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&table->locks[i].mutex);
    free(table->index);
    free(table->places);
    free(table);
}

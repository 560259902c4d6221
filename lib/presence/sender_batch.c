#include "sender_batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

int batches_init(struct batches *batches, struct outbox *outbox, uint32_t batch,
                 uint32_t datagram_bytes)
{
    uint32_t fitting = datagram_bytes / WIRE_VISITOR_SIZE;
    uint32_t capacity = batch < fitting ? batch : fitting;
    uint8_t *visitor_ids = calloc(BATCHES, (size_t)capacity * WIRE_VISITOR_SIZE);

    if (!visitor_ids)
        return -ENOMEM;
    *batches = (struct batches){
        .outbox = outbox,
        .batch = batch,
        .datagram_bytes = datagram_bytes,
        .visitor_ids = visitor_ids,
    };
    for (size_t i = 0; i < BATCHES; i++)
        batches->slots[i].visitor_ids = visitor_ids + i * capacity * WIRE_VISITOR_SIZE;
    return 0;
}

void batches_free(struct batches *batches)
{
    explicit_bzero(&batches->key, sizeof(batches->key));
    free(batches->visitor_ids);
}

void batches_sign(struct batches *batches, uint8_t key_id, const uint8_t *key)
{
    batches->key_id = key_id;
    batches->key = siphash_key(key);
}

static uint32_t encode_signed(const struct batches *batches, struct wire_heartbeat *heartbeat,
                              uint8_t *datagram)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    heartbeat->authenticated = 1;
    heartbeat->key_id = batches->key_id;
    heartbeat->sent_at = (uint32_t)now.tv_sec;
    uint32_t bytes = wire_v1_encode(heartbeat, datagram, batches->datagram_bytes);
    if (bytes > 0)
        siphash_tag(batches->key, datagram, bytes - WIRE_TAG_SIZE,
                    datagram + bytes - WIRE_TAG_SIZE);
    return bytes;
}

static void batches_close(struct batches *batches, struct batch *batch)
{
    struct wire_heartbeat heartbeat = sender_place_heartbeat(&batch->place);

    heartbeat.visitors = batch->visitors;
    heartbeat.visitor_ids = batch->visitor_ids;
    uint8_t *datagram = outbox_room(batches->outbox);
    uint32_t bytes = batches->key_id
                         ? encode_signed(batches, &heartbeat, datagram)
                         : wire_v1_encode(&heartbeat, datagram, batches->datagram_bytes);
    batch->visitors = 0;
    batches->waiting--;
    batches->waiting_leaves -= sender_place_is_leave(&batch->place);
    outbox_add(batches->outbox, bytes, heartbeat.visitors);
}

void batches_close_older(struct batches *batches, int64_t before)
{
    for (size_t i = 0; i < BATCHES && batches->waiting > 0; i++) {
        struct batch *batch = &batches->slots[i];
        if (batch->visitors > 0 && batch->queued_at <= before)
            batches_close(batches, batch);
    }
}

int64_t batches_oldest(const struct batches *batches)
{
    int64_t oldest = INT64_MAX;

    for (size_t i = 0; i < BATCHES; i++) {
        const struct batch *batch = &batches->slots[i];
        if (batch->visitors > 0 && batch->queued_at < oldest)
            oldest = batch->queued_at;
    }
    return oldest;
}

/* Close a site's batches that must be sent before this place: before a leave all others, before any
 * other the leaves. */
static void batches_close_opposite(struct batches *batches, const struct sender_place *place)
{
    bool is_leave = sender_place_is_leave(place);
    uint32_t opposite =
        is_leave ? batches->waiting - batches->waiting_leaves : batches->waiting_leaves;

    for (size_t i = 0; i < BATCHES && opposite > 0; i++) {
        struct batch *batch = &batches->slots[i];
        if (batch->visitors == 0 || sender_place_is_leave(&batch->place) == is_leave)
            continue;
        opposite--;
        if (strcmp(sender_place_site(&batch->place), sender_place_site(place)) == 0)
            batches_close(batches, batch);
    }
}

static struct batch *batches_lookup(struct batches *batches, const struct sender_place *place,
                                    uint64_t hash)
{
    for (size_t i = 0; i < BATCHES; i++) {
        struct batch *batch = &batches->slots[i];
        if (batches->hashes[i] == hash && batch->place.length == place->length &&
            memcmp(batch->place.bytes, place->bytes, place->length) == 0)
            return batch;
    }
    return NULL;
}

/* Return how many visitors a datagram of this place holds. */
static uint32_t batches_capacity(const struct batches *batches, const struct sender_place *place)
{
    struct wire_heartbeat heartbeat = sender_place_heartbeat(place);
    uint32_t before = WIRE_V1_HEADER_SIZE + heartbeat.site.length + heartbeat.room.length +
                      heartbeat.source.length + heartbeat.event.length +
                      (batches->key_id ? WIRE_TAG_SIZE : 0);

    if (before >= batches->datagram_bytes)
        return 0;
    uint32_t fitting = (batches->datagram_bytes - before) / WIRE_VISITOR_SIZE;
    return fitting < batches->batch ? fitting : batches->batch;
}

/* Reuse the least recently used slot for a new place. */
static struct batch *batches_replace(struct batches *batches, const struct sender_place *place,
                                     uint64_t hash, uint32_t capacity)
{
    struct batch *oldest = &batches->slots[0];

    for (size_t i = 1; i < BATCHES; i++) {
        if (batches->slots[i].used_at < oldest->used_at)
            oldest = &batches->slots[i];
    }
    if (oldest->visitors > 0)
        batches_close(batches, oldest);
    oldest->place = *place;
    oldest->capacity = capacity;
    batches->hashes[oldest - batches->slots] = hash;
    return oldest;
}

int batches_find(struct batches *batches, const struct presence_place *given, struct batch **ret)
{
    struct sender_place place;

    if (batches->last && sender_place_matches(&batches->last->place, given)) {
        *ret = batches->last;
        return 0;
    }
    int error = sender_place_parse(given, &place);
    if (error < 0)
        return error;
    uint64_t hash = XXH3_64bits(place.bytes, place.length);
    struct batch *batch = batches_lookup(batches, &place, hash);
    if (!batch) {
        uint32_t capacity = batches_capacity(batches, &place);
        if (capacity == 0)
            return -ENAMETOOLONG;
        batch = batches_replace(batches, &place, hash, capacity);
    }
    batch->used_at = ++batches->uses;
    batches->last = batch;
    *ret = batch;
    return 0;
}

void batches_add(struct batches *batches, struct batch *batch, const uint8_t id[WIRE_VISITOR_SIZE],
                 int64_t now)
{
    if (batch->visitors == 0) {
        batches_close_opposite(batches, &batch->place);
        batch->queued_at = now;
        batches->waiting++;
        batches->waiting_leaves += sender_place_is_leave(&batch->place);
    }
    memcpy(batch->visitor_ids + (size_t)batch->visitors * WIRE_VISITOR_SIZE, id, WIRE_VISITOR_SIZE);
    batch->visitors++;
    if (batch->visitors == batch->capacity)
        batches_close(batches, batch);
}

/* sender.c - the sending half of presence.h. */
#include "presence/presence.h"

#include "common/monotonic.h"
#include "core/text.h"
#include "sender_batch.h"
#include "sender_outbox.h"

#include <errno.h>
#include <stdlib.h>

#define DATAGRAM_BYTES_DEFAULT 1400
#define DATAGRAM_BYTES_MIN     (WIRE_V1_HEADER_SIZE + 1 + WIRE_VISITOR_SIZE)
#define MAX_AGE_MS_DEFAULT     100
#define UUID_TEXT_LENGTH       36

struct presence_sender {
    bool text;
    int64_t max_age_ns;
    int64_t due; /* when the oldest queued visitor is due, ns; INT64_MAX: nothing is queued */
    struct outbox outbox;
    struct batches batches;
};

int presence_sender_open(const char *address, const struct presence_sender_options *options,
                         struct presence_sender **ret)
{
    struct presence_sender_options chosen =
        options ? *options : (struct presence_sender_options){0};

    if (chosen.batch == 0)
        chosen.batch = UINT32_MAX;
    if (chosen.datagram_bytes == 0)
        chosen.datagram_bytes = DATAGRAM_BYTES_DEFAULT;
    if (chosen.max_age_ms == 0)
        chosen.max_age_ms = MAX_AGE_MS_DEFAULT;
    uint32_t least = DATAGRAM_BYTES_MIN + (chosen.key_id ? WIRE_TAG_SIZE : 0);
    if (chosen.datagram_bytes < least || chosen.datagram_bytes > OUTBOX_DATAGRAM_MAX)
        return -EINVAL;
    if (chosen.text && chosen.key_id) /* text carries no tag */
        return -EINVAL;

    struct presence_sender *sender = malloc(sizeof(*sender));
    if (!sender)
        return -ENOMEM;
    sender->text = chosen.text;
    sender->max_age_ns = chosen.max_age_ms * NS_PER_MS;
    sender->due = INT64_MAX;
    int error = outbox_open(&sender->outbox, address ? address : PRESENCE_DEFAULT_ADDRESS,
                            chosen.datagram_bytes, !chosen.no_offload);
    if (error < 0)
        goto free_sender;
    error = batches_init(&sender->batches, &sender->outbox, chosen.batch, chosen.datagram_bytes);
    if (error < 0)
        goto close_outbox;
    if (chosen.key_id)
        batches_sign(&sender->batches, chosen.key_id, chosen.key);
    *ret = sender;
    return 0;

close_outbox:
    outbox_close(&sender->outbox);
free_sender:
    free(sender);
    return error;
}

void presence_sender_close(struct presence_sender *sender)
{
    if (!sender)
        return;
    presence_sender_flush(sender);
    batches_free(&sender->batches);
    outbox_close(&sender->outbox);
    free(sender);
}

/* After queueing: send what is older than max_age_ms, and compute when the rest is due. */
static void sender_queued(struct presence_sender *sender, int64_t now)
{
    if (now >= sender->due)
        presence_sender_flush_aged(sender);
    else if (sender->due == INT64_MAX)
        sender->due = now + sender->max_age_ns;
}

static int sender_queue_text(struct presence_sender *sender, const struct presence_place *place,
                             const uint8_t *visitor, uint32_t length)
{
    struct batch *batch;
    int error = batches_find(&sender->batches, place, &batch);

    if (error < 0)
        return error;
    struct wire_heartbeat heartbeat = sender_place_heartbeat(&batch->place);
    if (!text_is_encodable(&heartbeat))
        return -EINVAL;
    uint32_t bytes = text_encode(&heartbeat, visitor, length, outbox_room(&sender->outbox),
                                 sender->outbox.datagram_bytes);
    if (bytes == 0)
        return -ENAMETOOLONG;
    int64_t now = monotonic_coarse_ns();
    outbox_add(&sender->outbox, bytes, 1);
    sender_queued(sender, now);
    return 0;
}

static int sender_queue_id(struct presence_sender *sender, const struct presence_place *place,
                           const uint8_t id[WIRE_VISITOR_SIZE])
{
    struct batch *batch;
    int error = batches_find(&sender->batches, place, &batch);

    if (error < 0)
        return error;
    int64_t now = monotonic_coarse_ns();
    batches_add(&sender->batches, batch, id, now);
    sender_queued(sender, now);
    return 0;
}

static void uuid_write(const uint8_t id[WIRE_VISITOR_SIZE], uint8_t ret[UUID_TEXT_LENGTH])
{
    uint8_t *end = ret;

    for (size_t i = 0; i < WIRE_VISITOR_SIZE; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *end++ = '-';
        *end++ = (uint8_t) "0123456789abcdef"[id[i] >> 4];
        *end++ = (uint8_t) "0123456789abcdef"[id[i] & 15];
    }
}

int presence_send_id(struct presence_sender *sender, const struct presence_place *place,
                     const uint8_t id[16])
{
    uint8_t uuid[UUID_TEXT_LENGTH];

    if (!place || !id)
        return -EINVAL;
    if (!sender->text)
        return sender_queue_id(sender, place, id);
    uuid_write(id, uuid);
    if (!text_is_visitor((struct wire_name){uuid, sizeof(uuid)}))
        return -EINVAL;
    return sender_queue_text(sender, place, uuid, sizeof(uuid));
}

int presence_send(struct presence_sender *sender, const struct presence_place *place,
                  const char *visitor)
{
    uint8_t id[WIRE_VISITOR_SIZE];

    if (!place || !visitor)
        return -EINVAL;
    size_t length = strlen(visitor);
    if (length > UINT32_MAX)
        return -ENAMETOOLONG;
    struct wire_name trimmed = text_trim((const uint8_t *)visitor, (uint32_t)length);
    if (trimmed.length > WIRE_ID_MAX)
        return -ENAMETOOLONG;
    if (!text_is_visitor(trimmed) || text_equals(trimmed, "-"))
        return -EINVAL;
    if (sender->text)
        return sender_queue_text(sender, place, trimmed.bytes, trimmed.length);
    text_visitor_id(trimmed.bytes, trimmed.length, id);
    return sender_queue_id(sender, place, id);
}

void presence_sender_flush_aged(struct presence_sender *sender)
{
    int64_t now = monotonic_coarse_ns();

    batches_close_older(&sender->batches, now - sender->max_age_ns);
    if (sender->outbox.length > 0)
        outbox_send(&sender->outbox);
    int64_t oldest_at = batches_oldest(&sender->batches);
    sender->due = oldest_at == INT64_MAX ? INT64_MAX : oldest_at + sender->max_age_ns;
}

void presence_sender_flush(struct presence_sender *sender)
{
    batches_close_older(&sender->batches, INT64_MAX);
    outbox_send(&sender->outbox);
    sender->due = INT64_MAX;
}

void presence_sender_totals(const struct presence_sender *sender,
                            struct presence_sender_totals *ret)
{
    *ret = sender->outbox.totals;
}

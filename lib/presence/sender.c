/* sender.c - the sending half of presence.h. */
#include "sender.h"

#include "common/monotonic.h"
#include "core/text.h"
#include "sender_datagram.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define DATAGRAM_BYTES_DEFAULT 1400
#define DATAGRAM_BYTES_MIN     (WIRE_V2_HEADER_SIZE + 2 + WIRE_V2_RECORD_SIZE + WIRE_VISITOR_SIZE)
#define MAX_AGE_MS_DEFAULT     100
#define ALIVE_NS               (900 * NS_PER_MS) /* less than a second, which a timer may be early */
#define UUID_TEXT_LENGTH       36

struct presence_sender {
    bool text;
    int64_t max_age_ns; /* INT64_MAX: nothing grows old, and no clock is read to find out */
    int64_t due;        /* when the oldest queued visitor is due, ns; INT64_MAX: none is */
    struct outbox outbox;
    struct datagram datagram;
};

/* Replace zeros by defaults. */
static int options_complete(struct presence_sender_options *options)
{
    uint32_t least = DATAGRAM_BYTES_MIN + (options->key_id ? WIRE_TAG_SIZE : 0);

    if (options->batch == 0)
        options->batch = UINT32_MAX;
    if (options->datagram_bytes == 0)
        options->datagram_bytes = DATAGRAM_BYTES_DEFAULT;
    if (options->max_age_ms == 0)
        options->max_age_ms = MAX_AGE_MS_DEFAULT;
    if (options->datagram_bytes < least || options->datagram_bytes > OUTBOX_DATAGRAM_MAX)
        return -EINVAL;
    if ((options->text && options->key_id) || (options->one_shot && options->stream))
        return -EINVAL; /* text carries no tag */
    while (!options->one_shot && !options->stream) {
        if (getrandom(&options->stream, sizeof(options->stream), 0) < 0 && errno != EINTR)
            return -errno;
    }
    return 0;
}

int presence_sender_open(const char *address, const struct presence_sender_options *options,
                         struct presence_sender **ret)
{
    struct presence_sender_options chosen =
        options ? *options : (struct presence_sender_options){0};
    int error = options_complete(&chosen);

    if (error < 0)
        return error;
    struct presence_sender *sender = malloc(sizeof(*sender));
    if (!sender)
        return -ENOMEM;
    sender->text = chosen.text;
    sender->max_age_ns =
        chosen.max_age_ms == UINT32_MAX ? INT64_MAX : chosen.max_age_ms * NS_PER_MS;
    sender->due = INT64_MAX;
    error = outbox_open(&sender->outbox, address ? address : PRESENCE_DEFAULT_ADDRESS, &chosen);
    if (error < 0)
        goto free_sender;
    error = datagram_init(&sender->datagram, &sender->outbox, &chosen);
    if (error < 0)
        goto close_outbox;
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
    datagram_free(&sender->datagram);
    outbox_close(&sender->outbox);
    free(sender);
}

static int64_t sender_clock(const struct presence_sender *sender)
{
    return sender->max_age_ns == INT64_MAX ? 0 : monotonic_coarse_ns();
}

/* After queueing: send what is older than max_age_ms, and compute when the rest is due. */
static void sender_queued(struct presence_sender *sender, int64_t now)
{
    if (now >= sender->due)
        presence_sender_flush_aged(sender);
    else if (sender->due == INT64_MAX && sender->max_age_ns != INT64_MAX)
        sender->due = now + sender->max_age_ns;
}

static int sender_queue_text(struct presence_sender *sender, const struct presence_place *place,
                             const uint8_t *visitor, uint32_t length)
{
    struct sender_scratch scratch;
    struct wire_heartbeat heartbeat;
    int error = sender_place_parse(place, &scratch, &heartbeat);

    if (error < 0)
        return error;
    if (!text_is_encodable(&heartbeat))
        return -EINVAL;
    uint32_t bytes = text_encode(&heartbeat, visitor, length, outbox_room(&sender->outbox),
                                 sender->outbox.datagram_bytes);
    if (bytes == 0)
        return -ENAMETOOLONG;
    int64_t now = sender_clock(sender);
    outbox_add(&sender->outbox, bytes, 1);
    sender_queued(sender, now);
    return 0;
}

static int sender_queue_id(struct presence_sender *sender, const struct presence_place *place,
                           const uint8_t id[WIRE_VISITOR_SIZE])
{
    int64_t now = sender_clock(sender);
    int error = datagram_add(&sender->datagram, place, id, now);

    if (error < 0)
        return error;
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

/* Queue the visitor in text. Out of line, so that native heartbeats don't pay for it. */
static __attribute__((noinline)) int sender_queue_uuid(struct presence_sender *sender,
                                                       const struct presence_place *place,
                                                       const uint8_t id[WIRE_VISITOR_SIZE])
{
    uint8_t uuid[UUID_TEXT_LENGTH];

    uuid_write(id, uuid);
    if (!text_is_visitor((struct wire_name){uuid, sizeof(uuid)}))
        return -EINVAL;
    return sender_queue_text(sender, place, uuid, sizeof(uuid));
}

int presence_send_id(struct presence_sender *sender, const struct presence_place *place,
                     const uint8_t id[16])
{
    if (!place || !id)
        return -EINVAL;
    return sender->text ? sender_queue_uuid(sender, place, id) : sender_queue_id(sender, place, id);
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

/* True if the open datagram is to be closed: its first visitor has waited long enough, or, empty or
 * not, it is time to show that the sender is alive. */
static bool sender_is_due(const struct presence_sender *sender, int64_t now)
{
    const struct datagram *datagram = &sender->datagram;

    if (datagram->visitors > 0 && now - datagram->queued_at >= sender->max_age_ns)
        return true;
    return datagram->header.stream && !sender->text && now - datagram->closed_at >= ALIVE_NS;
}

void presence_sender_flush_aged(struct presence_sender *sender)
{
    struct datagram *datagram = &sender->datagram;
    int64_t now = monotonic_coarse_ns();

    if (sender_is_due(sender, now))
        datagram_close(datagram);
    if (sender->outbox.length > 0)
        outbox_send(&sender->outbox);
    sender->due = INT64_MAX;
    if (datagram->visitors > 0 && sender->max_age_ns != INT64_MAX)
        sender->due = datagram->queued_at + sender->max_age_ns;
}

void presence_sender_flush(struct presence_sender *sender)
{
    if (sender->datagram.visitors > 0)
        datagram_close(&sender->datagram);
    outbox_send(&sender->outbox);
    sender->due = INT64_MAX;
}

void presence_sender_totals(const struct presence_sender *sender,
                            struct presence_sender_totals *ret)
{
    *ret = sender->outbox.totals;
}

bool sender_swap_sockets(struct presence_sender *sender, struct presence_sender *former)
{
    struct sender_socket *a = &sender->outbox.socket, *b = &former->outbox.socket;
    int descriptor = a->descriptor;

    if (a->address_length != b->address_length ||
        memcmp(&a->address, &b->address, a->address_length) != 0)
        return false;
    a->descriptor = b->descriptor;
    b->descriptor = descriptor;
    return true;
}

#include "sender_datagram.h"

#include "common/monotonic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define PADDING_MAX  (1 + WIRE_V2_NAME_MAX)
#define VISITOR_SIZE (WIRE_V2_RECORD_SIZE + WIRE_VISITOR_SIZE) /* at a place of its own */

int datagram_init(struct datagram *datagram, struct outbox *outbox,
                  const struct presence_sender_options *options)
{
    size_t names_most = options->datagram_bytes + SENDER_PLACE_NAMES * PADDING_MAX;
    uint8_t *bytes = malloc(names_most + options->datagram_bytes);

    if (!bytes)
        return -ENOMEM;
    *datagram = (struct datagram){
        .outbox = outbox,
        .visitors_max = options->batch,
        .bytes_max = options->datagram_bytes,
        .header = {.stream = options->stream, .target = options->target, .key_id = options->key_id},
        .process = getpid(),
        .closed_at = monotonic_coarse_ns(),
        .name_bytes = bytes,
        .record_bytes = bytes + names_most,
    };
    if (options->key_id)
        datagram->key = siphash_key(options->key);
    return 0;
}

void datagram_free(struct datagram *datagram)
{
    explicit_bzero(&datagram->key, sizeof(datagram->key));
    free(datagram->name_bytes);
}

/* ---- closing ----------------------------------------------------------------------------- */

static uint32_t datagram_size(const struct datagram *datagram)
{
    return WIRE_V2_HEADER_SIZE + datagram->names_size + datagram->records_size +
           (datagram->header.key_id ? WIRE_TAG_SIZE : 0);
}

static uint32_t wall_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (uint32_t)now.tv_sec;
}

/* Draw a stream for a child that has inherited the sender: with the numbers of its parent, the
 * collector would take the datagrams of one for duplicates of the other's. */
static void leave_parent(struct datagram *datagram)
{
    struct wire_v2_header *header = &datagram->header;

    datagram->process = getpid();
    header->sequence = 0;
    if (header->stream &&
        getrandom(&header->stream, sizeof(header->stream), 0) != sizeof(header->stream))
        header->stream = 0;
}

void datagram_close(struct datagram *datagram, int64_t now)
{
    uint8_t *bytes = outbox_room(datagram->outbox), *end = bytes + WIRE_V2_HEADER_SIZE;
    struct wire_v2_header *header = &datagram->header;

    if (datagram->process != getpid())
        leave_parent(datagram);
    header->length = datagram_size(datagram);
    header->names = (uint8_t)datagram->names;
    header->sequence += header->stream != 0;
    header->sent_at = header->key_id ? wall_clock() : 0;
    wire_v2_encode_header(header, bytes);
    memcpy(end, datagram->name_bytes, datagram->names_size);
    end += datagram->names_size;
    memcpy(end, datagram->record_bytes, datagram->records_size);
    end += datagram->records_size;
    if (header->key_id)
        siphash_tag(datagram->key, bytes, (size_t)(end - bytes), end);
    outbox_add(datagram->outbox, header->length, datagram->visitors);
    datagram->closed_at = now;
    datagram->visitors = datagram->names = header->records = 0;
    datagram->names_size = datagram->records_size = 0;
    datagram->record = NULL;
}

/* ---- adding ------------------------------------------------------------------------------ */

bool datagram_carries(const struct datagram *datagram, const struct sender_place *place)
{
    struct wire_heartbeat heartbeat = sender_place_heartbeat(place);
    const uint32_t names[] = {heartbeat.site.length, heartbeat.room.length, heartbeat.source.length,
                              heartbeat.event.length};
    uint32_t size =
        WIRE_V2_HEADER_SIZE + VISITOR_SIZE + (datagram->header.key_id ? WIRE_TAG_SIZE : 0);

    for (size_t i = 0; i < SENDER_PLACE_NAMES; i++)
        size += names[i] > 0 ? 1 + names[i] : 0;
    return size <= datagram->bytes_max;
}

/* Find a name, or append it, and return its number; 0 if it is absent. */
static uint8_t number_name(struct datagram *datagram, struct wire_name name)
{
    uint8_t *bytes;

    if (name.length == 0)
        return 0;
    uint32_t hash = (uint32_t)XXH3_64bits(name.bytes, name.length);
    for (uint32_t i = 0; i < datagram->names; i++) {
        bytes = datagram->name_bytes + datagram->offsets[i];
        if (datagram->hashes[i] == hash && bytes[0] == name.length &&
            memcmp(bytes + 1, name.bytes, name.length) == 0)
            return (uint8_t)(i + 1);
    }
    bytes = datagram->name_bytes + datagram->names_size;
    bytes[0] = (uint8_t)name.length;
    memcpy(bytes + 1, name.bytes, name.length);
    datagram->hashes[datagram->names] = hash;
    datagram->offsets[datagram->names] = datagram->names_size;
    datagram->names_size += 1 + name.length;
    return (uint8_t)++datagram->names;
}

/* Append a record of this place without visitors. False, with nothing changed, if it has no room
 * with one. */
static bool append_record(struct datagram *datagram, const struct sender_place *place)
{
    struct wire_heartbeat heartbeat = sender_place_heartbeat(place);
    uint32_t names = datagram->names, names_size = datagram->names_size;
    struct wire_v2_record record = {
        .kind = heartbeat.kind,
        .country = {heartbeat.country[0], heartbeat.country[1]},
    };

    record.site = number_name(datagram, heartbeat.site);
    record.room = number_name(datagram, heartbeat.room);
    record.source = number_name(datagram, heartbeat.source);
    record.event = number_name(datagram, heartbeat.event);
    if (datagram->names > WIRE_V2_NAMES_MAX ||
        datagram_size(datagram) + VISITOR_SIZE > datagram->bytes_max) {
        datagram->names = names;
        datagram->names_size = names_size;
        return false;
    }
    datagram->record =
        memcpy(datagram->record_bytes + datagram->records_size, &record, WIRE_V2_RECORD_SIZE);
    datagram->header.records++;
    datagram->records_size += WIRE_V2_RECORD_SIZE;
    return true;
}

/* Fill up a full datagram with a name that is not used: the kernels on both sides handle a run of
 * datagrams at once only if they have one size. */
static void datagram_pad(struct datagram *datagram)
{
    uint32_t room = datagram->bytes_max - datagram_size(datagram);
    uint8_t *bytes = datagram->name_bytes + datagram->names_size;

    if (room < 2 || room > PADDING_MAX || datagram->names == WIRE_V2_NAMES_MAX ||
        !datagram->outbox->offload)
        return;
    bytes[0] = (uint8_t)(room - 1);
    memset(bytes + 1, ' ', room - 1);
    datagram->names++;
    datagram->names_size += room;
}

/* True if the last record can have one more visitor. */
static bool record_grows(const struct datagram *datagram)
{
    return datagram->record && datagram->record->visitors < WIRE_V2_VISITORS_MAX &&
           datagram_size(datagram) + WIRE_VISITOR_SIZE <= datagram->bytes_max;
}

void datagram_add(struct datagram *datagram, const struct sender_place *place,
                  const uint8_t id[WIRE_VISITOR_SIZE], int64_t now)
{
    if (!record_grows(datagram) && !append_record(datagram, place)) {
        datagram_pad(datagram);
        datagram_close(datagram, now);
        append_record(datagram, place);
    }
    if (datagram->visitors++ == 0)
        datagram->queued_at = now;
    datagram->record->visitors++;
    memcpy(datagram->record_bytes + datagram->records_size, id, WIRE_VISITOR_SIZE);
    datagram->records_size += WIRE_VISITOR_SIZE;
    if (datagram->visitors == datagram->visitors_max)
        datagram_close(datagram, now);
}

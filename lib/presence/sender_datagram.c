#include "sender_datagram.h"

#include "common/monotonic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define PADDING_MAX  (1 + WIRE_V2_NAME_MAX)
#define VISITOR_SIZE (WIRE_V2_RECORD_SIZE + WIRE_VISITOR_SIZE) /* at a place of its own */

int datagram_init(struct datagram *datagram, struct outbox *outbox,
                  const struct presence_sender_options *options)
{
    size_t names_room = options->datagram_bytes + SENDER_NAMES_SPARE;
    uint8_t *bytes = malloc(names_room + options->datagram_bytes);

    if (!bytes)
        return -ENOMEM;
    *datagram = (struct datagram){
        .outbox = outbox,
        .visitors_max = options->batch,
        .bytes_max = options->datagram_bytes,
        .header = {.stream = options->stream, .target = options->target, .key_id = options->key_id},
        .process = getpid(),
        .closed_at = monotonic_coarse_ns(),
        .records = bytes + names_room,
    };
    sender_names_init(&datagram->names, bytes);
    if (options->key_id)
        datagram->key = siphash_key(options->key);
    return 0;
}

void datagram_free(struct datagram *datagram)
{
    explicit_bzero(&datagram->key, sizeof(datagram->key));
    free(datagram->names.bytes);
}

/* ---- closing ----------------------------------------------------------------------------- */

static uint32_t datagram_size(const struct datagram *datagram)
{
    return WIRE_V2_HEADER_SIZE + datagram->names.size + datagram->records_size +
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

void datagram_close(struct datagram *datagram)
{
    uint8_t *bytes = outbox_room(datagram->outbox), *end = bytes + WIRE_V2_HEADER_SIZE;
    struct wire_v2_header *header = &datagram->header;

    if (datagram->process != getpid())
        leave_parent(datagram);
    header->length = datagram_size(datagram);
    header->names = (uint8_t)datagram->names.count;
    header->sequence += header->stream != 0;
    header->sent_at = header->key_id ? wall_clock() : 0;
    wire_v2_encode_header(header, bytes);
    memcpy(end, datagram->names.bytes, datagram->names.size);
    end += datagram->names.size;
    memcpy(end, datagram->records, datagram->records_size);
    end += datagram->records_size;
    if (header->key_id)
        siphash_tag(datagram->key, bytes, (uint32_t)(end - bytes), end);
    outbox_add(datagram->outbox, header->length, datagram->visitors);
    datagram->closed_at = monotonic_coarse_ns();
    datagram->visitors = header->records = datagram->records_size = 0;
    datagram->record = NULL;
    sender_names_clear(&datagram->names);
}

/* ---- adding ------------------------------------------------------------------------------ */

/* True if the last record is of the same place and can have one more visitor. */
static bool record_grows(const struct datagram *datagram, const struct wire_v2_record *place)
{
    struct wire_v2_record *last = datagram->record, same = *place;

    if (!last || last->visitors == WIRE_V2_VISITORS_MAX)
        return false;
    same.visitors = last->visitors;
    return memcmp(last, &same, sizeof(same)) == 0 &&
           datagram_size(datagram) + WIRE_VISITOR_SIZE <= datagram->bytes_max;
}

/* Let the last record be one of this place, with room for a visitor. Errors: those of
 * sender_place_parse; -ENOSPC there is no room. */
static int datagram_turn_to(struct datagram *datagram, const struct presence_place *place)
{
    static const struct wire_v2_record none;
    struct sender_names *names = &datagram->names;
    const uint32_t names_before = names->count;
    const uint32_t names_max = datagram->bytes_max - (datagram_size(datagram) - names->size);
    struct wire_v2_record record = {0};
    int error = sender_labels_parse(place, &record.kind, record.country);

    if (error == 0)
        error = sender_names_number(names, place, datagram->record ? datagram->record : &none,
                                    names_max, &record);
    if (error == 0 && record_grows(datagram, &record))
        return 0;
    if (error == 0 && datagram_size(datagram) + VISITOR_SIZE > datagram->bytes_max)
        error = -ENOSPC;
    if (error < 0) {
        sender_names_truncate(names, names_before);
        return error;
    }
    datagram->record =
        memcpy(datagram->records + datagram->records_size, &record, WIRE_V2_RECORD_SIZE);
    datagram->header.records++;
    datagram->records_size += WIRE_V2_RECORD_SIZE;
    return 0;
}

/* Fill up a full datagram with a name that is not used: the kernels on both sides handle a run of
 * datagrams at once only if they have one size. */
static void datagram_pad(struct datagram *datagram)
{
    uint32_t room = datagram->bytes_max - datagram_size(datagram);

    if (room >= 2 && room <= PADDING_MAX && datagram->names.count < WIRE_V2_NAMES_MAX &&
        datagram->outbox->offload)
        sender_names_pad(&datagram->names, room);
}

int datagram_add(struct datagram *datagram, const struct presence_place *place,
                 const uint8_t id[WIRE_VISITOR_SIZE], int64_t now)
{
    int error;

    while ((error = datagram_turn_to(datagram, place)) == -ENOSPC && datagram->visitors > 0) {
        datagram_pad(datagram);
        datagram_close(datagram);
    }
    if (error < 0)
        return error == -ENOSPC ? -ENAMETOOLONG : error;
    if (datagram->visitors++ == 0)
        datagram->queued_at = now;
    datagram->record->visitors++;
    memcpy(datagram->records + datagram->records_size, id, WIRE_VISITOR_SIZE);
    datagram->records_size += WIRE_VISITOR_SIZE;
    if (datagram->visitors == datagram->visitors_max)
        datagram_close(datagram);
    return 0;
}

#include "decoder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/text.h"
#include "core/wire.h"
#include "streams.h"

_Static_assert((int)DECODER_ACCEPTED == WIRE_ACCEPTED && (int)DECODER_SENDER == WIRE_SENDER &&
                   (int)DECODER_VERSION == WIRE_VERSION &&
                   (int)DECODER_MALFORMED == WIRE_MALFORMED &&
                   (int)DECODER_VISITOR == WIRE_VISITOR &&
                   (int)DECODER_UNAUTHENTICATED == WIRE_UNAUTHENTICATED &&
                   (int)DECODER_STALE == WIRE_STALE && (int)DECODER_DUPLICATE == WIRE_DUPLICATE &&
                   (int)DECODER_SITE == WIRE_SITE && (int)DECODER_REASONS == WIRE_REASONS,
               "the same reasons");

/* Zero-terminated copies of a heartbeat's names. */
struct names {
    char site[WIRE_SITE_MAX + 1];
    char room[WIRE_ROOM_MAX + 1];
    char source[WIRE_SOURCE_MAX + 1];
    char event[WIRE_EVENT_MAX + 1];
    char country[3];
};

struct decoder {
    const struct networks *allowed;
    struct decoder_counts *counts;
    struct segment segment; /* has nothing but a header's secret, and streams */
    struct stream_table *streams;
    const struct sockaddr *sender;
    uint64_t now;
    uint64_t refused_stream;    /* 0: none */
    uint64_t counted[COUNTERS]; /* by streams_receive; cleared after each datagram */
    bool is_allowed;            /* the sender may send */
    bool is_single;             /* the datagram has one place, which has not been read */
    struct wire_v2_datagram datagram;
    struct wire_heartbeat single;
    struct wire_scratch scratch;
    struct names names;
};

/* Add to a count that this thread alone stores; others load it. */
static void add(uint64_t *count, uint64_t value)
{
    atomic_store_relaxed(count, *count + value); /* statistics */
}

/* ---- opening ------------------------------------------------------------------------------ */

static int open_streams(struct decoder *decoder)
{
    struct segment *segment = &decoder->segment;

    segment->header = calloc(1, sizeof(*segment->header));
    segment->streams.slots = calloc(DECODER_STREAMS, sizeof(*segment->streams.slots));
    segment->streams.capacity = DECODER_STREAMS;
    if (!segment->header || !segment->streams.slots)
        return -ENOMEM;
    if (getrandom(segment->header->secret, sizeof(segment->header->secret), 0) < 0)
        return -errno;
    return streams_open(segment, &decoder->streams);
}

int decoder_open(const struct networks *allowed, struct decoder_counts *counts,
                 struct decoder **ret)
{
    struct decoder *decoder = calloc(1, sizeof(*decoder));

    if (!decoder)
        return -ENOMEM;
    decoder->counts = counts;
    decoder_allow(decoder, allowed);
    int r = open_streams(decoder);
    if (r < 0) {
        decoder_close(decoder);
        return r;
    }
    *ret = decoder;
    return 0;
}

void decoder_close(struct decoder *decoder)
{
    if (!decoder)
        return;
    streams_close(decoder->streams);
    free(decoder->segment.streams.slots);
    free(decoder->segment.header);
    free(decoder);
}

/* ---- judging ------------------------------------------------------------------------------ */

void decoder_allow(struct decoder *decoder, const struct networks *allowed)
{
    bool is_open = !allowed || allowed->count[0] + allowed->count[1] == 0;

    decoder->allowed = is_open ? NULL : allowed;
    decoder->is_allowed = is_open;
}

void decoder_refuse_stream(struct decoder *decoder, uint64_t stream)
{
    decoder->refused_stream = stream;
}

void decoder_set_time(struct decoder *decoder, uint64_t now)
{
    decoder->now = now;
}

void decoder_from(struct decoder *decoder, const struct sockaddr *sender)
{
    decoder->sender = sender;
    if (decoder->allowed)
        decoder->is_allowed = networks_contain(decoder->allowed, sender);
}

/* Judge a datagram of version 1, or of text. */
static enum wire_reason read_single(struct decoder *decoder, const uint8_t *datagram,
                                    uint32_t length)
{
    struct wire_heartbeat *single = &decoder->single;
    enum wire_reason reason = wire_is_native(datagram, length)
                                  ? wire_v1_decode(datagram, length, &decoder->scratch, single)
                                  : text_decode(datagram, length, &decoder->scratch, single);

    if (reason != WIRE_ACCEPTED)
        return reason;
    decoder->is_single = true;
    add(&decoder->counts->heartbeats, single->visitors);
    if (single->labels_invalid)
        add(&decoder->counts->labels_invalid, single->labels_invalid);
    if (single->rooms_too_long)
        add(&decoder->counts->rooms_too_long, single->rooms_too_long);
    return WIRE_ACCEPTED;
}

/* Judge a datagram of version 2 by its stream. */
static enum wire_reason judge_stream(struct decoder *decoder)
{
    uint64_t *counted = decoder->counted;
    struct decoder_counts *counts = decoder->counts;

    if (decoder->datagram.stream && decoder->datagram.stream == decoder->refused_stream)
        return WIRE_DUPLICATE;
    bool is_new = streams_receive(decoder->streams, &decoder->datagram, 0, decoder->sender,
                                  decoder->now, counted);

    add(&counts->streams_expected, counted[COUNTER_streams_expected]);
    add(&counts->streams_received, counted[COUNTER_streams_received]);
    add(&counts->streams_full, counted[COUNTER_streams_full]);
    counted[COUNTER_streams_expected] = counted[COUNTER_streams_received] = 0;
    counted[COUNTER_streams_full] = 0;
    return is_new ? WIRE_ACCEPTED : WIRE_DUPLICATE;
}

static enum wire_reason read_records(struct decoder *decoder, const uint8_t *datagram,
                                     uint32_t length)
{
    enum wire_reason reason = wire_v2_decode(datagram, length, &decoder->datagram);

    if (reason == WIRE_ACCEPTED)
        reason = judge_stream(decoder);
    if (reason != WIRE_ACCEPTED) {
        decoder->datagram.next = decoder->datagram.end = NULL;
        return reason;
    }
    add(&decoder->counts->heartbeats, decoder->datagram.visitors);
    if (decoder->datagram.records == 0)
        add(&decoder->counts->datagrams_empty, 1);
    return WIRE_ACCEPTED;
}

bool decoder_read(struct decoder *decoder, const uint8_t *datagram, uint32_t length)
{
    struct decoder_counts *counts = decoder->counts;
    enum wire_reason reason = WIRE_SENDER;

    decoder->is_single = false;
    decoder->datagram.next = decoder->datagram.end = NULL;
    if (decoder->is_allowed)
        reason = wire_is_v2(datagram, length) ? read_records(decoder, datagram, length)
                                              : read_single(decoder, datagram, length);
    /* Whoever loads these sees that a datagram was received after what became of it. */
    if (reason == WIRE_ACCEPTED)
        add(&counts->datagrams_accepted, 1);
    else
        add(&counts->datagrams_rejected[reason], 1);
    add(&counts->datagrams_received, 1);
    return reason == WIRE_ACCEPTED;
}

void decoder_truncated(struct decoder *decoder, uint64_t count)
{
    if (!count)
        return;
    add(&decoder->counts->datagrams_rejected[WIRE_MALFORMED], count);
    add(&decoder->counts->datagrams_received, count);
}

/* ---- reading ------------------------------------------------------------------------------ */

/* Copy a name, and return it; NULL if it is absent. */
static const char *copy(struct wire_name name, char *ret)
{
    if (name.length == 0)
        return NULL;
    memcpy(ret, name.bytes, name.length);
    ret[name.length] = '\0';
    return ret;
}

static void describe(struct decoder *decoder, const struct wire_heartbeat *heartbeat,
                     struct decoded *ret)
{
    struct names *names = &decoder->names;
    struct wire_name country = {heartbeat->country, heartbeat->country[0] ? 2 : 0};

    *ret = (struct decoded){
        .place = {.kind = (enum presence_heartbeat_kind)heartbeat->kind,
                  .site = copy(heartbeat->site, names->site),
                  .room = copy(heartbeat->room, names->room),
                  .country = copy(country, names->country),
                  .source = copy(heartbeat->source, names->source),
                  .event = copy(heartbeat->event, names->event)},
        .visitors = heartbeat->visitor_ids,
        .count = heartbeat->visitors,
    };
}

bool decoder_next(struct decoder *decoder, struct decoded *ret)
{
    struct wire_heartbeat heartbeat;

    if (decoder->is_single) {
        decoder->is_single = false;
        describe(decoder, &decoder->single, ret);
        return true;
    }
    if (decoder->datagram.next == decoder->datagram.end ||
        !wire_v2_next(&decoder->datagram, &decoder->scratch, &heartbeat))
        return false;
    describe(decoder, &heartbeat, ret);
    return true;
}

const char *decoder_reason_name(enum decoder_reason reason)
{
    static const char *const names[DECODER_REASONS] = {
        "accepted",        "sender", "version",   "malformed", "visitor",
        "unauthenticated", "stale",  "duplicate", "site",
    };

    return names[reason];
}

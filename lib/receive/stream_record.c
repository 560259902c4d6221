#include "stream_record.h"

#include <netinet/in.h>
#include <string.h>

#define SPAN_MAX  (UINT64_C(1) << 62) /* from the lowest to the highest sequence */
#define COUNT_MAX (UINT64_C(1) << 56)

/* Make the version odd: readers meanwhile discard what they load, and stream_repair repairs what
 * was being written when the daemon was killed. */
static void begin_write(struct stream *stream)
{
    atomic_store_relaxed(&stream->version, stream->version % STREAM_VERSION_MAX | 1);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* pairs with the fence in stream_load */
}

static void end_write(struct stream *stream)
{
    atomic_store_release(&stream->version, stream->version + 1); /* pairs with stream_load */
}

/* Every field is stored alone: stream_load may read it at the same time. */
#define SET(field, value) atomic_store_relaxed(&(field), value)

static void set_sender(struct stream *stream, uint8_t family, uint16_t port, const void *address)
{
    const uint8_t *bytes = address;
    unsigned size = family == 4 ? 4 : sizeof(stream->address);

    if (stream->family == family && stream->port == port &&
        memcmp(stream->address, bytes, size) == 0)
        return;
    SET(stream->family, family);
    SET(stream->port, port);
    for (unsigned i = 0; i < sizeof(stream->address); i++)
        SET(stream->address[i], i < size ? bytes[i] : 0);
}

/* Record where the last datagram came from. An IPv4 address that an IPv6 socket shows is IPv4. */
static void record_sender(struct stream *stream, const struct sockaddr *sender)
{
    if (sender && sender->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)sender;
        set_sender(stream, 4, ntohs(v4->sin_port), &v4->sin_addr);
    } else if (sender && sender->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)sender;
        bool is_mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
        set_sender(stream, is_mapped ? 4 : 6, ntohs(v6->sin6_port),
                   v6->sin6_addr.s6_addr + (is_mapped ? 12 : 0));
    }
}

static uint64_t *seen_word(struct stream *stream, uint64_t sequence)
{
    return &stream->seen[sequence / 64 % STREAM_SEEN];
}

/* Clear the bits of `count` sequences from `first` on, which older sequences have set. */
static void forget(struct stream *stream, uint64_t first, uint64_t count)
{
    if (count > STREAM_SEEN_MAX)
        count = STREAM_SEEN_MAX;
    while (count) {
        unsigned bit = first % 64;
        uint64_t bits = 64 - bit < count ? 64 - bit : count;
        uint64_t mask = UINT64_MAX >> (64 - bits) << bit;
        uint64_t *word = seen_word(stream, first);
        SET(*word, *word & ~mask);
        first += bits;
        count -= bits;
    }
}

static void mark_seen(struct stream *stream, uint64_t sequence)
{
    uint64_t *word = seen_word(stream, sequence);

    SET(*word, *word | UINT64_C(1) << sequence % 64);
}

/* Count a datagram that is not a duplicate. */
static void record(struct stream *stream, const struct stream_arrival *arrival)
{
    SET(stream->received, stream->received + 1);
    SET(stream->heartbeats, stream->heartbeats + arrival->datagram->visitors);
    if (stream->last_tick < arrival->now)
        SET(stream->last_tick, arrival->now);
    record_sender(stream, arrival->sender);
    arrival->counted[COUNTER_streams_received]++;
}

/* Set the numbers as the first datagram of a stream does. At every store there are no more
 * datagrams received than expected, for stream_repair. */
static void begin_numbers(struct stream *stream, const struct stream_arrival *arrival)
{
    uint64_t sequence = STREAM_FIRST + arrival->datagram->sequence;

    SET(stream->received, 0);
    SET(stream->duplicates, 0);
    SET(stream->heartbeats, 0);
    SET(stream->lowest, sequence); /* never above the highest */
    SET(stream->highest, sequence);
    for (unsigned i = 0; i < STREAM_SEEN; i++)
        SET(stream->seen[i], 0);
    mark_seen(stream, sequence);
    record(stream, arrival);
    arrival->counted[COUNTER_streams_expected]++;
}

void stream_begin(struct stream *stream, const struct stream_arrival *arrival)
{
    begin_write(stream);
    SET(stream->id, 0); /* and set it last: until then the slot is free */
    SET(stream->family, 0);
    SET(stream->target, arrival->datagram->target);
    SET(stream->key_id, arrival->key_id);
    SET(stream->first_tick, arrival->now);
    SET(stream->last_tick, arrival->now);
    begin_numbers(stream, arrival);
    SET(stream->id, arrival->datagram->stream);
    end_write(stream);
}

/* Record a datagram that is `ahead` of the highest sequence. The highest moves first: if the daemon
 * is killed before old bits are forgotten, late datagrams may be rejected, but none counts twice.
 */
static void advance(struct stream *stream, const struct stream_arrival *arrival, uint32_t ahead)
{
    uint64_t sequence = stream->highest + ahead;

    begin_write(stream);
    if (sequence - stream->lowest >= SPAN_MAX) { /* after 2^31 jumps as far as they go */
        begin_numbers(stream, arrival);
    } else {
        SET(stream->highest, sequence);
        forget(stream, sequence - ahead + 1, ahead - 1);
        mark_seen(stream, sequence);
        record(stream, arrival);
        arrival->counted[COUNTER_streams_expected] += ahead;
    }
    end_write(stream);
}

/* Record a datagram that is `behind` the highest sequence, or return false if it is a duplicate. */
static bool fill_in(struct stream *stream, const struct stream_arrival *arrival, uint32_t behind)
{
    uint64_t sequence = stream->highest - behind;

    begin_write(stream);
    bool is_new =
        behind < STREAM_SEEN_MAX && (*seen_word(stream, sequence) >> sequence % 64 & 1) == 0;
    if (is_new) {
        mark_seen(stream, sequence);
        if (sequence < stream->lowest) {
            arrival->counted[COUNTER_streams_expected] += stream->lowest - sequence;
            SET(stream->lowest, sequence);
        }
        record(stream, arrival);
    } else {
        SET(stream->duplicates, stream->duplicates + 1);
    }
    end_write(stream);
    return is_new;
}

bool stream_receive(struct stream *stream, const struct stream_arrival *arrival)
{
    int32_t ahead = (int32_t)(arrival->datagram->sequence - (uint32_t)stream->highest);

    if (ahead <= 0)
        return fill_in(stream, arrival, 0 - (uint32_t)ahead);
    advance(stream, arrival, (uint32_t)ahead);
    return true;
}

const char *stream_find_fault(const struct stream *stream, uint64_t now)
{
    if (stream->id == 0)
        return NULL; /* free, or its daemon was killed while it began */
    if (stream->version == 0)
        return "a stream that was never written";
    if (stream->family != 0 && stream->family != 4 && stream->family != 6)
        return "invalid address";
    if (stream->first_tick > stream->last_tick || stream->last_tick > now)
        return "impossible time";
    if (stream->lowest > stream->highest || stream->received > stream_expected(stream))
        return "impossible sequence numbers";
    if (stream->duplicates > COUNT_MAX || stream->heartbeats > COUNT_MAX)
        return "counter out of range";
    return NULL;
}

void stream_repair(struct stream *stream)
{
    if (stream->version & 1)
        end_write(stream);
}

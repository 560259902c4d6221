#include "oracle_streams.h"

#include <stdlib.h>
#include <string.h>

#define REMEMBERED 1024
#define SILENCE    60                  /* seconds, after which a stream may be replaced */
#define BEGINNING  (UINT64_C(1) << 40) /* so that no sequence before the first is below 0 */

void oracle_streams_open(struct oracle_streams *streams, unsigned capacity)
{
    *streams = (struct oracle_streams){.capacity = capacity};
    streams->streams = calloc(capacity + 1, sizeof(*streams->streams));
}

void oracle_streams_close(struct oracle_streams *streams)
{
    for (unsigned i = 0; i < streams->length; i++)
        free(streams->streams[i].sequences);
    free(streams->streams);
    *streams = (struct oracle_streams){0};
}

struct oracle_stream *oracle_streams_find(const struct oracle_streams *streams,
                                          const struct oracle_stream_key *key)
{
    for (unsigned i = 0; i < streams->length; i++) {
        struct oracle_stream *stream = &streams->streams[i];
        if (stream->key.id == key->id && stream->key.target == key->target &&
            stream->key.key == key->key)
            return stream;
    }
    return NULL;
}

uint64_t oracle_stream_expected(const struct oracle_stream *stream)
{
    return stream->received ? stream->highest - stream->lowest + 1 : 0;
}

bool oracle_stream_has(const struct oracle_stream *stream, uint64_t sequence)
{
    for (unsigned i = 0; i < stream->received; i++)
        if (stream->sequences[i] == sequence)
            return true;
    return false;
}

/* Return the quietest, or NULL if there are none. */
static struct oracle_stream *find_quietest(const struct oracle_streams *streams)
{
    struct oracle_stream *quietest = NULL;

    for (unsigned i = 0; i < streams->length; i++) {
        struct oracle_stream *stream = &streams->streams[i];
        if (!quietest || stream->last < quietest->last ||
            (stream->last == quietest->last && streams->is_gone(streams->context, &stream->key)))
            quietest = stream;
    }
    return quietest;
}

/* Return a place for a new stream, or NULL if there is none. */
static struct oracle_stream *make_place(struct oracle_streams *streams, uint64_t now)
{
    if (streams->length < streams->capacity)
        return &streams->streams[streams->length++];
    struct oracle_stream *quietest = find_quietest(streams);
    if (!quietest || now - quietest->last <= SILENCE)
        return NULL;
    free(quietest->sequences);
    return quietest;
}

void oracle_streams_resize(struct oracle_streams *streams, unsigned capacity)
{
    while (streams->length > capacity) {
        struct oracle_stream *quietest = find_quietest(streams);
        free(quietest->sequences);
        *quietest = streams->streams[--streams->length];
    }
    streams->capacity = capacity;
    streams->streams = realloc(streams->streams, (capacity + 1) * sizeof(*streams->streams));
}

static void append(struct oracle_stream *stream, uint64_t sequence)
{
    if (stream->received == stream->capacity) {
        stream->capacity = stream->capacity ? stream->capacity * 2 : 16;
        stream->sequences =
            realloc(stream->sequences, stream->capacity * sizeof(*stream->sequences));
    }
    if (stream->received == 0 || sequence > stream->highest)
        stream->highest = sequence;
    if (stream->received == 0 || sequence < stream->lowest)
        stream->lowest = sequence;
    stream->sequences[stream->received++] = sequence;
}

static void receive(struct oracle_streams *streams, struct oracle_stream *stream, uint64_t sequence,
                    const struct oracle_arrival *arrival, uint64_t now)
{
    uint64_t expected = oracle_stream_expected(stream);

    append(stream, sequence);
    stream->last = now;
    if (arrival->sender.family)
        stream->sender = arrival->sender;
    stream->heartbeats += arrival->heartbeats;
    streams->counters.expected += oracle_stream_expected(stream) - expected;
    streams->counters.received++;
}

bool oracle_streams_arrive(struct oracle_streams *streams, const struct oracle_arrival *arrival,
                           uint64_t now)
{
    struct oracle_stream *stream = oracle_streams_find(streams, &arrival->key);

    if (!stream) {
        stream = make_place(streams, now);
        if (!stream) {
            streams->counters.full++;
            return true;
        }
        *stream = (struct oracle_stream){.key = arrival->key, .first = now};
        receive(streams, stream, BEGINNING + arrival->sequence, arrival, now);
        return true;
    }
    int32_t ahead = (int32_t)(arrival->sequence - (uint32_t)stream->highest);
    uint64_t sequence = stream->highest + (uint64_t)(int64_t)ahead;
    if (ahead <= 0 &&
        (stream->highest - sequence > REMEMBERED - 1 || oracle_stream_has(stream, sequence))) {
        stream->duplicates++;
        return false;
    }
    receive(streams, stream, sequence, arrival, now);
    return true;
}

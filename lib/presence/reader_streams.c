/* reader_streams.c - list the streams of senders, and tell who fell silent (R6, R7). */
#include "reader.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPINS      1000    /* a writer's store takes far less, unless it is interrupted */
#define PAUSE_NS   1000000 /* then let it run */
#define PAUSES_MAX 50      /* in a call: a writer that was killed never ends its store */
#define OVERLAP_S  10      /* that a restarted sender may run beside its successor */

_Static_assert(sizeof(((struct presence_stream *)0)->address) == INET6_ADDRSTRLEN,
               "every address fits");

/* Copy a stream. If it is being written, try again, and let its writer run while `*pauses` lasts:
 * it may have been interrupted, or killed. False if there is none. */
static bool load_stream(const struct stream *slot, unsigned *pauses, struct stream *ret)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};

    for (unsigned i = 1; !stream_load(slot, ret); i++) {
        uint64_t version = atomic_load_relaxed(&slot->version); /* stored by begin_write */
        uint64_t id = atomic_load_relaxed(&slot->id);           /* stored by stream_begin */
        if (version == 0 || (version % 2 == 0 && id == 0))
            return false;
        if (i % SPINS)
            continue;
        if (*pauses == 0)
            return false;
        (*pauses)--;
        nanosleep(&pause, NULL);
    }
    return true;
}

static void format_address(const struct stream *stream, struct presence_stream *ret)
{
    if (stream->family == 4)
        inet_ntop(AF_INET, stream->address, ret->address, sizeof(ret->address));
    else if (stream->family == 6)
        inet_ntop(AF_INET6, stream->address, ret->address, sizeof(ret->address));
    if (*ret->address)
        ret->port = stream->port;
}

static uint64_t age_of(uint64_t tick, const struct reader_moment *moment)
{
    return moment->tick > tick ? moment->tick - tick : 0;
}

/* Convert a copy. False if no writer stores such a stream. `listened_s` is how long the collector
 * has listened: nothing could be heard before. */
static bool convert(const struct stream *stream, const struct reader_moment *moment,
                    uint64_t listened_s, struct presence_stream *ret)
{
    if (stream->lowest > stream->highest)
        return false;
    uint64_t expected = stream_expected(stream);
    *ret = (struct presence_stream){
        .id = stream->id,
        .target = stream->target,
        .key_id = stream->key_id,
        .first_s = age_of(stream->first_tick, moment),
        .last_s = age_of(stream->last_tick, moment),
        .datagrams = stream->received + stream->duplicates,
        .heartbeats = stream->heartbeats,
        .expected = expected,
        .received = stream->received,
        .lost = expected > stream->received ? expected - stream->received : 0,
        .duplicates = stream->duplicates,
    };
    ret->silent = ret->last_s > SEGMENT_STALE_AGE && listened_s > SEGMENT_STALE_AGE;
    format_address(stream, ret);
    return true;
}

/* ---- order ------------------------------------------------------------------------------- */

static int compare_senders(const struct presence_stream *a, const struct presence_stream *b)
{
    int by_address = strcmp(a->address, b->address);

    if (by_address)
        return by_address;
    if (a->key_id != b->key_id)
        return a->key_id < b->key_id ? -1 : 1;
    return a->target < b->target ? -1 : a->target > b->target;
}

/* Order by sender, and the streams of one by when they began, the last first. */
static int by_sender(const void *left, const void *right)
{
    const struct presence_stream *a = left, *b = right;
    int order = compare_senders(a, b);

    return order ? order : a->first_s < b->first_s ? -1 : a->first_s > b->first_s;
}

static int by_last_heard(const void *left, const void *right)
{
    const struct presence_stream *a = left, *b = right;

    if (a->last_s != b->last_s)
        return a->last_s < b->last_s ? -1 : 1;
    int order = compare_senders(a, b);
    return order ? order : a->id < b->id ? -1 : a->id > b->id;
}

/* Mark the silent streams that the last one of their sender has followed. A sender that began well
 * before the other fell silent is another program at the same address. */
static void mark_restarted(struct presence_streams *list)
{
    const struct presence_stream *last = NULL;

    qsort(list->streams, list->length, sizeof(*list->streams), by_sender);
    for (size_t i = 0; i < list->length; i++) {
        struct presence_stream *stream = &list->streams[i];
        if (!last || compare_senders(last, stream) != 0)
            last = stream;
        stream->restarted = stream->silent && *stream->address && last->first_s < stream->first_s &&
                            last->first_s <= stream->last_s + OVERLAP_S &&
                            last->last_s <= stream->last_s;
    }
}

/* ---- the list ---------------------------------------------------------------------------- */

int presence_streams(struct presence *presence, struct presence_streams *ret)
{
    struct presence_streams list = {.moment = presence_freshness(presence)};
    struct reader_moment moment = reader_load_moment(presence);
    const struct streams *streams = &presence->segment.streams;
    /* Stored by collector_advance and collector_listen. */
    uint64_t since = atomic_load_relaxed(&presence->segment.header->listening_since);
    unsigned pauses = PAUSES_MAX;
    struct stream copy;

    if (streams->capacity == 0)
        return -EOPNOTSUPP;
    list.streams = calloc(streams->capacity, sizeof(*list.streams));
    if (!list.streams)
        return -ENOMEM;
    for (uint32_t i = 0; i < streams->capacity; i++) {
        if (load_stream(&streams->slots[i], &pauses, &copy) &&
            convert(&copy, &moment, age_of(since, &moment), &list.streams[list.length]))
            list.length++;
    }
    mark_restarted(&list);
    qsort(list.streams, list.length, sizeof(*list.streams), by_last_heard);
    *ret = list;
    return 0;
}

void presence_streams_free(struct presence_streams *streams)
{
    free(streams->streams);
    *streams = (struct presence_streams){0};
}

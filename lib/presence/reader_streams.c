/* reader_streams.c - list the streams of senders, and tell who fell silent (R6, R7). */
#include "reader.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPINS       1000    /* a writer's store takes far less, unless it is interrupted */
#define PAUSE_NS    1000000 /* then let it run */
#define PAUSES_MAX  50      /* in a call: a writer that was killed never ends its store */
#define FIRST_WORD  (offsetof(struct stream, id) / 8)
#define AFTER_WORDS (offsetof(struct stream, seen) / 8)

_Static_assert(sizeof(((struct presence_stream *)0)->address) == INET6_ADDRSTRLEN,
               "every address fits");

/* Words of the mapping that may alias any field of a stream. */
typedef uint64_t __attribute__((may_alias)) stream_word;

/* Copy a slot, without `seen`. False if it is being written. */
static bool copy_slot(const struct stream *slot, struct stream *ret)
{
    const stream_word *from = (const stream_word *)(const void *)slot;
    stream_word *to = (stream_word *)(void *)ret;

    ret->version = atomic_load_acquire(&slot->version); /* pairs with write_end */
    if (ret->version % 2)
        return false;
    for (size_t i = FIRST_WORD; i < AFTER_WORDS; i++)
        to[i] = atomic_load_relaxed(&from[i]);
    /* Order the copy before the second load of the version (seqlock). */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return atomic_load_relaxed(&slot->version) == ret->version;
}

/* Copy a slot, and wait for its writer, which may have been interrupted, while `*pauses` lasts. */
static bool copy_patiently(const struct stream *slot, unsigned *pauses, struct stream *ret)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};

    for (;;) {
        for (int i = 0; i < SPINS; i++) {
            if (copy_slot(slot, ret))
                return true;
        }
        if (*pauses == 0)
            return false;
        (*pauses)--;
        nanosleep(&pause, NULL);
    }
}

static void format_address(const struct stream *stream, struct presence_stream *ret)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* IPv4 in IPv6 */
    bool is_mapped = stream->family == 6 && memcmp(stream->address, mapped, sizeof(mapped)) == 0;

    if (stream->family == 4 || is_mapped)
        inet_ntop(AF_INET, stream->address + (is_mapped ? sizeof(mapped) : 0), ret->address,
                  sizeof(ret->address));
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
    if (stream->version == 0 || stream->id == 0 || stream->lowest > stream->highest)
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

static int by_sender(const void *left, const void *right)
{
    const struct presence_stream *a = left, *b = right;
    int order = compare_senders(a, b);

    return order ? order : a->silent - b->silent;
}

static int by_last_heard(const void *left, const void *right)
{
    const struct presence_stream *a = left, *b = right;

    if (a->last_s != b->last_s)
        return a->last_s < b->last_s ? -1 : 1;
    int order = compare_senders(a, b);
    return order ? order : a->id < b->id ? -1 : a->id > b->id;
}

/* Mark the silent streams whose sender is alive with another one. */
static void mark_restarted(struct presence_streams *list)
{
    const struct presence_stream *alive = NULL;

    qsort(list->streams, list->length, sizeof(*list->streams), by_sender);
    for (size_t i = 0; i < list->length; i++) {
        struct presence_stream *stream = &list->streams[i];
        if (!stream->silent)
            alive = stream;
        else
            stream->restarted = alive && *stream->address && compare_senders(alive, stream) == 0;
    }
}

/* ---- the list ---------------------------------------------------------------------------- */

int presence_streams(struct presence *presence, struct presence_streams *ret)
{
    struct presence_streams list = {.moment = presence_freshness(presence)};
    struct reader_moment moment = reader_load_moment(presence);
    const struct streams *streams = &presence->segment.streams;
    uint64_t since = atomic_load_relaxed(&presence->segment.header->listening_since);
    unsigned pauses = PAUSES_MAX;
    struct stream copy;

    if (streams->capacity == 0)
        return -EOPNOTSUPP;
    list.streams = calloc(streams->capacity, sizeof(*list.streams));
    if (!list.streams)
        return -ENOMEM;
    for (uint32_t i = 0; i < streams->capacity; i++) {
        /* Acquire, also in copy_slot: pairs with write_end. */
        if (atomic_load_acquire(&streams->slots[i].version) &&
            copy_patiently(&streams->slots[i], &pauses, &copy) &&
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

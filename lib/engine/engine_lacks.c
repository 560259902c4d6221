#include "engine_lacks.h"

#include <errno.h>
#include <stdlib.h>

#include "engine_answer.h"

#define SILENT_MS 5000
#define GOES_ON_S 3 /* senders send something each second */
#define JITTER_MS                                                                      \
    3000 /* by which a stream's silences at two shards may differ: it sends to an idle \
            target once a second, ticks are whole seconds, and publishers need some    \
            time after them */
#define SILENCE_MAX UINT64_C(1000000000) /* seconds; more is no less */

/* A stream in a shard: all its targets there as one. A sender that is told to number them anew
 * leaves an old target behind. */
struct sighting {
    uint64_t id;
    size_t shard; /* index into all of them */
    uint64_t silence_ms;
    bool goes_on, established; /* it has a figure 30 s ago */
    bool losing;
    bool has_heartbeats;
};

static bool is_losing(const struct engine_stream *stream)
{
    int64_t lost;

    if (stream->expected <= stream->expected_before)
        return false;
    if (__builtin_sub_overflow(stream->lost, stream->lost_before, &lost))
        return stream->lost > stream->lost_before;
    return lost > 0 && (uint64_t)lost > (stream->expected - stream->expected_before) / 100;
}

/* Add up a shard's streams, which are in the order of their ids. Returns the next free place. */
static struct sighting *see_streams(const struct engine_shard_state *shard, size_t index,
                                    struct sighting *to)
{
    for (size_t i = 0; i < shard->shard.stream_count; i++) {
        const struct engine_stream *stream = &shard->shard.streams[i];
        uint64_t age_s = stream->age_s < SILENCE_MAX ? stream->age_s : SILENCE_MAX;
        uint64_t silence_ms = age_s * 1000 + shard->age_ms;
        if (i == 0 || stream[-1].id != stream->id)
            *to++ = (struct sighting){.id = stream->id, .shard = index, .silence_ms = silence_ms};
        struct sighting *seen = to - 1;
        if (silence_ms < seen->silence_ms)
            seen->silence_ms = silence_ms;
        seen->goes_on |= stream->age_s <= GOES_ON_S;
        seen->established |= stream->expected_before > 0;
        seen->losing |= is_losing(stream);
        seen->has_heartbeats |= stream->heartbeats > 0;
    }
    return to;
}

static int compare_sightings(const void *left, const void *right)
{
    const struct sighting *a = left, *b = right;

    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return (a->shard > b->shard) - (a->shard < b->shard);
}

static int add_lack(struct engine_shard_state *shard, uint64_t stream, enum engine_lack_kind kind)
{
    struct engine_lack *lacks =
        reallocarray(shard->lacks, shard->lack_count + 1, sizeof(*shard->lacks));

    if (!lacks)
        return -ENOMEM;
    lacks[shard->lack_count++] = (struct engine_lack){stream, kind};
    shard->lacks = lacks;
    shard->streams_losing += kind == ENGINE_STREAM_LOSING;
    shard->streams_silent += kind == ENGINE_STREAM_SILENT;
    shard->streams_missing += kind == ENGINE_STREAM_MISSING;
    return 0;
}

/* What all shards together know of a stream. */
struct summary {
    bool goes_on, established, has_heartbeats;
    uint64_t silence_ms; /* the least where it goes on */
};

static struct summary summarize(const struct sighting *sightings, size_t count)
{
    struct summary summary = {.silence_ms = UINT64_MAX};

    for (size_t i = 0; i < count; i++) {
        const struct sighting *seen = &sightings[i];
        summary.has_heartbeats |= seen->has_heartbeats;
        if (!seen->goes_on)
            continue;
        summary.goes_on = true;
        summary.established |= seen->established;
        if (seen->silence_ms < summary.silence_ms)
            summary.silence_ms = seen->silence_ms;
    }
    return summary;
}

/* Judge one stream in all shards that are fine; `sightings` are all of it, by shard. */
static int judge_stream(struct engine_shard_state **shards, size_t shard_count,
                        const struct sighting *sightings, size_t count)
{
    const struct summary summary = summarize(sightings, count);
    const struct sighting *seen = sightings, *end = sightings + count;
    int r = 0;

    for (size_t i = 0; r == 0 && i < shard_count; i++) {
        struct engine_shard_state *shard = shards[i];
        if (seen < end && seen->shard == i) {
            if (seen->losing)
                r = add_lack(shard, seen->id, ENGINE_STREAM_LOSING);
            if (r == 0 && summary.goes_on && seen->silence_ms >= SILENT_MS &&
                seen->silence_ms >= summary.silence_ms + JITTER_MS)
                r = add_lack(shard, seen->id, ENGINE_STREAM_SILENT);
            seen++;
        } else if (shard->problem == ENGINE_SHARD_FINE && !shard->shard.streams_full &&
                   summary.established && summary.has_heartbeats) {
            r = add_lack(shard, sightings->id, ENGINE_STREAM_MISSING);
        }
    }
    return r;
}

int engine_lacks_find(struct engine_state *state)
{
    size_t shard_count = engine_state_shards(state), stream_count = 0, i = 0;
    struct engine_shard_state **shards = calloc(shard_count + 1, sizeof(*shards));
    struct sighting *sightings = NULL, *end;
    int r = -ENOMEM;

    if (!shards)
        goto finish;
    for (size_t g = 0; g < state->count; g++) {
        for (uint32_t s = 0; s < state->groups[g].shard_count; s++) {
            shards[i] = &state->groups[g].shards[s];
            stream_count += shards[i++]->shard.stream_count;
        }
    }
    sightings = calloc(stream_count + 1, sizeof(*sightings));
    if (!sightings)
        goto finish;
    end = sightings;
    for (i = 0; i < shard_count; i++) {
        if (shards[i]->problem == ENGINE_SHARD_FINE)
            end = see_streams(shards[i], i, end);
    }
    stream_count = (size_t)(end - sightings);
    qsort(sightings, stream_count, sizeof(*sightings), compare_sightings);
    r = 0;
    for (size_t first = 0, next; r == 0 && first < stream_count; first = next) {
        for (next = first; next < stream_count && sightings[next].id == sightings[first].id;)
            next++;
        r = judge_stream(shards, shard_count, &sightings[first], next - first);
    }
finish:
    free(sightings);
    free(shards);
    return r;
}

#include "stream_figures.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES       (STREAM_FIGURES_BEFORE_S + 1)
#define REPLACEABLE_S 60

struct sample {
    uint64_t heartbeats, expected;
    int64_t lost;
};

struct stream_record {
    uint64_t id;
    uint16_t target;
    uint64_t unknown_until;         /* the tick before which its samples are not the stream's own */
    struct sample samples[SAMPLES]; /* by tick % SAMPLES */
};

/* ---- order -------------------------------------------------------------------------------- */

static int compare(uint64_t id, uint16_t target, uint64_t other_id, uint16_t other_target)
{
    if (id != other_id)
        return id < other_id ? -1 : 1;
    return target < other_target ? -1 : target > other_target;
}

static int by_id(const void *left, const void *right)
{
    const struct presence_stream *a = *(const struct presence_stream *const *)left,
                                 *b = *(const struct presence_stream *const *)right;
    int order = compare(a->id, a->target, b->id, b->target);

    return order ? order : a->last_s < b->last_s ? -1 : a->last_s > b->last_s;
}

static bool is_record_of(const struct stream_record *record, const struct presence_stream *stream)
{
    return compare(record->id, record->target, stream->id, stream->target) == 0;
}

/* Sort the streams that are published, and return how many these are. */
static size_t sort(const struct presence_streams *list, const struct presence_stream **sorted)
{
    size_t count = 0, kept = 0;

    for (size_t i = 0; i < list->length; i++) {
        if (list->streams[i].last_s < STREAM_FIGURES_OLD_S)
            sorted[count++] = &list->streams[i];
    }
    qsort(sorted, count, sizeof(*sorted), by_id);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || compare(sorted[kept - 1]->id, sorted[kept - 1]->target, sorted[i]->id,
                                 sorted[i]->target) != 0)
            sorted[kept++] = sorted[i];
    }
    return kept;
}

/* ---- figures ------------------------------------------------------------------------------ */

static struct sample sample_of(const struct presence_stream *stream)
{
    return (struct sample){
        .heartbeats = stream->heartbeats,
        .expected = stream->expected,
        .lost = (int64_t)stream->lost,
    };
}

/* Begin a record. What a stream had before we knew it is nothing if it is young, and otherwise
 * what it has now: nobody can say what it lost meanwhile. */
static void begin_record(struct stream_record *record, const struct presence_stream *stream,
                         uint64_t tick)
{
    struct sample before = {0};

    *record = (struct stream_record){.id = stream->id, .target = stream->target};
    if (stream->first_s > STREAM_FIGURES_BEFORE_S) {
        before = sample_of(stream);
        record->unknown_until = tick;
    }
    for (unsigned i = 0; i < SAMPLES; i++)
        record->samples[i] = before;
}

/* Continue a record that had its last sample at tick `last`. */
static void continue_record(struct stream_record *record, const struct stream_record *known,
                            uint64_t last, uint64_t tick)
{
    const struct sample sample = known->samples[last % SAMPLES];
    uint64_t from = tick - last > SAMPLES ? tick - SAMPLES : last;

    *record = *known;
    for (uint64_t i = from + 1; i < tick; i++)
        record->samples[i % SAMPLES] = sample;
}

/* Fill in what a stream had 30 s ago. */
static void publish_before(const struct stream_record *record, uint64_t tick,
                           struct engine_stream *ret)
{
    const struct sample *before = &record->samples[(tick + 1) % SAMPLES];

    ret->heartbeats_before = before->heartbeats;
    ret->expected_before = before->expected;
    ret->lost_before = before->lost;
}

static void publish(struct stream_record *record, const struct presence_stream *stream,
                    uint64_t tick, struct engine_stream *ret)
{
    const struct sample now = sample_of(stream);

    record->samples[tick % SAMPLES] = now;
    *ret = (struct engine_stream){
        .id = stream->id,
        .target = stream->target,
        .age_s = stream->last_s,
        .heartbeats = now.heartbeats,
        .expected = now.expected,
        .lost = now.lost,
    };
    publish_before(record, tick, ret);
}

/* Make the records and figures of sorted streams; the last records are sorted likewise. */
static void take(const struct stream_figures *last, const struct presence_stream **sorted,
                 uint64_t tick, struct stream_figures *next)
{
    size_t known = 0;

    for (size_t i = 0; i < next->count; i++) {
        const struct presence_stream *stream = sorted[i];
        struct stream_record *record = &next->records[i];
        while (known < last->count && compare(last->records[known].id, last->records[known].target,
                                              stream->id, stream->target) < 0)
            known++;
        /* One that has lost what it had is another's: its segment is new. */
        if (known < last->count && tick >= last->tick &&
            is_record_of(&last->records[known], stream) &&
            last->records[known].samples[last->tick % SAMPLES].expected <= stream->expected)
            continue_record(record, &last->records[known], last->tick, tick);
        else
            begin_record(record, stream, tick);
        publish(record, stream, tick, &next->streams[i]);
    }
}

int stream_figures_update(struct stream_figures *figures, const struct presence_streams *list,
                          uint64_t tick)
{
    struct stream_figures next = {.tick = tick};
    const struct presence_stream **sorted = calloc(list->length + 1, sizeof(*sorted));

    if (!sorted)
        return -ENOMEM;
    next.count = sort(list, sorted);
    next.records = calloc(next.count + 1, sizeof(*next.records));
    next.streams = calloc(next.count + 1, sizeof(*next.streams));
    bool complete = next.records && next.streams;
    if (complete) {
        take(figures, sorted, tick, &next);
        stream_figures_free(figures);
        *figures = next;
    } else {
        stream_figures_free(&next);
    }
    free(sorted);
    return complete ? 0 : -ENOMEM;
}

/* ---- the last publisher's ------------------------------------------------------------------ */

/* Give a record that we have begun within the last 30 s the samples before that: until the tick
 * `written` what the stream had 30 s before it, and then what it had there. */
static void inherit(struct stream_record *record, const struct engine_stream *last,
                    uint64_t written, uint64_t tick)
{
    const struct sample then = {last->heartbeats, last->expected, last->lost},
                        before = {last->heartbeats_before, last->expected_before,
                                  last->lost_before};
    uint64_t from = tick > STREAM_FIGURES_BEFORE_S ? tick - STREAM_FIGURES_BEFORE_S : 0;

    /* One that has lost what it had is another's. */
    if (record->unknown_until <= from ||
        record->samples[record->unknown_until % SAMPLES].expected < then.expected ||
        then.expected < before.expected)
        return;
    for (uint64_t i = from; i < record->unknown_until; i++)
        record->samples[i % SAMPLES] = i < written ? before : then;
}

void stream_figures_inherit(struct stream_figures *figures, const struct engine_stream *streams,
                            size_t count, uint64_t age_s)
{
    uint64_t written = figures->tick > age_s ? figures->tick - age_s : 0;
    size_t known = 0;

    if (age_s > STREAM_FIGURES_BEFORE_S)
        return;
    for (size_t i = 0; i < figures->count; i++) {
        struct stream_record *record = &figures->records[i];
        while (known < count &&
               compare(streams[known].id, streams[known].target, record->id, record->target) < 0)
            known++;
        if (known == count ||
            compare(streams[known].id, streams[known].target, record->id, record->target) != 0)
            continue;
        inherit(record, &streams[known], written, figures->tick);
        publish_before(record, figures->tick, &figures->streams[i]);
    }
}

bool stream_figures_are_full(const struct presence_streams *list, uint32_t max)
{
    if (list->length < max)
        return false;
    for (size_t i = 0; i < list->length; i++) {
        if (list->streams[i].last_s > REPLACEABLE_S)
            return false;
    }
    return true;
}

void stream_figures_free(struct stream_figures *figures)
{
    free(figures->records);
    free(figures->streams);
    *figures = (struct stream_figures){0};
}

#include "engine_shard.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/place.h"
#include "common/text_stream.h"

#define FIGURES 9 /* of a stream's line, with the id */

const char *const engine_shard_fields[SHARD_FIELD_COUNT] = {
    [SHARD_FIELD_VERSION] = "version", [SHARD_FIELD_EPOCH] = "epoch",
    [SHARD_FIELD_SHARDS] = "shards",   [SHARD_FIELD_WINDOWS] = "windows",
    [SHARD_FIELD_STALE] = "stale",     [SHARD_FIELD_UNKNOWN] = "unknown",
    [SHARD_FIELD_WARMING] = "warming", [SHARD_FIELD_AS_OF] = "as_of",
    [SHARD_FIELD_SEGMENT] = "segment", [SHARD_FIELD_HOST] = "host",
    [SHARD_FIELD_STREAMS] = "streams", [SHARD_FIELD_STREAMS_FULL] = "streams_full",
};

static bool parse_hexadecimal(struct engine_text text, size_t digits, uint64_t *ret)
{
    uint64_t value = 0;

    if (!text.bytes || text.length != digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        char c = text.bytes[i];
        if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
            return false;
        value = value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *ret = value;
    return true;
}

static bool parse_flag(struct engine_text text, bool *ret)
{
    uint64_t value;

    if (!engine_text_number(text, 1, &value))
        return false;
    *ret = value == 1;
    return true;
}

/* Parse a text for people, which may be empty. */
static bool parse_words(struct engine_text text, char *ret, size_t size)
{
    return engine_text_copy(text, ret, size) && (!*ret || place_is_name(ret, size - 1));
}

static bool parse_windows(struct engine_text text, struct engine_shard *shard)
{
    uint64_t before = 0;

    while (text.bytes) {
        uint64_t window_s;
        if (shard->window_count == ENGINE_WINDOWS_MAX ||
            !engine_text_number(engine_text_cut(&text, ' '), PLACE_WINDOW_MAX, &window_s) ||
            window_s <= before)
            return false;
        shard->windows[shard->window_count++] = (uint32_t)window_s;
        before = window_s;
    }
    return shard->window_count > 0;
}

/* Parse a number that may be negative. */
static bool parse_gauge(struct engine_text text, int64_t *ret)
{
    bool negative = text.length > 0 && text.bytes[0] == '-';
    uint64_t size;

    if (negative)
        text = (struct engine_text){text.bytes + 1, text.length - 1};
    if (!engine_text_number(text, INT64_MAX, &size))
        return false;
    *ret = negative ? -(int64_t)size : (int64_t)size;
    return true;
}

static bool parse_stream(struct engine_text line, struct engine_stream *ret)
{
    struct engine_text figures[FIGURES];
    struct engine_stream stream;
    uint64_t target;

    for (size_t i = 0; i < FIGURES; i++)
        figures[i] = engine_text_cut(&line, ' ');
    if (line.bytes || !parse_hexadecimal(figures[0], 16, &stream.id) ||
        !engine_text_number(figures[1], UINT16_MAX, &target) ||
        !engine_text_number(figures[2], UINT64_MAX, &stream.age_s) ||
        !engine_text_number(figures[3], UINT64_MAX, &stream.heartbeats) ||
        !engine_text_number(figures[4], UINT64_MAX, &stream.expected) ||
        !parse_gauge(figures[5], &stream.lost) ||
        !engine_text_number(figures[6], UINT64_MAX, &stream.heartbeats_before) ||
        !engine_text_number(figures[7], UINT64_MAX, &stream.expected_before) ||
        !parse_gauge(figures[8], &stream.lost_before))
        return false;
    stream.target = (uint16_t)target;
    *ret = stream;
    return true;
}

static int compare_streams(const void *left, const void *right)
{
    const struct engine_stream *a = left, *b = right;

    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    return (a->target > b->target) - (a->target < b->target);
}

static size_t count_lines(struct engine_text text)
{
    size_t count = 0;

    for (size_t i = 0; i < text.length; i++)
        count += text.bytes[i] == '\n';
    return count;
}

static int parse_streams(struct engine_text text, struct engine_shard *shard)
{
    size_t count = count_lines(text);

    if (!text.bytes || count > ENGINE_STREAMS_MAX ||
        (text.length > 0 && text.bytes[text.length - 1] != '\n'))
        return -EBADMSG;
    struct engine_stream *streams = calloc(count + 1, sizeof(*streams));
    if (!streams)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (parse_stream(engine_text_cut(&text, '\n'), &streams[i]))
            continue;
        free(streams);
        return -EBADMSG;
    }
    qsort(streams, count, sizeof(*streams), compare_streams);
    shard->streams = streams;
    shard->stream_count = count;
    return 0;
}

/* Parse everything but the streams. */
static bool parse_rest(const struct engine_text *values, struct engine_shard *shard)
{
    uint64_t shards, as_of, epoch;

    if (!engine_text_number(values[SHARD_FIELD_SHARDS], ENGINE_SHARDS_MAX, &shards) ||
        shards == 0 || !parse_hexadecimal(values[SHARD_FIELD_EPOCH], 16, &epoch) ||
        !parse_windows(values[SHARD_FIELD_WINDOWS], shard) ||
        !parse_flag(values[SHARD_FIELD_STALE], &shard->stale) ||
        !parse_flag(values[SHARD_FIELD_UNKNOWN], &shard->unknown) ||
        !parse_flag(values[SHARD_FIELD_WARMING], &shard->warming) ||
        !parse_flag(values[SHARD_FIELD_STREAMS_FULL], &shard->streams_full) ||
        !engine_text_number(values[SHARD_FIELD_AS_OF], ENGINE_TIME_MAX, &as_of) ||
        !parse_words(values[SHARD_FIELD_SEGMENT], shard->segment, sizeof(shard->segment)) ||
        !parse_words(values[SHARD_FIELD_HOST], shard->host, sizeof(shard->host)))
        return false;
    engine_text_copy(values[SHARD_FIELD_EPOCH], shard->epoch, sizeof(shard->epoch));
    shard->shards = (uint32_t)shards;
    shard->as_of = (int64_t)as_of;
    return true;
}

int engine_shard_parse(const struct engine_text values[SHARD_FIELD_COUNT], struct engine_shard *ret)
{
    struct engine_shard shard = {0};
    uint64_t version;
    size_t there = 0;

    for (size_t i = 0; i < SHARD_FIELD_COUNT; i++)
        there += values[i].bytes != NULL;
    if (there == 0)
        return -ENODATA;
    if (!engine_text_number(values[SHARD_FIELD_VERSION], UINT32_MAX, &version))
        return -EBADMSG;
    if (version != ENGINE_VERSION)
        return -EPROTO;
    shard.version = (uint32_t)version;
    if (!parse_rest(values, &shard))
        return -EBADMSG;
    int r = parse_streams(values[SHARD_FIELD_STREAMS], &shard);
    if (r < 0)
        return r;
    *ret = shard;
    return 0;
}

int engine_shard_format_streams(const struct engine_stream *streams, size_t count, char **ret,
                                size_t *ret_length)
{
    struct text_stream opened;
    FILE *out = text_stream_open(&opened);

    if (!out)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct engine_stream *stream = &streams[i];
        fprintf(out,
                "%016" PRIx64 " %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRIu64
                " %" PRIu64 " %" PRId64 "\n",
                stream->id, stream->target, stream->age_s, stream->heartbeats, stream->expected,
                stream->lost, stream->heartbeats_before, stream->expected_before,
                stream->lost_before);
    }
    char *text = text_stream_close(&opened, ret_length);
    if (!text)
        return -ENOMEM;
    *ret = text;
    return 0;
}

void engine_shard_free(struct engine_shard *shard)
{
    free(shard->streams);
    *shard = (struct engine_shard){0};
}

struct engine_loss engine_shard_loss(const struct engine_shard *shard)
{
    uint64_t expected = 0, lost = 0;

    for (size_t i = 0; i < shard->stream_count; i++) {
        const struct engine_stream *stream = &shard->streams[i];
        expected += stream->expected - stream->expected_before;
        lost += (uint64_t)stream->lost - (uint64_t)stream->lost_before;
    }
    return (struct engine_loss){expected, (int64_t)lost};
}

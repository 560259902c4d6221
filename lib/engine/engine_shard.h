/* engine_shard.h - the state of a shard, {presence}:GROUP:K, as its publisher writes it once a
 * second and readers parse it. Any thread.
 *
 * Fields, all of them always there:
 *
 *   version   ENGINE_VERSION
 *   epoch     of the hashes with counts (engine_keys.h)
 *   shards    n, as this publisher was told: it must be that of {presence}:groups
 *   windows   those that are published, seconds, such as "60 300"
 *   stale     1: the collector is stale (R6), or the publisher has ended
 *   unknown   1: a site that isn't there is unknown, and so are its rooms (R6): one was refused
 *   warming   1: the collector warms up
 *   as_of     Unix seconds of the tick of all counts, by the collector's wall clock
 *   segment   identifies the segment that was read
 *   host      the machine's name, for people
 *   streams   a line for each stream and target, see below
 *   streams_full  1: the collector knows no more streams: one that isn't there may be there
 *
 * A line of `streams`: ID TARGET AGE HEARTBEATS EXPECTED LOST HEARTBEATS30 EXPECTED30 LOST30 and a
 * line feed, the ID in 16 hexadecimal digits, all others in decimal. AGE is that of the last
 * datagram at the tick, seconds. What ends in 30 is what the same figure was 30 s ago (0 before its
 * first datagram). Streams that were silent for an hour are left out.
 *
 * How old the state is says the engine's clock alone: each write sets the key to expire after
 * ENGINE_LIFETIME_MS, and what PTTL lacks of that is its age.
 */
#ifndef PRESENCE_ENGINE_SHARD_H
#define PRESENCE_ENGINE_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine_keys.h"
#include "engine_text.h"

#define ENGINE_EPOCH_SIZE   17 /* hexadecimal digits and a terminator */
#define ENGINE_SEGMENT_SIZE 64
#define ENGINE_HOST_SIZE    65
#define ENGINE_WINDOWS_MAX  8                     /* that one publisher publishes */
#define ENGINE_STREAMS_MAX  65536                 /* that a reader takes from one shard */
#define ENGINE_TIME_MAX     INT64_C(253402300799) /* Unix seconds: the end of the year 9999 */

struct engine_stream {
    uint64_t id;
    uint64_t age_s; /* of the last datagram, at the tick */
    uint64_t heartbeats, expected;
    int64_t lost;                                /* a gauge */
    uint64_t heartbeats_before, expected_before; /* 30 s ago */
    int64_t lost_before;
    uint16_t target;
};

struct engine_shard {
    uint32_t version, shards;
    char epoch[ENGINE_EPOCH_SIZE];
    char segment[ENGINE_SEGMENT_SIZE];
    char host[ENGINE_HOST_SIZE];
    uint32_t windows[ENGINE_WINDOWS_MAX]; /* seconds, ascending */
    unsigned window_count;
    bool stale, unknown, warming, streams_full;
    int64_t as_of;
    struct engine_stream *streams; /* allocated; by id, then by target */
    size_t stream_count;
};

/* The names of the fields, in the order of the list above. */
enum engine_shard_field {
    SHARD_FIELD_VERSION,
    SHARD_FIELD_EPOCH,
    SHARD_FIELD_SHARDS,
    SHARD_FIELD_WINDOWS,
    SHARD_FIELD_STALE,
    SHARD_FIELD_UNKNOWN,
    SHARD_FIELD_WARMING,
    SHARD_FIELD_AS_OF,
    SHARD_FIELD_SEGMENT,
    SHARD_FIELD_HOST,
    SHARD_FIELD_STREAMS,
    SHARD_FIELD_STREAMS_FULL,
    SHARD_FIELD_COUNT,
};
extern const char *const engine_shard_fields[SHARD_FIELD_COUNT];

/* Parse the values of all fields; release `ret->streams` with engine_shard_free. Everything is
 * judged: lengths, characters, and that numbers are within their bounds. Errors: -ENODATA the state
 * isn't there (none of its fields is); -EPROTO it is of another version; -EBADMSG it is damaged;
 * -ENOMEM. */
int engine_shard_parse(const struct engine_text values[SHARD_FIELD_COUNT],
                       struct engine_shard *ret);

/* Format the lines of `streams`; free `*ret`. Errors: -ENOMEM. */
int engine_shard_format_streams(const struct engine_stream *streams, size_t count, char **ret,
                                size_t *ret_length);

void engine_shard_free(struct engine_shard *shard);

/* Datagrams of all streams in the last 30 s. */
struct engine_loss {
    uint64_t expected;
    int64_t lost; /* less than 0: some that were late came */
};

/* Sum up the streams of a shard. Figures that nobody can have make sums that wrap around. */
struct engine_loss engine_shard_loss(const struct engine_shard *shard);

#endif

/* check_streams.c - compare streams, in the collector's segment and as they are listed, with the
 * oracle. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "core/stream.h"
#include "scenario.h"

#define REMEMBERED 1024

static const struct streams *streams_of(const struct scenario *scenario)
{
    return &scenario->fixture->collector.file.segment.streams;
}

static struct oracle_stream_key key_of(const struct stream *stream)
{
    return (struct oracle_stream_key){stream->id, stream->target, stream->key_id};
}

static bool is_gone(void *context, const struct oracle_stream_key *key)
{
    const struct streams *streams = streams_of(context);

    for (unsigned i = 0; i < streams->capacity; i++) {
        struct oracle_stream_key kept = key_of(&streams->slots[i]);
        if (streams->slots[i].version && kept.id == key->id && kept.target == key->target &&
            kept.key == key->key)
            return false;
    }
    return true;
}

void check_streams_open(struct scenario *scenario)
{
    struct oracle_streams *streams = &scenario->oracle.streams;

    oracle_streams_open(streams, scenario->variant->max_streams);
    streams->is_gone = is_gone;
    streams->context = scenario;
}

static void expect(const struct scenario *scenario, const struct oracle_stream *expected,
                   const char *what, uint64_t got, uint64_t value)
{
    if (got != value)
        scenario_fail(scenario, "stream %llx to target %u with key %u: %s %llu, not %llu",
                      (unsigned long long)expected->key.id, expected->key.target, expected->key.key,
                      what, (unsigned long long)got, (unsigned long long)value);
}

/* Check which of the last sequences were seen. */
static void check_seen(const struct scenario *scenario, const struct oracle_stream *expected,
                       const struct stream *stream)
{
    for (unsigned i = 0; i < REMEMBERED; i++) {
        uint64_t sequence = expected->highest - i;
        unsigned bit = sequence % REMEMBERED;
        bool is_seen = stream->seen[bit / 64] >> bit % 64 & 1;
        if (is_seen != oracle_stream_has(expected, sequence))
            scenario_fail(scenario, "stream %llx: %u before the highest, %u, was %sseen",
                          (unsigned long long)expected->key.id, i, (uint32_t)expected->highest,
                          is_seen ? "" : "not ");
    }
}

static void check_stream(const struct scenario *scenario, const struct stream *stream)
{
    struct oracle_stream_key key = key_of(stream);
    const struct oracle_stream *expected = oracle_streams_find(&scenario->oracle.streams, &key);

    if (!expected)
        scenario_fail(scenario, "there must be no stream %llx to target %u with key %u",
                      (unsigned long long)key.id, key.target, key.key);
    expect(scenario, expected, "is being written", stream->version & 1, 0);
    expect(scenario, expected, "received", stream->received, expected->received);
    expect(scenario, expected, "expected", stream_expected(stream),
           oracle_stream_expected(expected));
    expect(scenario, expected, "duplicates", stream->duplicates, expected->duplicates);
    expect(scenario, expected, "heartbeats", stream->heartbeats, expected->heartbeats);
    expect(scenario, expected, "first tick", stream->first_tick, expected->first);
    expect(scenario, expected, "last tick", stream->last_tick, expected->last);
    expect(scenario, expected, "highest", (uint32_t)stream->highest, (uint32_t)expected->highest);
    expect(scenario, expected, "family", stream->family, expected->sender.family);
    if (!expected->sender.family)
        return;
    expect(scenario, expected, "port", stream->port, expected->sender.port);
    if (memcmp(stream->address, expected->sender.address, sizeof(stream->address)) != 0)
        expect(scenario, expected, "address is another one", 1, 0);
}

void check_streams(struct scenario *scenario)
{
    const struct streams *streams = streams_of(scenario);
    unsigned kept = 0;

    for (unsigned i = 0; i < streams->capacity; i++) {
        const struct stream *stream = &streams->slots[i];
        if (!stream->version)
            continue;
        kept++;
        check_stream(scenario, stream);
        struct oracle_stream_key key = key_of(stream);
        if (scenario->step % 20 == 0)
            check_seen(scenario, oracle_streams_find(&scenario->oracle.streams, &key), stream);
    }
    if (kept != scenario->oracle.streams.length)
        scenario_fail(scenario, "there are %u streams, not %u", kept,
                      scenario->oracle.streams.length);
}

/* ---- what libpresence tells ------------------------------------------------------------------ */

static void format_address(const struct oracle_sender *sender, char ret[INET6_ADDRSTRLEN])
{
    ret[0] = '\0';
    if (sender->family)
        inet_ntop(sender->family == 4 ? AF_INET : AF_INET6, sender->address, ret, INET6_ADDRSTRLEN);
}

/* True if another stream of the same sender to the same target began after this one, and was heard
 * as late. */
static bool has_successor(const struct presence_streams *list, const struct presence_stream *stream)
{
    for (size_t i = 0; i < list->length; i++) {
        const struct presence_stream *other = &list->streams[i];
        if (*stream->address && strcmp(other->address, stream->address) == 0 &&
            other->key_id == stream->key_id && other->target == stream->target &&
            other->first_s < stream->first_s && other->last_s <= stream->last_s)
            return true;
    }
    return false;
}

static void check_listed(const struct scenario *scenario, const struct presence_streams *list,
                         const struct presence_stream *stream)
{
    struct oracle_stream_key key = {stream->id, stream->target, stream->key_id};
    const struct oracle_stream *expected = oracle_streams_find(&scenario->oracle.streams, &key);
    char address[INET6_ADDRSTRLEN];

    if (!expected)
        scenario_fail(scenario, "there is no stream %llx to target %u with key %u to list",
                      (unsigned long long)key.id, key.target, key.key);
    uint64_t sent = oracle_stream_expected(expected), silence = scenario->tick - expected->last;
    bool is_silent = silence > 3 && scenario->tick - scenario->listening_since > 3;
    expect(scenario, expected, "listed as received", stream->received, expected->received);
    expect(scenario, expected, "listed as expected", stream->expected, sent);
    expect(scenario, expected, "listed as lost", stream->lost, sent - expected->received);
    expect(scenario, expected, "listed duplicates", stream->duplicates, expected->duplicates);
    expect(scenario, expected, "listed datagrams", stream->datagrams,
           expected->received + expected->duplicates);
    expect(scenario, expected, "listed heartbeats", stream->heartbeats, expected->heartbeats);
    expect(scenario, expected, "age of the first", stream->first_s,
           scenario->tick - expected->first);
    expect(scenario, expected, "age of the last", stream->last_s, silence);
    expect(scenario, expected, "listed as silent", stream->silent, is_silent);
    if (stream->restarted)
        expect(scenario, expected, "restarted, silent and followed by another",
               is_silent && has_successor(list, stream), true);
    format_address(&expected->sender, address);
    if (strcmp(stream->address, address) != 0 ||
        (*address && stream->port != expected->sender.port))
        scenario_fail(scenario, "stream %llx is of %s port %u, not %s port %u",
                      (unsigned long long)key.id, stream->address, stream->port, address,
                      expected->sender.port);
}

void check_listed_streams(struct scenario *scenario)
{
    struct presence_streams list;
    int r = presence_streams(scenario->reader, &list);

    if (scenario->oracle.streams.capacity == 0) {
        if (r != -EOPNOTSUPP)
            scenario_fail(scenario, "presence_streams without streams: %s", strerror(-r));
        return;
    }
    if (r < 0)
        scenario_fail(scenario, "presence_streams: %s", strerror(-r));
    if (list.length != scenario->oracle.streams.length)
        scenario_fail(scenario, "%zu streams are listed, not %u", list.length,
                      scenario->oracle.streams.length);
    for (size_t i = 0; i < list.length; i++) {
        check_listed(scenario, &list, &list.streams[i]);
        if (i > 0 && list.streams[i].last_s < list.streams[i - 1].last_s)
            scenario_fail(scenario, "stream %zu of the list was heard after the one before", i);
    }
    presence_streams_free(&list);
}

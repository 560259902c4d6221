/* bench_engine.c - the cost of one total of a room over all shards of groups, for who asks: from
 * the question to the answer, over a connection that is open.
 *
 * bench_engine --url URL [--groups N] [--shards N] [--rooms N] [--streams N] [--totals N] [--fill]
 *
 * --fill first writes the groups' states and counts, as publishers would. Prints the wall time of
 * each total in microseconds: the median, and what 99 % stay within.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/monotonic.h"
#include "engine/engine_reader.h"
#include "engine/engine_shard.h"

#include "bench.h"

#define SITE       "example.com"
#define EPOCH      "0123456789abcdef"
#define WINDOW_S   300
#define TOTALS_MAX 1000000

struct wanted {
    struct engine_options engine;
    unsigned groups, shards, rooms, streams, totals;
    bool fill;
};

static int64_t deadline(void)
{
    return monotonic_ns() + 10 * NS_PER_S;
}

static void add_state(struct engine_request *request, const char *key, const struct wanted *wanted)
{
    struct engine_stream *streams = calloc(wanted->streams, sizeof(*streams));
    char shards[16], as_of[24], *text;
    size_t length;

    if (!streams)
        bench_fail("out of memory");
    for (unsigned i = 0; i < wanted->streams; i++)
        streams[i] = (struct engine_stream){.id = i + 1, .heartbeats = 1000, .expected = 5000};
    if (engine_shard_format_streams(streams, wanted->streams, &text, &length) < 0)
        bench_fail("out of memory");
    snprintf(shards, sizeof(shards), "%u", wanted->shards);
    snprintf(as_of, sizeof(as_of), "%" PRId64, monotonic_of(CLOCK_REALTIME) / NS_PER_S);
    engine_request_add(request, "HSET", key, "version", "1", "epoch", EPOCH, "shards", shards,
                       "windows", "300", "stale", "0", "unknown", "0", "warming", "0", "as_of",
                       as_of, "segment", "1", "host", "bench", "streams", text, "streams_full", "0",
                       NULL);
    engine_request_add(request, "PEXPIRE", key, "7200000", NULL);
    free(text);
    free(streams);
}

static void add_counts(struct engine_request *request, const char *group, unsigned shard,
                       unsigned rooms)
{
    char key[ENGINE_KEY_MAX], field[ENGINE_FIELD_MAX], room[32];

    engine_key_sites(group, shard, WINDOW_S, key);
    engine_request_add(request, "HSET", key, "", EPOCH, SITE, "100000", NULL);
    engine_key_site(group, shard, WINDOW_S, SITE, key);
    engine_request_add(request, "HSET", key, "", EPOCH, NULL);
    for (unsigned i = 0; i < rooms; i++) {
        snprintf(room, sizeof(room), "/articles/%u", i);
        engine_field(PRESENCE_ROOM, SITE, room, field);
        engine_request_add(request, "HSET", key, field, "7", NULL);
    }
}

/* Write all groups; their states are fresh for 4 s. */
static void fill(struct engine_link *link, const struct wanted *wanted, bool counts)
{
    struct engine_request request = {0};
    redisReply **replies;

    for (unsigned i = 0; i < wanted->groups; i++) {
        char group[16], shards[16], key[ENGINE_KEY_MAX];
        snprintf(group, sizeof(group), "g%u", i);
        snprintf(shards, sizeof(shards), "%u", wanted->shards);
        engine_request_add(&request, "HSET", ENGINE_KEY_GROUPS, group, shards, NULL);
        for (unsigned shard = 1; shard <= wanted->shards; shard++) {
            engine_key_shard(group, shard, key);
            add_state(&request, key, wanted);
            if (counts)
                add_counts(&request, group, shard, wanted->rooms);
        }
    }
    if (engine_link_call(link, &request, deadline(), &replies) < 0)
        bench_fail("cannot use the engine: %s", engine_link_problem(link));
    engine_replies_free(replies, request.commands);
    engine_request_free(&request);
}

static double take_total(struct engine_reader *reader, const struct wanted *wanted, unsigned room)
{
    char name[32];
    struct engine_query query = {
        .kind = PRESENCE_ROOM, .site = SITE, .name = name, .window_s = WINDOW_S};
    struct engine_poll poll = {.queries = &query, .query_count = 1};

    snprintf(name, sizeof(name), "/articles/%u", room % wanted->rooms);
    double start = bench_wall_s();
    int r = engine_reader_poll(reader, &poll, deadline());
    double taken = bench_wall_s() - start;
    if (r < 0)
        bench_fail("cannot use the engine: %s", engine_reader_problem(reader));
    if (query.reading.count != 7 * wanted->shards || query.reading.stale)
        bench_fail("%s has %" PRIu64 " visitors", name, query.reading.count);
    return taken * 1e6;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

static void measure(struct engine_link *link, struct engine_reader *reader,
                    const struct wanted *wanted)
{
    double *taken = calloc(wanted->totals, sizeof(*taken));
    double filled = bench_wall_s();

    if (!taken)
        bench_fail("out of memory");
    take_total(reader, wanted, 0); /* connects, and finds the groups */
    for (unsigned i = 0; i < wanted->totals; i++) {
        if (bench_wall_s() > filled + 1) {
            fill(link, wanted, false);
            filled = bench_wall_s();
        }
        taken[i] = take_total(reader, wanted, i);
    }
    qsort(taken, wanted->totals, sizeof(*taken), compare);
    printf("{\"totals\":%u,\"us\":%.1f,\"us_99\":%.1f}\n", wanted->totals,
           taken[wanted->totals / 2], taken[(uint64_t)wanted->totals * 99 / 100]);
    free(taken);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"url", required_argument, NULL, 'u'},     {"groups", required_argument, NULL, 'g'},
        {"shards", required_argument, NULL, 's'},  {"rooms", required_argument, NULL, 'r'},
        {"streams", required_argument, NULL, 'S'}, {"totals", required_argument, NULL, 't'},
        {"fill", no_argument, NULL, 'f'},          {0},
    };
    struct wanted wanted = {.groups = 1, .shards = 3, .rooms = 1000, .streams = 4, .totals = 10000};
    char problem[ENGINE_PROBLEM_SIZE];
    struct engine_link *link;
    struct engine_reader *reader;

    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'u')
            wanted.engine.url = optarg;
        else if (option == 'g')
            wanted.groups = (unsigned)bench_number("--groups", optarg, ENGINE_GROUPS_MAX);
        else if (option == 's')
            wanted.shards = (unsigned)bench_number("--shards", optarg, ENGINE_SHARDS_MAX);
        else if (option == 'r')
            wanted.rooms = (unsigned)bench_number("--rooms", optarg, 1000000);
        else if (option == 'S')
            wanted.streams = (unsigned)bench_number("--streams", optarg, ENGINE_STREAMS_MAX);
        else if (option == 't')
            wanted.totals = (unsigned)bench_number("--totals", optarg, TOTALS_MAX);
        else if (option == 'f')
            wanted.fill = true;
        else
            return 2;
    }
    if (!wanted.engine.url || engine_link_open(&wanted.engine, &link, problem) < 0 ||
        engine_reader_open(&wanted.engine, &reader, problem) < 0)
        bench_fail("--url: %s", wanted.engine.url ? problem : "missing");
    fill(link, &wanted, wanted.fill);
    measure(link, reader, &wanted);
    engine_reader_close(reader);
    engine_link_close(link);
    return 0;
}

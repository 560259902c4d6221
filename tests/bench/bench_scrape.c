/* bench_scrape.c - the cost of a scrape for the exporter: read everything from the segment, and
 * format it as text.
 *
 * bench_scrape [--rooms N] [--visitors N] [--windows N] [--rounds N]
 *
 * A site with that many rooms of that many visitors each; all of them are shown, in that many
 * windows. Prints the bytes of a scrape and all rounds' microseconds.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "metrics.h"
#include "snapshot.h"

#define SITE        "example.com"
#define SCRAPES     20 /* per round */
#define ROOMS_MAX   100000
#define ROUNDS_MAX  1000
#define OTHER_SCOPE 10 /* the site, and some spare */

static void fill(struct bench *bench, uint64_t rooms, uint64_t visitors)
{
    struct ingest *ingest = bench_ingest_open(bench, 0);
    char room[32];

    for (uint64_t i = 0; i < rooms; i++) {
        snprintf(room, sizeof(room), "/articles/%u", (unsigned)i);
        struct wire_heartbeat heartbeat = {
            .site = {(const uint8_t *)SITE, sizeof(SITE) - 1},
            .room = {(const uint8_t *)room, (uint32_t)strlen(room)},
            .kind = WIRE_HEARTBEAT,
        };
        bench_arrive(ingest, heartbeat, i * visitors, visitors);
    }
    ingest_close(ingest);
}

/* Scrape once, and return the bytes. */
static size_t scrape(struct segment_source *source, const struct options *options)
{
    struct snapshot snapshot;
    char *text;
    size_t length;
    int r = snapshot_load(source, options, &snapshot);

    if (r < 0 || !snapshot.up)
        bench_fail("the segment cannot be read: %s", strerror(-r));
    if (snapshot.windows[0].busiest[PRESENCE_ROOM].length != options->limits[PRESENCE_ROOM])
        bench_fail("%zu rooms are shown", snapshot.windows[0].busiest[PRESENCE_ROOM].length);
    FILE *out = open_memstream(&text, &length);
    if (!out)
        bench_fail("no memory");
    struct exposition exposition = {.out = out, .format = FORMAT_OPENMETRICS};
    metrics_write(&exposition, &snapshot);
    fclose(out);
    free(text);
    snapshot_free(&snapshot);
    return length;
}

static void run(struct bench *bench, const struct options *options, uint64_t rounds)
{
    struct segment_source source;

    segment_source_init(&source, bench->path);
    size_t bytes = scrape(&source, options); /* maps the segment's pages, too */
    printf("{\"rooms\":%u,\"windows\":%u,\"bytes\":%zu,\"us\":[", options->limits[PRESENCE_ROOM],
           options->window_count, bytes);
    for (uint64_t i = 0; i < rounds; i++) {
        double start = bench_cpu_s();
        for (int times = 0; times < SCRAPES; times++)
            scrape(&source, options);
        printf("%s%.1f", i ? "," : "", (bench_cpu_s() - start) / SCRAPES * 1e6);
    }
    puts("]}");
    segment_source_close(&source);
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {{"rooms", required_argument, NULL, 'r'},
                                                 {"visitors", required_argument, NULL, 'v'},
                                                 {"windows", required_argument, NULL, 'w'},
                                                 {"rounds", required_argument, NULL, 'n'},
                                                 {0}};
    uint64_t rooms = 1000, visitors = 10, windows = 1, rounds = 10;
    int option;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (option == 'r')
            rooms = bench_number("rooms", optarg, ROOMS_MAX);
        else if (option == 'v')
            visitors = bench_number("visitors", optarg, 1000);
        else if (option == 'w')
            windows = bench_number("windows", optarg, OPTIONS_WINDOWS_MAX);
        else if (option == 'n')
            rounds = bench_number("rounds", optarg, ROUNDS_MAX);
        else
            return 2;
    }
    const struct segment_settings settings = {.max_entries = rooms * visitors * 2,
                                              .max_scopes = (uint32_t)rooms + OTHER_SCOPE,
                                              .max_window = WINDOW_MAX};
    struct options options = {
        .window_count = (unsigned)windows,
        .limits = {[PRESENCE_SITE] = 100, [PRESENCE_ROOM] = (uint32_t)rooms},
    };
    for (uint64_t i = 0; i < windows; i++)
        options.windows[i] = (uint32_t)(i + 1) * 60;
    struct bench *bench = bench_open(&settings, 1, true);
    fill(bench, rooms, visitors);
    run(bench, &options, rounds);
    bench_close(bench);
    return 0;
}

/* bench_count.c - the cost of one count through libpresence for a reader: it should not depend on
 * how many visitors, sites or seconds are counted, except for cache misses.
 *
 * bench_count [--visitors N]... [--sites N] [--window S] [--rounds N]
 *
 * A round is 100,000 counts; all rounds are printed as moments, in counts a second (see
 * core_share.h). With more than one site they are counted in turn; with more than one number of
 * visitors each has a collector of its own, and a round counts them in turn, too.
 */
#include <getopt.h>
#include <presence/presence.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_share.h"

#define COUNTS     100000
#define SITES_MAX  1000000
#define ROUNDS_MAX 1000
#define SIZES_MAX  8

static void name_site(uint64_t number, char name[32])
{
    snprintf(name, 32, "site-%u.example", (unsigned)number);
}

static void fill(struct bench *bench, uint64_t sites, uint64_t visitors)
{
    struct ingest *ingest = bench_ingest_open(bench, 0);
    char site[32];

    for (uint64_t i = 0; i < sites; i++) {
        name_site(i, site);
        struct wire_heartbeat heartbeat = {
            .site = {(const uint8_t *)site, (uint32_t)strlen(site)},
            .kind = WIRE_HEARTBEAT,
        };
        bench_arrive(ingest, heartbeat, 0, visitors);
    }
    ingest_close(ingest);
}

static struct core_moment measure(struct presence *presence, char (*names)[32], uint64_t sites,
                                  uint32_t window_s, uint64_t visitors)
{
    struct presence_reading reading;
    double before = core_share_ns(), start = bench_wall_s();

    for (unsigned i = 0, site = 0; i < COUNTS; i++) {
        int r = presence_count(presence, names[site], NULL, window_s, &reading);
        if (r < 0 || reading.count != visitors)
            bench_fail("%s has %llu visitors and %u are counted: %s", names[site],
                       (unsigned long long)visitors, r < 0 ? 0 : reading.count, strerror(-r));
        if (++site == sites)
            site = 0;
    }
    double taken = bench_wall_s() - start, after = core_share_ns();
    return (struct core_moment){core_longer(before, after), COUNTS / taken};
}

/* One number of visitors: its collector, a reader, and its rounds. */
struct size {
    uint64_t visitors;
    struct bench *bench;
    struct presence *presence;
    struct core_moment rounds[ROUNDS_MAX];
};

static void open_size(struct size *size, uint64_t sites)
{
    const struct segment_settings settings = {.max_entries = sites * size->visitors,
                                              .max_scopes = (uint32_t)sites + 10,
                                              .max_window = WINDOW_MAX};

    size->bench = bench_open(&settings, 1, true);
    fill(size->bench, sites, size->visitors);
    int r = presence_open(size->bench->path, &size->presence);
    if (r < 0)
        bench_fail("cannot read %s: %s", size->bench->path, strerror(-r));
}

static void close_size(struct size *size)
{
    presence_close(size->presence);
    bench_close(size->bench);
}

static void print_size(const struct size *size, uint64_t sites, uint32_t window_s, uint64_t rounds)
{
    printf("{\"visitors\":%llu,\"sites\":%llu,\"window_s\":%u,\"rounds\":",
           (unsigned long long)size->visitors, (unsigned long long)sites, window_s);
    core_moments_print(size->rounds, rounds);
    puts("}");
}

static void run(struct size *sizes, unsigned count, uint64_t sites, uint32_t window_s,
                uint64_t rounds)
{
    char(*names)[32] = calloc(sites, sizeof(*names));

    if (!names)
        bench_fail("no memory");
    for (uint64_t i = 0; i < sites; i++)
        name_site(i, names[i]);
    for (unsigned i = 0; i < count; i++)
        open_size(&sizes[i], sites);
    for (uint64_t i = 0; i < rounds; i++)
        for (unsigned j = 0; j < count; j++)
            sizes[j].rounds[i] =
                measure(sizes[j].presence, names, sites, window_s, sizes[j].visitors);
    for (unsigned i = 0; i < count; i++) {
        print_size(&sizes[i], sites, window_s, rounds);
        close_size(&sizes[i]);
    }
    free(names);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"visitors", required_argument, NULL, 'v'},
                                            {"sites", required_argument, NULL, 's'},
                                            {"window", required_argument, NULL, 'w'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {0}};
    static struct size sizes[SIZES_MAX];
    uint64_t sites = 1, rounds = 10;
    uint32_t window_s = 300;
    unsigned count = 0;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'v' && count < SIZES_MAX)
            sizes[count++].visitors = bench_number("visitors", optarg, UINT32_MAX);
        else if (option == 's')
            sites = bench_number("sites", optarg, SITES_MAX);
        else if (option == 'w')
            window_s = (uint32_t)bench_number("window", optarg, WINDOW_MAX);
        else if (option == 'r')
            rounds = bench_number("rounds", optarg, ROUNDS_MAX);
        else
            return 2;
    }
    if (count == 0)
        sizes[count++].visitors = 1000;
    run(sizes, count, sites, window_s, rounds);
    return 0;
}

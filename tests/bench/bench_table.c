/* bench_table.c - how many updates a second the visitor table takes, alone, on one core: the limit
 * of everything that ends in it. Keys in random order, in batches of 64 with prefetch.
 *
 *   bench_table [--visitors N] [--milliseconds T] [--rounds N]
 */
#include <getopt.h>
#include <stdio.h>

#include "bench.h"

#define IN_FLIGHT 64

static void ignore_move(void *context, uint64_t tick, int delta)
{
    (void)tick;
    *(int64_t *)context += delta;
}

static struct table_key key_of(const struct table *table, uint64_t number)
{
    static const struct scope_key key = {{1, 2, 3, 4, 5, 6}};
    uint8_t id[WIRE_VISITOR_SIZE];

    bench_visitor(number, id);
    return table_key(hash_visitor(&key, id), table->pairs);
}

static void refresh(const struct table *table, uint64_t visitors, uint64_t tick, uint64_t *random,
                    int64_t *sum)
{
    struct table_key keys[IN_FLIGHT];

    for (int i = 0; i < IN_FLIGHT; i++)
        keys[i] = key_of(table, bench_random(random) % visitors);
    for (int i = 0; i < IN_FLIGHT; i++) {
        table_prefetch(table, keys[i].pair[0]);
        table_prefetch(table, keys[i].pair[1]);
    }
    for (int i = 0; i < IN_FLIGHT; i++)
        table_upsert(table, keys[i], tick, ignore_move, sum);
}

static void run(struct bench *bench, uint64_t visitors, double seconds, uint64_t *random)
{
    const struct table *table = &bench->collector.file.segment.table;
    double start = bench_cpu_s(), used;
    uint64_t updates = 0;
    int64_t sum = 0;

    do {
        bench->tick++;
        for (int i = 0; i < 1000; i++)
            refresh(table, visitors, bench->tick, random, &sum);
        updates += 1000 * IN_FLIGHT;
        used = bench_cpu_s() - start;
    } while (used < seconds);
    printf("{\"visitors\":%llu,\"updates\":%llu,\"cpu_s\":%.6f}\n", (unsigned long long)visitors,
           (unsigned long long)updates, used);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"visitors", required_argument, NULL, 'v'},
                                            {"milliseconds", required_argument, NULL, 't'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {0}};
    uint64_t visitors = 10000000, milliseconds = 1000, rounds = 1, random = 1;
    int64_t sum = 0;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'v')
            visitors = bench_number("visitors", optarg, UINT32_MAX);
        else if (option == 't')
            milliseconds = bench_number("milliseconds", optarg, 3600000);
        else if (option == 'r')
            rounds = bench_number("rounds", optarg, 1000);
        else
            return 2;
    }
    const struct segment_settings settings = {
        .max_visitors = visitors, .max_scopes = 16, .max_window = 3600};
    struct bench *bench = bench_open(&settings, 1, false);
    const struct table *table = &bench->collector.file.segment.table;
    for (uint64_t i = 0; i < visitors; i++)
        table_upsert(table, key_of(table, i), bench->tick, ignore_move, &sum);
    for (uint64_t i = 0; i < rounds; i++)
        run(bench, visitors, (double)milliseconds / 1e3, &random);
    bench_close(bench);
    return 0;
}

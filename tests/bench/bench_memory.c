/* bench_memory.c - how much memory visitors need, and how full the table gets before it refuses the
 * first one.
 *
 * bench_memory [--visitors N]
 *
 * A segment for N visitors is filled with N, none of which it should refuse; then with more until
 * it does.
 */
#include <getopt.h>
#include <stdio.h>

#include "bench.h"

#define STEP 100 /* visitors between checks */

int main(int argc, char **argv)
{
    static const struct option options[] = {{"visitors", required_argument, NULL, 'v'}, {0}};
    const struct wire_heartbeat heartbeat = {
        .site = {(const uint8_t *)"example.com", 11},
        .kind = WIRE_HEARTBEAT,
    };
    uint64_t visitors = 10000000;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option != 'v')
            return 2;
        visitors = bench_number("visitors", optarg, UINT32_MAX);
    }
    const struct segment_settings settings = {
        .max_entries = visitors, .max_scopes = 16, .max_window = 3600};
    struct bench *bench = bench_open(&settings, 1, false);
    struct ingest *ingest = bench_ingest_open(bench, 0);
    uint64_t slots = bench->collector.file.segment.table.pairs * TABLE_PAIR_WORDS;

    bench_arrive(ingest, heartbeat, 0, visitors);
    uint64_t refused = bench_counter(bench, COUNTER_table_full);
    uint64_t arrived = visitors;
    while (bench_counter(bench, COUNTER_table_full) == 0) {
        bench_arrive(ingest, heartbeat, arrived, STEP);
        arrived += STEP;
    }
    printf("{\"visitors\":%llu,\"refused\":%llu,\"table_bytes\":%llu,\"file_bytes\":%llu,"
           "\"first_refusal_load\":%.4f}\n",
           (unsigned long long)visitors, (unsigned long long)refused,
           (unsigned long long)(slots * sizeof(uint64_t)),
           (unsigned long long)bench_file_bytes(bench),
           (double)bench_counter(bench, COUNTER_heartbeats_new) / (double)slots);
    ingest_close(ingest);
    bench_close(bench);
    return 0;
}

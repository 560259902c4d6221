/* bench_table.c - how many updates a second the visitor table takes, alone, on one core.
 *
 *   bench_table [VISITORS [SECONDS]]
 *
 * Visitors (10 million by default) are inserted once, then refreshed in random order, by way of
 * the same ingest code that the daemon runs: native datagrams of 80 visitors from memory. A second
 * figure leaves the decoding out: keys straight into table_upsert, in batches of 64 with prefetch.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "ingest.h"
#include "presence/wire.h"

#define BATCH     80
#define DATAGRAMS 4096 /* distinct ones, gone through again and again */

static uint64_t tick = 1000000;

static uint64_t fixed_clock(void *context)
{
    (void)context;
    return tick;
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint64_t random_next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = (*state ^ (*state >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ (z >> 31);
}

/* A visitor's id from their number, as random as a UUID. */
static void visitor_id(uint64_t number, uint8_t id[16])
{
    uint64_t state = number * 2;
    uint64_t words[2] = {random_next(&state), random_next(&state)};
    memcpy(id, words, 16);
}

static void ignore_move(void *context, uint64_t when, int delta)
{
    (void)when;
    *(int64_t *)context += delta;
}

static void report(const char *what, uint64_t updates, double seconds)
{
    printf("%-44s %8.1f M updates/s  %6.1f ns each\n", what, (double)updates / seconds * 1e-6,
           seconds * 1e9 / (double)updates);
}

static void bench_upsert(struct collector *collector, uint64_t visitors, double seconds)
{
    const struct table *table = &collector->file.segment.table;
    struct scope_key key = {{1, 2, 3, 4, 5, 6}};
    struct table_key keys[64];
    int64_t sum = 0;
    uint64_t updates = 0, random = 1;

    for (uint64_t i = 0; i < visitors; i++) {
        uint8_t id[16];
        visitor_id(i, id);
        table_upsert(table, table_key(hash_visitor(&key, id), table->pairs), tick, ignore_move,
                     &sum);
    }
    double start = cpu_seconds(), used;
    do {
        tick += 7;
        for (int round = 0; round < 1000; round++) {
            for (int i = 0; i < 64; i++) {
                uint8_t id[16];
                visitor_id(random_next(&random) % visitors, id);
                keys[i] = table_key(hash_visitor(&key, id), table->pairs);
                table_prefetch(table, keys[i].pair[0]);
                table_prefetch(table, keys[i].pair[1]);
            }
            for (int i = 0; i < 64; i++)
                table_upsert(table, keys[i], tick, ignore_move, &sum);
            updates += 64;
        }
        used = cpu_seconds() - start;
    } while (used < seconds);
    report("table alone, batches of 64 with prefetch", updates, used);
    table_clear(table);
}

static void bench_ingest(struct collector *collector, uint64_t visitors, double seconds,
                         const char *what, bool labels)
{
    static uint8_t datagrams[DATAGRAMS][20 + 64 + BATCH * 16];
    uint32_t lengths[DATAGRAMS];
    uint8_t ids[BATCH * 16];
    struct ingest *ingest;
    uint64_t next = 0, updates = 0, random = 7;
    struct wire_heartbeat heartbeat = {
        .site = {(const uint8_t *)"example.com", 11},
        .kind = WIRE_HEARTBEAT,
        .visitors = BATCH,
        .visitor_ids = ids,
    };

    if (labels) {
        heartbeat.room = (struct wire_name){(const uint8_t *)"/pricing", 8};
        heartbeat.source = (struct wire_name){(const uint8_t *)"news.example", 12};
        memcpy(heartbeat.country, "DE", 2);
    }
    if (ingest_open(collector, 0, &ingest) < 0)
        abort();
    double start = 0, used = 0;
    do {
        bool filling = next < visitors;
        for (int d = 0; d < DATAGRAMS; d++) {
            for (int i = 0; i < BATCH; i++)
                visitor_id(filling ? next++ % visitors : random_next(&random) % visitors,
                           ids + i * 16);
            lengths[d] = wire_encode(&heartbeat, datagrams[d], sizeof(datagrams[d]));
        }
        tick += filling ? 0 : 7;
        start = cpu_seconds();
        for (int d = 0; d < DATAGRAMS; d++) {
            if (d % 32 == 0)
                ingest_begin(ingest);
            ingest_datagram(ingest, datagrams[d], lengths[d]);
            if (d % 32 == 31)
                ingest_end(ingest);
        }
        if (filling)
            continue;
        used += cpu_seconds() - start;
        updates += (uint64_t)DATAGRAMS * BATCH;
    } while (used < seconds);
    report(what, updates, used);
    ingest_close(ingest);
}

int main(int argc, char **argv)
{
    uint64_t visitors = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
    char path[] = "/dev/shm/presence-bench-XXXXXX";
    struct collector_settings settings = {
        .segment = {.max_visitors = visitors * 4 + 1000, .max_scopes = 64, .max_window = 3600},
        .workers = 1,
        .clock = fixed_clock,
    };
    static struct collector collector;
    pid_t holder;
    int descriptor = mkstemp(path);

    if (descriptor < 0 || visitors == 0) {
        fprintf(stderr, "bench_table: cannot create %s, or no visitors\n", path);
        return 1;
    }
    close(descriptor);
    settings.path = path;
    for (int i = 0; i < 3; i++) {
        settings.segment.max_visitors = i < 2 ? visitors : visitors * 4;
        int r = collector_open(&settings, &collector, &holder);
        if (r < 0) {
            fprintf(stderr, "bench_table: cannot open the segment: %s\n", strerror(-r));
            unlink(path);
            return 1;
        }
        tick = collector_tick(&collector);
        collector_listen(&collector, "none", "");
        if (i == 0)
            bench_upsert(&collector, visitors, seconds);
        else
            bench_ingest(&collector, visitors, seconds,
                         i == 1 ? "80 visitors a datagram, decoded and counted"
                                : "the same with room, country and source",
                         i == 2);
        collector_close(&collector);
    }
    unlink(path);
    return 0;
}

/* bench_table.c - how many updates a second the visitor table alone does: the limit of everything
 * that ends in it. By one thread, or by several in one table, each on a processor of its own. Keys
 * in random order, prefetched and searched as in the daemon, up to 64 at a time.
 *
 * bench_table [--visitors N] [--workers N] [--milliseconds T] [--rounds N] [--lines]
 *
 * --lines: instead, random lines of the table's memory, one word of each read and written.
 *
 * With one thread, a list of moments is printed, of updates a second (see core_share.h).
 */
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>

#include "core_share.h"
#include "pending.h"

#define MOMENT_PENDING 1000 /* times the most that are pending */
#define MOMENTS_MAX    4096

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

/* Refresh a group. It is applied some steps after it was prefetched: the last ones never. */
static void refresh_group(struct pending *pending, const struct table *table, uint64_t visitors,
                          uint64_t tick, uint64_t *random, int64_t *sum)
{
    bool entered;

    for (int i = 0; i < PENDING_GROUP; i++)
        pending->keys[pending->queued++ % PENDING_MAX] =
            key_of(table, bench_random(random) % visitors);
    for (unsigned ready = pending_advance(pending, table, false); pending->applied < ready;
         pending->applied++) {
        unsigned first = pending_first(pending->applied);
        for (unsigned i = first; i < first + PENDING_GROUP; i++)
            if (!table_refresh_at(table, pending->slots[i], pending->keys[i], tick, ignore_move,
                                  sum, &entered))
                table_upsert(table, pending->keys[i], tick, ignore_move, sum);
    }
}

/* Touch as many lines as can be pending, without hashing or searching. */
static void touch(const struct table *table, uint64_t *random)
{
    uint64_t *lines[PENDING_MAX];

    for (int first = 0; first < PENDING_MAX; first += PENDING_GROUP) {
        for (int i = first; i < first + PENDING_GROUP; i++)
            lines[i] = table->words + bench_random(random) % (2 * table->pairs) * TABLE_LINE_WORDS;
        for (int i = first; i < first + PENDING_GROUP; i++)
            __builtin_prefetch(lines[i], 1);
    }
    for (int i = 0; i < PENDING_MAX; i++)
        atomic_store_relaxed(lines[i], atomic_load_relaxed(lines[i])); /* no other thread uses it */
}

/* Do the same number of updates. */
static void refresh(struct pending *pending, const struct table *table, uint64_t visitors,
                    uint64_t tick, uint64_t *random, int64_t *sum)
{
    for (int i = 0; i < PENDING_STEPS; i++)
        refresh_group(pending, table, visitors, tick, random, sum);
}

struct worker {
    pthread_t thread;
    const struct table *table;
    unsigned number;
    bool only_lines;
    uint64_t visitors, tick, random;
    double seconds;
    uint64_t updates; /* results */
    double used;
    unsigned moments_count;
    struct core_moment moments[MOMENTS_MAX]; /* the first of them */
};

static void record_moment(struct worker *worker, double before, double after, double taken)
{
    if (worker->moments_count < MOMENTS_MAX)
        worker->moments[worker->moments_count++] =
            (struct core_moment){core_longer(before, after), MOMENT_PENDING * PENDING_MAX / taken};
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct pending pending = {0};
    int64_t sum = 0;

    bench_pin(worker->number);
    worker->updates = worker->moments_count = 0;
    worker->used = 0;
    double before = core_share_ns();
    do {
        double start = bench_cpu_s();
        worker->tick++;
        for (int i = 0; i < MOMENT_PENDING; i++)
            if (worker->only_lines)
                touch(worker->table, &worker->random);
            else
                refresh(&pending, worker->table, worker->visitors, worker->tick, &worker->random,
                        &sum);
        double taken = bench_cpu_s() - start, after = core_share_ns();
        worker->updates += MOMENT_PENDING * PENDING_MAX;
        worker->used += taken;
        record_moment(worker, before, after, taken);
        before = after;
    } while (worker->used < worker->seconds);
    return NULL;
}

/* Run all at once; the CPU time is the sum of theirs. */
static void run(struct worker *workers, unsigned count, double seconds)
{
    uint64_t updates = 0;
    double used = 0;

    for (unsigned i = 0; i < count; i++) {
        workers[i].seconds = seconds;
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]))
            bench_fail("cannot start a thread");
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        updates += workers[i].updates;
        used += workers[i].used;
    }
    printf("{\"visitors\":%llu,\"workers\":%u,\"updates\":%llu,\"cpu_s\":%.6f",
           (unsigned long long)workers[0].visitors, count, (unsigned long long)updates, used);
    if (count == 1) {
        printf(",\"moments\":");
        core_moments_print(workers->moments, workers->moments_count);
    }
    printf("}\n");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"visitors", required_argument, NULL, 'v'},
                                            {"workers", required_argument, NULL, 'w'},
                                            {"milliseconds", required_argument, NULL, 't'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {"lines", no_argument, NULL, 'l'},
                                            {0}};
    uint64_t visitors = 10000000, milliseconds = 1000, rounds = 1;
    static struct worker workers[SEGMENT_WORKERS_MAX];
    unsigned count = 1;
    bool only_lines = false;
    int64_t sum = 0;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'v')
            visitors = bench_number("visitors", optarg, UINT32_MAX);
        else if (option == 'w')
            count = (unsigned)bench_number("workers", optarg, SEGMENT_WORKERS_MAX);
        else if (option == 't')
            milliseconds = bench_number("milliseconds", optarg, 3600000);
        else if (option == 'r')
            rounds = bench_number("rounds", optarg, 1000);
        else if (option == 'l')
            only_lines = true;
        else
            return 2;
    }
    const struct segment_settings settings = {
        .max_entries = visitors, .max_scopes = 16, .max_window = 3600};
    struct bench *bench = bench_open(&settings, count, false);
    const struct table *table = &bench->collector.file.segment.table;
    for (uint64_t i = 0; i < visitors; i++)
        table_upsert(table, key_of(table, i), bench->tick, ignore_move, &sum);
    for (unsigned i = 0; i < count; i++)
        workers[i] = (struct worker){.table = table,
                                     .number = i,
                                     .only_lines = only_lines,
                                     .visitors = visitors,
                                     .tick = bench->tick,
                                     .random = i + 1};
    for (uint64_t i = 0; i < rounds; i++)
        run(workers, count, (double)milliseconds / 1e3);
    bench_close(bench);
    return 0;
}

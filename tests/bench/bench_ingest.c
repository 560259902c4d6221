/* bench_ingest.c - heartbeats a second from memory to the rings: decode, find the scopes, update
 * the table, count. By one worker, by one that locks as if there were others, and by several, in
 * turn, each on a processor of its own.
 *
 * bench_ingest [--visitors N] [--workers N] [--laps N] [--rounds N] [--batch N]
 *              [--labels | --edge 1|2]
 *
 * Native datagrams of 80 visitors, or --batch, in random order, 2048 a lap. --labels: they name
 * room, country and source too, of which there are a hundred, ten and ten. --edge: heartbeats as a
 * busy site's edge sends them (edge.h), every visitor once a minute: datagrams of version 1 with
 * one each, or full ones of version 2.
 *
 * Each rate comes with a list of the laps, as moments of all workers (see core_share.h).
 */
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_share.h"
#include "edge.h"

#define DATAGRAMS       2048 /* per lap: few enough to stay in the cache, as a socket's do */
#define DATAGRAM_BYTES  1408
#define BATCH_DATAGRAMS 64
#define ROOMS           100
#define COUNTRIES       10
#define SOURCES         10
#define PLACES          (ROOMS * COUNTRIES * SOURCES)
#define SPINS           100000
#define HEARTBEAT_EVERY 60 /* seconds, on average */

/* A barrier of threads. All of them arrive the same number of times. */
struct meeting {
    unsigned members, arrived;
};

struct worker {
    pthread_t thread;
    struct bench *bench;
    struct meeting *meeting;
    struct ingest *ingest;
    unsigned number;
    uint64_t visitors, laps;
    uint64_t places;         /* with equally many visitors, who stay there; 1: only the site */
    unsigned batch;          /* visitors a datagram, except with an edge */
    const struct edge *edge; /* NULL: none */
    unsigned version;        /* of the edge's datagrams */
    uint64_t next;           /* visitor whose heartbeat is the edge's next */
    uint64_t lap_heartbeats;
    uint64_t random;
    uint64_t first_tick;
    double clock;        /* seconds since then */
    uint64_t heartbeats; /* results */
    double wall_s, cpu_s;
    struct core_moment *lap; /* each of them */
    uint32_t lengths[DATAGRAMS];
    uint8_t datagrams[DATAGRAMS][DATAGRAM_BYTES];
};

/* Wait for the others. Spins, since a sleeper would be late; yields if another thread has the
 * processor that it waits for. */
static void meet(struct meeting *meeting)
{
    /* Acquire and release: a tick set before a meeting is visible after it; pairs with itself. */
    unsigned mine = __atomic_fetch_add(&meeting->arrived, 1, __ATOMIC_ACQ_REL);
    unsigned wanted = (mine / meeting->members + 1) * meeting->members;

    for (unsigned spins = 0; atomic_load_acquire(&meeting->arrived) < wanted; spins++)
        if (spins > SPINS)
            sched_yield();
}

struct names {
    char room[16], source[32];
};

static struct wire_heartbeat name_place(const struct worker *worker, uint64_t place,
                                        struct names *names)
{
    struct wire_heartbeat heartbeat = {
        .site = {(const uint8_t *)"example.com", 11},
        .kind = WIRE_HEARTBEAT,
    };

    if (worker->places == 1)
        return heartbeat;
    int room = sprintf(names->room, "/room-%u", (unsigned)(place % ROOMS));
    int source = sprintf(names->source, "source-%u.example", (unsigned)(place / ROOMS % SOURCES));
    heartbeat.room = (struct wire_name){(const uint8_t *)names->room, (uint32_t)room};
    heartbeat.source = (struct wire_name){(const uint8_t *)names->source, (uint32_t)source};
    heartbeat.country[0] = 'A';
    heartbeat.country[1] = (uint8_t)('A' + place / ROOMS / SOURCES);
    return heartbeat;
}

/* Write the edge's next datagram and return its length. */
static uint32_t write_edge(struct worker *worker, uint8_t *datagram)
{
    uint8_t id[WIRE_VISITOR_SIZE];
    uint32_t count = 1, length;

    if (worker->version == WIRE_VERSION_2) {
        length = edge_fill(worker->edge, worker->next, worker->visitors, 0, 0, datagram, &count);
    } else {
        struct wire_heartbeat heartbeat = edge_heartbeat(worker->edge, worker->next, id);
        length = wire_v1_encode(&heartbeat, datagram, DATAGRAM_BYTES);
    }
    worker->next = (worker->next + count) % worker->visitors;
    worker->lap_heartbeats += count;
    return length;
}

/* Let the edge's visitors arrive, within a minute. */
static void fill_from_edge(struct worker *worker)
{
    uint8_t *datagram = worker->datagrams[0];

    worker->lap_heartbeats = 0;
    while (worker->lap_heartbeats < worker->visitors) {
        double share = (double)worker->lap_heartbeats / (double)worker->visitors;
        worker->bench->tick = worker->first_tick + (uint64_t)(share * HEARTBEAT_EVERY);
        ingest_begin(worker->ingest);
        for (unsigned i = 0; i < BATCH_DATAGRAMS; i++)
            ingest_datagram(worker->ingest, datagram, write_edge(worker, datagram));
        ingest_end(worker->ingest);
    }
    worker->clock = HEARTBEAT_EVERY;
}

/* Let every visitor arrive once, so that refreshes are measured. */
static void fill(struct worker *worker)
{
    if (worker->edge) {
        fill_from_edge(worker);
        return;
    }
    uint64_t here = worker->visitors / worker->places;
    struct names names;

    for (uint64_t place = 0; place < worker->places; place++)
        bench_arrive(worker->ingest, name_place(worker, place, &names), place * here, here);
}

static void lay_out_lap(struct worker *worker)
{
    uint8_t ids[BENCH_BATCH * WIRE_VISITOR_SIZE];
    uint64_t here = worker->visitors / worker->places;
    struct names names;

    worker->lap_heartbeats = (uint64_t)DATAGRAMS * worker->batch;
    if (worker->edge) {
        worker->lap_heartbeats = 0;
        for (unsigned d = 0; d < DATAGRAMS; d++)
            worker->lengths[d] = write_edge(worker, worker->datagrams[d]);
        return;
    }
    for (unsigned d = 0; d < DATAGRAMS; d++) {
        uint64_t place = bench_random(&worker->random) % worker->places;
        struct wire_heartbeat heartbeat = name_place(worker, place, &names);
        for (unsigned i = 0; i < worker->batch; i++)
            bench_visitor(place * here + bench_random(&worker->random) % here,
                          ids + (size_t)i * WIRE_VISITOR_SIZE);
        heartbeat.visitors = worker->batch;
        heartbeat.visitor_ids = ids;
        worker->lengths[d] = wire_v1_encode(&heartbeat, worker->datagrams[d], DATAGRAM_BYTES);
    }
}

static void run_lap(struct worker *worker, struct core_moment *lap)
{
    double before = core_share_ns();
    double wall = bench_wall_s(), cpu = bench_cpu_s();

    for (unsigned d = 0; d < DATAGRAMS; d++) {
        if (d % BATCH_DATAGRAMS == 0)
            ingest_begin(worker->ingest);
        ingest_datagram(worker->ingest, worker->datagrams[d], worker->lengths[d]);
        if ((d + 1) % BATCH_DATAGRAMS == 0)
            ingest_end(worker->ingest);
    }
    wall = bench_wall_s() - wall;
    worker->cpu_s += bench_cpu_s() - cpu;
    worker->wall_s += wall;
    worker->heartbeats += worker->lap_heartbeats;
    lap->core_ns = core_longer(before, core_share_ns());
    lap->rate = (double)worker->lap_heartbeats / wall;
}

/* Advance the clock by the time that so many visitors need to send a lap's heartbeats. All meet
 * before and after, so none is in a batch. */
static void pass_time(struct worker *worker)
{
    double lap = (double)worker->meeting->members * (double)worker->lap_heartbeats;
    double seconds = lap / (double)worker->visitors * HEARTBEAT_EVERY;

    worker->clock += seconds < HEARTBEAT_EVERY ? seconds : HEARTBEAT_EVERY;
    worker->bench->tick = worker->first_tick + (uint64_t)worker->clock;
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;

    bench_pin(worker->number);
    for (uint64_t lap = 0; lap < worker->laps; lap++) {
        lay_out_lap(worker);
        if (worker->number == 0)
            pass_time(worker);
        meet(worker->meeting);
        run_lap(worker, &worker->lap[lap]);
        meet(worker->meeting);
    }
    return NULL;
}

/* Print the first worker's laps, with all others' added. */
static void print_laps(struct worker *workers[], unsigned members, uint64_t laps)
{
    struct core_moment *sum = workers[0]->lap;

    for (unsigned i = 1; i < members; i++)
        for (uint64_t lap = 0; lap < laps; lap++) {
            sum[lap].core_ns = core_longer(sum[lap].core_ns, workers[i]->lap[lap].core_ns);
            sum[lap].rate += workers[i]->lap[lap].rate;
        }
    core_moments_print(sum, laps);
}

/* Run `members` of the workers at once, which lock what they change unless `lone`. */
static void run(struct worker *workers[], unsigned members, bool lone, uint64_t laps)
{
    struct meeting meeting = {.members = members};
    uint64_t heartbeats = 0;
    double rate = 0, cpu = 0;

    workers[0]->bench->collector.file.segment.table.lone_writer = lone;
    for (unsigned i = 0; i < members; i++) {
        workers[i]->meeting = &meeting;
        workers[i]->laps = laps;
        workers[i]->heartbeats = 0;
        workers[i]->wall_s = workers[i]->cpu_s = 0;
        if (pthread_create(&workers[i]->thread, NULL, worker_main, workers[i]))
            bench_fail("cannot start a thread");
    }
    for (unsigned i = 0; i < members; i++) {
        pthread_join(workers[i]->thread, NULL);
        rate += (double)workers[i]->heartbeats / workers[i]->wall_s;
        heartbeats += workers[i]->heartbeats;
        cpu += workers[i]->cpu_s;
    }
    printf("{\"workers\":%u,\"lone\":%s,\"visitors\":%llu,\"heartbeats\":%llu,\"cpu_s\":%.6f,"
           "\"rate\":%.0f,\"laps\":",
           members, lone ? "true" : "false", (unsigned long long)workers[0]->visitors,
           (unsigned long long)heartbeats, cpu, rate);
    print_laps(workers, members, laps);
    printf("}\n");
}

/* What the command line asks for. */
struct wanted {
    uint64_t visitors, laps, rounds;
    unsigned workers, batch, version;
    bool labels;
};

static struct worker *open_worker(struct bench *bench, unsigned number, const struct wanted *wanted,
                                  const struct edge *edge)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    struct core_moment *lap = calloc(wanted->laps, sizeof(*lap));

    if (!worker || !lap)
        bench_fail("no memory");
    worker->lap = lap;
    worker->bench = bench;
    worker->ingest = bench_ingest_open(bench, number);
    worker->number = number;
    worker->visitors = wanted->visitors;
    worker->batch = wanted->batch;
    worker->places = wanted->labels ? PLACES : 1;
    worker->edge = edge;
    worker->version = wanted->version;
    worker->next = wanted->visitors / wanted->workers * number;
    worker->random = number + 1;
    worker->first_tick = bench->tick;
    return worker;
}

static bool read_options(int argc, char **argv, struct wanted *wanted)
{
    static const struct option options[] = {
        {"visitors", required_argument, NULL, 'v'}, {"workers", required_argument, NULL, 'w'},
        {"laps", required_argument, NULL, 'l'},     {"rounds", required_argument, NULL, 'r'},
        {"batch", required_argument, NULL, 'b'},    {"labels", no_argument, NULL, 'n'},
        {"edge", required_argument, NULL, 'e'},     {0}};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'v')
            wanted->visitors = bench_number("visitors", optarg, UINT32_MAX);
        else if (option == 'w')
            wanted->workers = (unsigned)bench_number("workers", optarg, SEGMENT_WORKERS_MAX);
        else if (option == 'l')
            wanted->laps = bench_number("laps", optarg, 1000000);
        else if (option == 'r')
            wanted->rounds = bench_number("rounds", optarg, 1000);
        else if (option == 'b')
            wanted->batch = (unsigned)bench_number("batch", optarg, BENCH_BATCH);
        else if (option == 'n')
            wanted->labels = true;
        else if (option == 'e')
            wanted->version = (unsigned)bench_number("edge", optarg, WIRE_VERSION_2);
        else
            return false;
    }
    return !wanted->labels || !wanted->version;
}

int main(int argc, char **argv)
{
    struct wanted wanted = {
        .visitors = 10000000, .laps = 100, .rounds = 1, .workers = 1, .batch = BENCH_BATCH};
    struct worker *workers[SEGMENT_WORKERS_MAX];

    if (!read_options(argc, argv, &wanted))
        return 2;
    if (wanted.labels && wanted.visitors < PLACES)
        bench_fail("there are %d places: not enough visitors", PLACES);
    struct edge *edge = wanted.version ? edge_open() : NULL;
    const unsigned entries = wanted.labels || edge ? 4 : 1; /* a visitor's */
    const struct segment_settings settings = {.max_entries = wanted.visitors * entries,
                                              .max_scopes = edge ? 2 * EDGE_SCOPES : 256,
                                              .max_window = 3600,
                                              .max_histories = 256,
                                              .max_events = 16384};
    struct bench *bench = bench_open(&settings, wanted.workers, false);
    for (unsigned i = 0; i < wanted.workers; i++)
        workers[i] = open_worker(bench, i, &wanted, edge);
    fill(workers[0]);
    for (uint64_t round = 0; round < wanted.rounds; round++) {
        run(workers, 1, true, wanted.laps);
        for (unsigned members = 1; members <= wanted.workers && wanted.workers > 1; members++)
            run(workers, members, false, wanted.laps);
    }
    for (unsigned i = 0; i < wanted.workers; i++) {
        ingest_close(workers[i]->ingest);
        free(workers[i]->lap);
        free(workers[i]);
    }
    bench_close(bench);
    free(edge);
    return 0;
}

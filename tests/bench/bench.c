#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATAGRAM_BYTES  (20 + 4 * 255 + BENCH_BATCH * WIRE_VISITOR_SIZE)
#define BATCH_DATAGRAMS 64 /* between ingest_begin and ingest_end, as under load */
#define FIRST_TICK      1000000

void bench_fail(const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

uint64_t bench_number(const char *option, const char *text, uint64_t most)
{
    char *end;

    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && !*end && !errno && number >= 1 && number <= most)
        return number;
    fprintf(stderr, "%s: --%s takes a whole number from 1 to %llu, not '%s'\n",
            program_invocation_short_name, option, (unsigned long long)most, text);
    exit(2);
}

static uint64_t read_tick(void *context)
{
    return atomic_load_relaxed((uint64_t *)context); /* changes only between batches */
}

struct bench *bench_open(const struct segment_settings *settings, unsigned workers, bool real_clock)
{
    static unsigned opened;
    struct bench *bench = aligned_alloc(_Alignof(struct bench), sizeof(*bench));
    struct collector_settings wanted = {
        .segment = *settings,
        .workers = workers,
        .clock = real_clock ? clock_boottime : read_tick,
    };
    pid_t holder;

    if (!bench)
        bench_fail("no memory");
    memset(bench, 0, sizeof(*bench));
    bench->tick = FIRST_TICK;
    snprintf(bench->path, sizeof(bench->path), "/dev/shm/presence-bench-%d-%u", (int)getpid(),
             opened++);
    wanted.path = bench->path;
    wanted.clock_context = &bench->tick;
    int r = collector_open(&wanted, &bench->collector, &holder);
    if (r < 0)
        bench_fail("cannot make the segment %s: %s", bench->path, strerror(-r));
    bench->collector.admission = &bench->admission;
    collector_listen(&bench->collector, "none", "");
    return bench;
}

void bench_close(struct bench *bench)
{
    collector_close(&bench->collector);
    unlink(bench->path);
    free(bench);
}

struct ingest *bench_ingest_open(struct bench *bench, unsigned worker)
{
    struct ingest *ingest;
    int r = ingest_open(&bench->collector, worker, &ingest);

    if (r < 0)
        bench_fail("cannot ingest: %s", strerror(-r));
    return ingest;
}

uint64_t bench_counter(const struct bench *bench, enum counter counter)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < SEGMENT_COUNTER_BLOCKS; i++)
        sum += atomic_load_relaxed(&bench->collector.file.segment.counters[i].values[counter]);
    return sum;
}

uint64_t bench_file_bytes(const struct bench *bench)
{
    struct stat status;

    if (stat(bench->path, &status) < 0)
        bench_fail("cannot look at %s: %s", bench->path, strerror(errno));
    return (uint64_t)status.st_blocks * 512;
}

double bench_clock_s(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now) < 0)
        bench_fail("cannot read a clock: %s", strerror(errno));
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

double bench_wall_s(void)
{
    return bench_clock_s(CLOCK_MONOTONIC);
}

double bench_cpu_s(void)
{
    return bench_clock_s(CLOCK_THREAD_CPUTIME_ID);
}

void bench_pin(unsigned processor)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    sched_setaffinity(0, sizeof(set), &set); /* if it is refused, the scheduler chooses */
}

/* splitmix64 without its second multiplication: neighbours get different numbers. */
uint64_t bench_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = (*state ^ (*state >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ (z >> 31);
}

void bench_visitor(uint64_t number, uint8_t ret_id[WIRE_VISITOR_SIZE])
{
    uint64_t state = number * 2;
    uint64_t words[2] = {bench_random(&state), bench_random(&state)};

    memcpy(ret_id, words, sizeof(words));
}

void bench_arrive(struct ingest *ingest, struct wire_heartbeat heartbeat, uint64_t first,
                  uint64_t count)
{
    static __thread uint8_t ids[BENCH_BATCH * WIRE_VISITOR_SIZE], datagram[DATAGRAM_BYTES];
    unsigned datagrams = 0;

    heartbeat.visitor_ids = ids;
    while (count) {
        heartbeat.visitors = count < BENCH_BATCH ? (uint32_t)count : BENCH_BATCH;
        for (uint32_t i = 0; i < heartbeat.visitors; i++)
            bench_visitor(first + i, ids + (size_t)i * WIRE_VISITOR_SIZE);
        uint32_t length = wire_v1_encode(&heartbeat, datagram, sizeof(datagram));
        if (datagrams++ % BATCH_DATAGRAMS == 0)
            ingest_begin(ingest);
        ingest_datagram(ingest, datagram, length);
        first += heartbeat.visitors;
        count -= heartbeat.visitors;
        if (datagrams % BATCH_DATAGRAMS == 0 || count == 0)
            ingest_end(ingest);
    }
}

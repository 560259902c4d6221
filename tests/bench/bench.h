/* bench.h - shared by the benchmarks of the daemon's own code: a collector on a segment of its own,
 * a tick that they set, and visitors. Failures end the program. Results are JSON objects on stdout,
 * one a line. */
#ifndef PRESENCE_TESTS_BENCH_H
#define PRESENCE_TESTS_BENCH_H

#include <time.h>

#include "admission.h"
#include "core/wire.h"
#include "ingest.h"

#define BENCH_BATCH 80 /* visitors a datagram */

struct bench {
    struct collector collector;
    struct admission admission; /* of everything, without limits */
    char path[64];
    uint64_t tick; /* the time of collectors opened without the real clock */
};

/* Print "program: reason" and exit with status 1. */
_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Parse a number from 1 to `most`, or exit with status 2. */
uint64_t bench_number(const char *option, const char *text, uint64_t most);

/* Open a collector with `workers` workers on a new segment in /dev/shm, listening. Readers trust it
 * only with the real clock; other benchmarks set `tick`. */
struct bench *bench_open(const struct segment_settings *settings, unsigned workers,
                         bool real_clock);

void bench_close(struct bench *bench);

struct ingest *bench_ingest_open(struct bench *bench, unsigned worker);

/* Return the sum of all workers' counters, and the bytes of the file that are in memory. */
uint64_t bench_counter(const struct bench *bench, enum counter counter);
uint64_t bench_file_bytes(const struct bench *bench);

/* Return CLOCK_MONOTONIC, and this thread's CPU time, in seconds. */
double bench_wall_s(void);
double bench_cpu_s(void);

/* Return a clock in seconds; ends the program if there is none, as that of a process that ended. */
double bench_clock_s(clockid_t clock);

/* Pin the calling thread to the given processor, if there is one. */
void bench_pin(unsigned processor);

uint64_t bench_random(uint64_t *state);

/* Write the id of a visitor by number, as random as a UUID. */
void bench_visitor(uint64_t number, uint8_t ret_id[WIRE_VISITOR_SIZE]);

/* Ingest heartbeats of `count` visitors from number `first` on, at the place and of the kind that
 * `heartbeat` has, BENCH_BATCH a datagram. */
void bench_arrive(struct ingest *ingest, struct wire_heartbeat heartbeat, uint64_t first,
                  uint64_t count);

#endif

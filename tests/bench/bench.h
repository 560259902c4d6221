/* bench.h - what the benchmarks of the daemon's own code share: a collector on a segment that goes
 * with them, a tick that they move, and visitors. Failures end the program: there is nothing to
 * measure then. Results are JSON objects on stdout, one a line.
 */
#ifndef PRESENCE_TESTS_BENCH_H
#define PRESENCE_TESTS_BENCH_H

#include <time.h>

#include "admission.h"
#include "ingest.h"
#include "core/wire.h"

#define BENCH_BATCH 80 /* visitors a datagram */

struct bench {
    struct collector collector;
    struct admission admission; /* of everything, as a daemon without limits has it */
    char path[64];
    uint64_t tick; /* what collectors go by that were opened without the real clock */
};

/* Print "program: why" and end with status 1. */
_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A number from 1 to `most`, or the program ends with status 2. */
uint64_t bench_number(const char *option, const char *text, uint64_t most);

/* Open a collector of `workers` on a new segment in /dev/shm, listening. Readers believe in it only
 * with the real clock; other benchmarks move `tick`. */
struct bench *bench_open(const struct segment_settings *settings, unsigned workers,
                         bool real_clock);

void bench_close(struct bench *bench);

struct ingest *bench_ingest_open(struct bench *bench, unsigned worker);

/* The sum of all workers' counters, and bytes that the file has in memory. */
uint64_t bench_counter(const struct bench *bench, enum counter counter);
uint64_t bench_file_bytes(const struct bench *bench);

/* Seconds of CLOCK_MONOTONIC, and of this thread on a processor. */
double bench_wall_s(void);
double bench_cpu_s(void);

/* Seconds of any clock; ends the program where there is none, as that of a process that ended. */
double bench_clock_s(clockid_t clock);

/* Let the calling thread run on the given processor only, if there is such a one. */
void bench_pin(unsigned processor);

uint64_t bench_random(uint64_t *state);

/* The id of a visitor by number, as random as a UUID. */
void bench_visitor(uint64_t number, uint8_t ret_id[WIRE_VISITOR_SIZE]);

/* Heartbeats of `count` visitors from number `first` on, at the place and of the kind that
 * `heartbeat` names, BENCH_BATCH a datagram. */
void bench_arrive(struct ingest *ingest, struct wire_heartbeat heartbeat, uint64_t first,
                  uint64_t count);

#endif

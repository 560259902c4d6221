/* crew.h - threads that race, and the first failure that one of them finds. */
#ifndef PRESENCE_TESTS_CREW_H
#define PRESENCE_TESTS_CREW_H

#include <stdbool.h>
#include <stdint.h>

#define CREW_MAX 16

/* `number` counts all threads from 0, in the order of the jobs. */
typedef void (*crew_function)(void *context, unsigned number);

struct crew_job {
    crew_function function;
    unsigned threads;
};

/* Run all threads of the jobs (the last has no function) until all have returned, then fail the
 * test if one has reported a failure. The test's own thread. */
void crew_run(const struct crew_job *jobs, void *context);

/* Report a failure; only the first is kept. Threads that check crew_has_failed can stop. */
void crew_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool crew_has_failed(void);

/* Wait until all `count` threads are here. Returns at once if one has failed. */
void crew_meet(unsigned count);

#endif

/* crew.h - threads that race, and the first failure that one of them finds. */
#ifndef PRESENCE_TESTS_CREW_H
#define PRESENCE_TESTS_CREW_H

#include <stdbool.h>
#include <stdint.h>

#define CREW_MAX 16

/* `number` is 0 for the first function's first thread, and goes on from there. */
typedef void (*crew_function)(void *context, unsigned number);

struct crew_job {
    crew_function function;
    unsigned threads;
};

/* Run all threads of the jobs (the last has no function) until all have returned, then fail the
 * test if one of them has reported a failure. From the test's own thread. */
void crew_run(const struct crew_job *jobs, void *context);

/* Report a failure; only the first is kept. Threads that look at crew_has_failed may stop. */
void crew_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool crew_has_failed(void);

/* All `count` threads meet here. Returns at once if one of them has failed. */
void crew_meet(unsigned count);

#endif

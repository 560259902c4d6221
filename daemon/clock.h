/* clock.h - the tick: whole seconds of CLOCK_BOOTTIME, which no step of the wall clock moves and
 * which goes on while the machine sleeps. */
#ifndef PRESENCED_CLOCK_H
#define PRESENCED_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Read a clock. Tests replace it, and use `context`. */
typedef uint64_t (*clock_function)(void *context);

/* Return the wall clock's Unix seconds. */
static inline uint64_t clock_wall(void *context)
{
    struct timespec now;

    (void)context;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec;
}

static inline uint64_t clock_boottime(void *context)
{
    struct timespec now;

    (void)context;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec;
}

#endif

/* monotonic.h - the clock of waits and deadlines: CLOCK_MONOTONIC, in nanoseconds. */
#ifndef PRESENCE_MONOTONIC_H
#define PRESENCE_MONOTONIC_H

#include <stdint.h>
#include <time.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

static inline int64_t monotonic_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static inline int64_t monotonic_ns(void)
{
    return monotonic_of(CLOCK_MONOTONIC);
}

/* Read the clock with the resolution of the kernel's timer tick (1 to 10 ms), several times faster.
 */
static inline int64_t monotonic_coarse_ns(void)
{
    return monotonic_of(CLOCK_MONOTONIC_COARSE);
}

#endif

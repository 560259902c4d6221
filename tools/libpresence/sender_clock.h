/* sender_clock.h - the clock by which batches age. */
#ifndef PRESENCE_SENDER_CLOCK_H
#define PRESENCE_SENDER_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* Monotonic, in ns, with the resolution of the kernel's timer tick (1 to 10 ms): it is read with
 * every heartbeat, and is several times cheaper than the fine clock. */
static inline int64_t clock_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

#endif

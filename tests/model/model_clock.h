/* model_clock.h - the machine's clocks, as the code of collector and readers sees them.
 *
 * A program linked with --wrap=clock_gettime reads the fixture's wall clock for CLOCK_REALTIME and
 * its clock for those that count from boot, coarse or not, so that every time that is returned can
 * be checked exactly.
 */
#ifndef PRESENCE_TESTS_MODEL_CLOCK_H
#define PRESENCE_TESTS_MODEL_CLOCK_H

#include "fixture.h"

struct model_clock {
    const struct fixture *fixture; /* NULL: the machine's own clocks */
    uint32_t boot_ns;              /* nanoseconds since the second since boot began */
    uint32_t wall_ns;              /* how far the wall clock is ahead of the fixture's seconds */
    uint64_t asleep_ns;            /* how long CLOCK_MONOTONIC was suspended */
};

extern struct model_clock model_clock;

/* Return the wall clock, Unix microseconds. */
uint64_t model_clock_microseconds(void);

/* Return when a tick began, or will begin, by the wall clock of now: Unix seconds, rounded down. */
int64_t model_clock_wall(uint64_t tick);

#endif

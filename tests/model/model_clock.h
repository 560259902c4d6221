/* model_clock.h - the machine's clocks, as the collector's and the readers' code sees them.
 *
 * A program linked with --wrap=clock_gettime reads the fixture's wall clock for CLOCK_REALTIME and
 * its clock for those that count from boot, coarse or not, so that whatever is told of times can be
 * told exactly. */
#ifndef PRESENCE_TESTS_MODEL_CLOCK_H
#define PRESENCE_TESTS_MODEL_CLOCK_H

#include "fixture.h"

struct model_clock {
    const struct fixture *fixture; /* NULL: the machine's own clocks */
    uint32_t boot_ns;              /* how far the second since boot has got */
    uint32_t wall_ns;              /* the wall clock is ahead by this and the fixture's seconds */
    uint64_t asleep_ns;            /* CLOCK_MONOTONIC has been suspended for so long */
};

extern struct model_clock model_clock;

/* What the wall clock shows, Unix microseconds. */
uint64_t model_clock_microseconds(void);

/* When a tick began, or will, by the wall clock of now: Unix seconds, rounded down. */
int64_t model_clock_wall(uint64_t tick);

#endif

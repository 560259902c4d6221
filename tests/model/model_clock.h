/* model_clock.h - the machine's clocks, as the collector's and the readers' code sees them.
 *
 * A program linked with --wrap=clock_gettime reads the fixture's clock for CLOCK_BOOTTIME and its
 * wall clock for CLOCK_REALTIME, so that whatever is told of times can be told exactly. */
#ifndef PRESENCE_TESTS_MODEL_CLOCK_H
#define PRESENCE_TESTS_MODEL_CLOCK_H

#include "fixture.h"

struct model_clock {
    const struct fixture *fixture; /* NULL: the machine's own clocks */
    uint32_t boot_ns, wall_ns;     /* how far their seconds have got */
};

extern struct model_clock model_clock;

/* What the wall clock shows, Unix microseconds. */
uint64_t model_clock_microseconds(void);

/* When a tick began, or will, by the wall clock of now: Unix seconds, rounded down. */
int64_t model_clock_wall(uint64_t tick);

#endif

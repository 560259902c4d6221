#include "model_clock.h"

#include <time.h>

/* The linker's names. */
int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

#define NS_PER_S UINT64_C(1000000000)

struct model_clock model_clock;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    const struct fixture *fixture = model_clock.fixture;
    uint64_t seconds = fixture ? fixture_clock(fixture) : 0, ns = model_clock.boot_ns;

    if (!fixture)
        return __real_clock_gettime(clock, ret);
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        seconds += fixture->wall;
        ns += model_clock.wall_ns;
        break;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
        seconds -= model_clock.asleep_ns / NS_PER_S + 1;
        ns += NS_PER_S - model_clock.asleep_ns % NS_PER_S;
        break;
    case CLOCK_BOOTTIME:
        break;
    default:
        return __real_clock_gettime(clock, ret);
    }
    *ret = (struct timespec){(time_t)(seconds + ns / NS_PER_S), (long)(ns % NS_PER_S)};
    return 0;
}

uint64_t model_clock_microseconds(void)
{
    const struct fixture *fixture = model_clock.fixture;

    return (fixture_clock(fixture) + fixture->wall) * 1000000 +
           (model_clock.boot_ns + model_clock.wall_ns) / 1000;
}

int64_t model_clock_wall(uint64_t tick)
{
    return (int64_t)(tick + model_clock.fixture->wall);
}

#include "model_clock.h"

#include <time.h>

/* The linker's names. */
int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

struct model_clock model_clock;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    const struct fixture *fixture = model_clock.fixture;

    if (!fixture || (clock != CLOCK_BOOTTIME && clock != CLOCK_REALTIME))
        return __real_clock_gettime(clock, ret);
    bool is_wall = clock == CLOCK_REALTIME;
    ret->tv_sec = (time_t)(fixture_clock(fixture) + (is_wall ? fixture->wall : 0));
    ret->tv_nsec = is_wall ? model_clock.wall_ns : model_clock.boot_ns;
    return 0;
}

uint64_t model_clock_microseconds(void)
{
    const struct fixture *fixture = model_clock.fixture;

    return (fixture_clock(fixture) + fixture->wall) * 1000000 + model_clock.wall_ns / 1000;
}

int64_t model_clock_wall(uint64_t tick)
{
    bool is_before = model_clock.wall_ns < model_clock.boot_ns;

    return (int64_t)(tick + model_clock.fixture->wall) - is_before;
}

/* clock_off - for LD_PRELOAD: a program whose wall clock is off by $CLOCK_OFF_S seconds, or shows
 * $CLOCK_BEGIN_S (Unix seconds) when it starts, however long that takes.
 *
 * A time namespace can shift the clocks that nobody sets, but not this one. */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int (*real_gettime)(clockid_t, struct timespec *);
static time_t offset_s;

/* Called by libraries' constructors first, when everything may still be looked up. */
static void start(void)
{
    const char *offset = getenv("CLOCK_OFF_S"), *begin = getenv("CLOCK_BEGIN_S");
    struct timespec now;

    *(void **)&real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    offset_s = offset ? atol(offset) : 0;
    if (begin && real_gettime(CLOCK_REALTIME, &now) == 0)
        offset_s = atol(begin) - now.tv_sec;
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *ret)
{
    if (!real_gettime)
        start();
    int r = real_gettime(clock, ret);
    if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        ret->tv_sec += offset_s;
    return r;
}

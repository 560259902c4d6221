/* clock_off - for LD_PRELOAD: a program whose wall clock is off by $CLOCK_OFF_S seconds, or shows
 * $CLOCK_BEGIN_S (Unix seconds) when it starts, however long that takes. With $CLOCK_OFF_FILE it is
 * off by the seconds that the file has (64 bits), also when somebody changes them meanwhile.
 *
 * A time namespace can shift the clocks that nobody sets, but not this one. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int (*real_gettime)(clockid_t, struct timespec *);
static time_t offset_s;
static _Atomic int64_t *offset_file; /* NULL: there is none */

static void map_file(const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    void *mapped =
        file < 0 ? MAP_FAILED : mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);

    if (mapped == MAP_FAILED)
        abort();
    offset_file = mapped;
    close(file);
}

/* Called before main, or by the constructor of a library: then everything may still be looked up
 * and opened. */
__attribute__((constructor)) static void start(void)
{
    const char *offset = getenv("CLOCK_OFF_S"), *begin = getenv("CLOCK_BEGIN_S");
    const char *file = getenv("CLOCK_OFF_FILE");
    struct timespec now;

    if (real_gettime)
        return;
    *(void **)&real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    offset_s = offset ? atol(offset) : 0;
    if (begin && real_gettime(CLOCK_REALTIME, &now) == 0)
        offset_s = atol(begin) - now.tv_sec;
    if (file)
        map_file(file);
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *ret)
{
    start();
    int r = real_gettime(clock, ret);
    if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        ret->tv_sec += offset_s + (offset_file ? atomic_load(offset_file) : 0);
    return r;
}

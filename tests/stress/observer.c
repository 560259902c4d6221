#include "observer.h"
#include "pauses.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"

struct observer_report {
    bool is_over; /* set by the test, atomic */
    uint64_t reads, changed;
    char failure[256];
};

void observer_site_name(unsigned site, char *ret)
{
    snprintf(ret, 32, "site-%u.example", site);
}

unsigned observer_visitors(unsigned site)
{
    static const uint16_t primes[OBSERVER_SITES] = {
        101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173,
        179, 181, 191, 193, 197, 199, 211, 223, 227, 229, 233, 239, 241, 251, 257,
    };
    return primes[site];
}

enum outcome { READ, ABSENT, CHANGED };

/* Read one site as libpresence does: find it, sum, and check that entry and tick are still the
 * same. CHANGED: it may have been another site's ring, or the directory changed meanwhile. */
static enum outcome read_site(const struct segment *segment, const char *name, uint64_t *ret_tick,
                              int64_t *ret_count)
{
    uint64_t state;
    uint64_t changes = atomic_load_acquire(&segment->header->directory_changes);
    uint32_t found = fixture_scope(segment, name, NULL, &state);

    if (found == SCOPE_NONE) /* certain only if nothing was freed meanwhile */
        return atomic_load_acquire(&segment->header->directory_changes) == changes ? ABSENT
                                                                                   : CHANGED;
    uint64_t now = atomic_load_acquire(&segment->header->tick);
    int64_t count = ring_count(&segment->directory.rings[found], now, OBSERVER_WINDOW);
    if (!scope_is_same(&segment->directory.entries[found], state) ||
        atomic_load_acquire(&segment->header->tick) != now)
        return CHANGED;
    *ret_tick = now;
    *ret_count = count;
    return READ;
}

static void observe_site(const struct segment *segment, unsigned site,
                         struct observer_report *report)
{
    unsigned visitors = observer_visitors(site);
    char name[32];
    int64_t count;
    uint64_t tick;

    observer_site_name(site, name);
    enum outcome outcome = read_site(segment, name, &tick, &count);
    report->reads += outcome == READ;
    report->changed += outcome == CHANGED;
    if (outcome != READ)
        return;
    if (count < 0 || count % visitors || count > (int64_t)visitors * OBSERVER_WINDOW)
        snprintf(report->failure, sizeof(report->failure),
                 "%s at tick %llu: read %lld, which is no multiple of %u", name,
                 (unsigned long long)tick, (long long)count, visitors);
}

/* Check that the stable site always exists; a few others visit it. */
static void observe_stable(const struct segment *segment, const char *name,
                           struct observer_report *report)
{
    int64_t count;
    uint64_t tick;
    enum outcome outcome = read_site(segment, name, &tick, &count);

    if (outcome == ABSENT)
        snprintf(report->failure, sizeof(report->failure), "%s is absent", name);
    if (outcome == READ &&
        (count < OBSERVER_STABLE || count > (OBSERVER_STABLE + 10) * OBSERVER_WINDOW))
        snprintf(report->failure, sizeof(report->failure), "%s at tick %llu: read %lld", name,
                 (unsigned long long)tick, (long long)count);
}

static void observe(const struct segment *segment, const char *stable,
                    struct observer_report *report)
{
    while (!report->failure[0] && !__atomic_load_n(&report->is_over, __ATOMIC_ACQUIRE)) {
        for (unsigned site = 0; site < OBSERVER_SITES; site++) {
            observe_site(segment, site, report);
            observe_stable(segment, stable, report);
        }
        sched_yield(); /* there may be fewer processors than threads */
    }
}

static int map_and_observe(const char *path, const char *stable, struct observer_report *report)
{
    struct segment_header header;
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);

    if (descriptor < 0 || fstat(descriptor, &status) < 0 ||
        pread(descriptor, &header, sizeof(header), 0) != sizeof(header) ||
        segment_judge(&header, (uint64_t)status.st_size) != SEGMENT_GOOD)
        return 1;
    void *base = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, descriptor, 0);
    if (base == MAP_FAILED)
        return 1;
    struct segment segment = segment_view(base, &header);
    pauses_begin(1, 50);
    observe(&segment, stable, report);
    return 0;
}

void observer_start(struct observer *observer, const char *path, const char *stable_site)
{
    memset(observer, 0, sizeof(*observer));
    observer->report = mmap(NULL, sizeof(*observer->report), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (observer->report == MAP_FAILED)
        fail_msg("mmap: %s", strerror(errno));
    observer->process = fork();
    if (observer->process < 0)
        fail_msg("fork: %s", strerror(errno));
    if (observer->process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves no process behind */
        _exit(map_and_observe(path, stable_site, observer->report));
    }
}

void observer_stop(struct observer *observer)
{
    struct observer_report report;
    int status = 0;

    __atomic_store_n(&observer->report->is_over, true, __ATOMIC_RELEASE); /* pairs with observe */
    if (waitpid(observer->process, &status, 0) != observer->process)
        fail_msg("waitpid: %s", strerror(errno));
    report = *observer->report;
    munmap(observer->report, sizeof(report));
    observer->reads = report.reads;
    observer->changed = report.changed;
    if (report.failure[0])
        fail_msg("the reader: %s", report.failure);
    if (status)
        fail_msg("the reader ended with status 0x%x", (unsigned)status);
}

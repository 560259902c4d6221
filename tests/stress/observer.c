#include "observer.h"
#include "pauses.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"
#include "presence/presence.h"

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

/* Read one site. It is ABSENT only if it had no heartbeat, and CHANGED if the directory changed
 * again at each attempt. */
static enum outcome read_site(struct presence *presence, const char *name,
                              struct presence_reading *ret)
{
    int r = presence_count(presence, name, NULL, OBSERVER_WINDOW, ret);

    if (r == -EAGAIN)
        return CHANGED;
    return r == 0 && ret->exists ? READ : ABSENT;
}

static void observe_site(struct presence *presence, unsigned site, struct observer_report *report)
{
    unsigned visitors = observer_visitors(site);
    struct presence_reading reading;
    char name[32];

    observer_site_name(site, name);
    enum outcome outcome = read_site(presence, name, &reading);
    report->reads += outcome == READ;
    report->changed += outcome == CHANGED;
    if (outcome != READ)
        return;
    if (reading.count % visitors || reading.count > visitors * OBSERVER_WINDOW)
        snprintf(report->failure, sizeof(report->failure),
                 "%s: read %u, which is no multiple of %u", name, reading.count, visitors);
}

/* Check that the stable site always exists; a few others visit it. */
static void observe_stable(struct presence *presence, const char *name,
                           struct observer_report *report)
{
    struct presence_reading reading;
    enum outcome outcome = read_site(presence, name, &reading);

    if (outcome == ABSENT)
        snprintf(report->failure, sizeof(report->failure), "%s is absent", name);
    if (outcome == READ && (reading.count < OBSERVER_STABLE ||
                            reading.count > (OBSERVER_STABLE + 10) * OBSERVER_WINDOW))
        snprintf(report->failure, sizeof(report->failure), "%s: read %u", name, reading.count);
}

static void observe(struct presence *presence, const char *stable, struct observer_report *report)
{
    while (!report->failure[0] && !__atomic_load_n(&report->is_over, __ATOMIC_ACQUIRE)) {
        for (unsigned site = 0; site < OBSERVER_SITES; site++) {
            observe_site(presence, site, report);
            observe_stable(presence, stable, report);
        }
        sched_yield(); /* there may be fewer processors than threads */
    }
}

static int open_and_observe(const char *path, const char *stable, struct observer_report *report)
{
    struct presence *presence;

    if (presence_open(path, &presence) < 0)
        return 1;
    pauses_begin(1, 50);
    observe(presence, stable, report);
    presence_close(presence);
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
        _exit(open_and_observe(path, stable_site, observer->report));
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

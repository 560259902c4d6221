/* bench_core.c - watch how much a presenced does on our processor, and whether that was a whole
 * core meanwhile. Runs whenever nobody else wants the processor, until it is terminated: it
 * measures the core all the time, and keeps the processor awake, which a host may otherwise move
 * elsewhere.
 *
 * bench_core --pid N --segment FILE
 *
 * Prints a line each 10 ms: nanoseconds that some work took, on average (see core_share.h); and
 * since the start, CPU seconds of the process and the heartbeats that it counted.
 */
#include <errno.h>
#include <getopt.h>
#include <presence/presence.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core_share.h"

#define MOMENT_S 0.01

static uint64_t heartbeats_of(struct presence *presence)
{
    return presence_counter(presence, "heartbeats_new") +
           presence_counter(presence, "heartbeats_refreshed");
}

/* Work until a time, and return the average of core_share_once_ns. */
static double work_until(double end)
{
    double taken = 0;
    unsigned tries = 0;

    for (; bench_wall_s() < end || !tries; tries++)
        taken += core_share_once_ns();
    return taken / tries;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"pid", required_argument, NULL, 'p'}, {"segment", required_argument, NULL, 's'}, {0}};
    const struct sched_param unimportant = {0};
    const char *segment = NULL;
    struct presence *presence;
    clockid_t clock;
    pid_t pid = 0;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            pid = (pid_t)bench_number("pid", optarg, INT32_MAX);
        else if (option == 's')
            segment = optarg;
        else
            return 2;
    }
    if (!pid || !segment)
        bench_fail("--pid and --segment are needed");
    int r = presence_open(segment, &presence);
    if (r < 0)
        bench_fail("cannot open the segment %s: %s", segment, strerror(-r));
    r = clock_getcpuclockid(pid, &clock);
    if (r)
        bench_fail("there is no process %d: %s", (int)pid, strerror(r));
    if (sched_setscheduler(0, SCHED_IDLE, &unimportant) < 0)
        bench_fail("cannot step back behind others: %s", strerror(errno));
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (!ferror(stdout)) {
        double work_ns = work_until(bench_wall_s() + MOMENT_S);
        double used_s = bench_clock_s(clock);
        printf("[%.0f,%.9f,%llu]\n", work_ns, used_s, (unsigned long long)heartbeats_of(presence));
    }
    return 1;
}

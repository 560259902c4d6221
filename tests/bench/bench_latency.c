/* bench_latency.c - the time from sending a heartbeat until it is counted: sends a new visitor to a
 * site of its own, polls that site's count until it is one more, and repeats.
 *
 * bench_latency [--to ADDR:PORT] [--segment PATH] [--probes N]
 *
 * It polls every 20 microseconds, since spinning would take a processor from those it measures. The
 * results are too long by up to that, and include the sending. In microseconds; `lost` were not
 * counted within a second.
 */
#include <errno.h>
#include <getopt.h>
#include <presence/presence.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "bench.h"
#include "receive/listener.h"

#define SITE       "probe.example"
#define LOOK_NS    20000
#define PAUSE_NS   2000000 /* between probes, and up to twice as long */
#define PATIENCE_S 1.0
#define PROBES_MAX 1000000

struct probe {
    int socket;
    struct presence *presence;
    uint64_t random;
    uint32_t lost;
    uint32_t measured;
    double *seconds;
};

static void pause_for(long nanoseconds)
{
    const struct timespec time = {.tv_nsec = nanoseconds};

    nanosleep(&time, NULL);
}

static uint32_t count(struct probe *probe)
{
    struct presence_reading reading;
    int r = presence_count(probe->presence, SITE, NULL, 0, &reading);

    if (r < 0)
        bench_fail("cannot count: %s", strerror(-r));
    return reading.count;
}

static void send_visitor(struct probe *probe)
{
    uint8_t id[WIRE_VISITOR_SIZE], datagram[128];
    struct wire_heartbeat heartbeat = {
        .site = {(const uint8_t *)SITE, sizeof(SITE) - 1},
        .kind = WIRE_HEARTBEAT,
        .visitors = 1,
        .visitor_ids = id,
    };

    bench_visitor(bench_random(&probe->random), id);
    uint32_t length = wire_v1_encode(&heartbeat, datagram, sizeof(datagram));
    if (send(probe->socket, datagram, length, 0) != (ssize_t)length)
        bench_fail("cannot send: %s", strerror(errno));
}

static void run_probe(struct probe *probe)
{
    uint32_t before = count(probe);
    double start = bench_wall_s(), taken;

    send_visitor(probe);
    for (;;) {
        uint32_t now = count(probe);
        taken = bench_wall_s() - start;
        if (now > before)
            break;
        if (taken > PATIENCE_S) {
            probe->lost++;
            return;
        }
        pause_for(LOOK_NS);
    }
    probe->seconds[probe->measured++] = taken;
}

static int compare(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;

    return (difference > 0) - (difference < 0);
}

static double percentile(const struct probe *probe, double percent)
{
    if (probe->measured == 0)
        return 0;
    return probe->seconds[(uint32_t)((double)(probe->measured - 1) * percent / 100)] * 1e6;
}

static void report(struct probe *probe)
{
    qsort(probe->seconds, probe->measured, sizeof(double), compare);
    printf("{\"probes\":%u,\"lost\":%u,\"p50\":%.0f,\"p90\":%.0f,\"p99\":%.0f,\"max\":%.0f}\n",
           probe->measured + probe->lost, probe->lost, percentile(probe, 50), percentile(probe, 90),
           percentile(probe, 99), percentile(probe, 100));
}

static void open_probe(const char *to, const char *segment, uint64_t probes, struct probe *ret)
{
    struct sockaddr_storage address;
    socklen_t length;

    memset(ret, 0, sizeof(*ret));
    ret->seconds = calloc(probes, sizeof(double));
    if (!ret->seconds || getrandom(&ret->random, sizeof(ret->random), 0) < 0)
        bench_fail("no memory, or no random numbers");
    if (listener_parse(to, &address, &length) < 0)
        bench_fail("--to takes ADDR:PORT, not '%s'", to);
    ret->socket = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (ret->socket < 0 || connect(ret->socket, (struct sockaddr *)&address, length) < 0)
        bench_fail("cannot send to %s: %s", to, strerror(errno));
    int r = presence_open(segment, &ret->presence);
    if (r < 0)
        bench_fail("cannot read the segment: %s", strerror(-r));
    prctl(PR_SET_TIMERSLACK, 1);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"to", required_argument, NULL, 't'},
                                            {"segment", required_argument, NULL, 's'},
                                            {"probes", required_argument, NULL, 'p'},
                                            {0}};
    const char *to = PRESENCE_DEFAULT_ADDRESS, *segment = NULL;
    uint64_t probes = 1000;
    struct probe probe;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 't')
            to = optarg;
        else if (option == 's')
            segment = optarg;
        else if (option == 'p')
            probes = bench_number("probes", optarg, PROBES_MAX);
        else
            return 2;
    }
    open_probe(to, segment, probes, &probe);
    for (uint64_t i = 0; i < probes; i++) {
        run_probe(&probe);
        pause_for(PAUSE_NS + (long)(bench_random(&probe.random) % PAUSE_NS));
    }
    report(&probe);
    presence_close(probe.presence);
    close(probe.socket);
    free(probe.seconds);
    return 0;
}

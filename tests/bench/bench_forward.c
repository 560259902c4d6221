/* bench_forward.c - what a sender of libpresence costs a program that forwards the heartbeats of a
 * busy site (edge.h): neighbours hardly ever share a place, and all names are in canonical form.
 *
 * bench_forward [--to ADDR:PORT] [--heartbeats N] [--signed 1]
 *
 * Prints the CPU time of a heartbeat. Where other work disturbs it, count instructions:
 * valgrind --tool=callgrind --toggle-collect=forward bench_forward
 */
#include <getopt.h>
#include <presence/presence.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "edge.h"

#define VISITORS 65536
#define FLUSH    2048 /* heartbeats */

struct visitor {
    struct presence_place place;
    char country[3];
    uint8_t id[16];
};

static struct visitor visitors[VISITORS];

static void draw_visitors(const struct edge *edge)
{
    for (uint64_t i = 0; i < VISITORS; i++) {
        struct visitor *visitor = &visitors[i];
        struct wire_heartbeat heartbeat = edge_heartbeat(edge, i, visitor->id);

        memcpy(visitor->country, heartbeat.country, sizeof(heartbeat.country));
        visitor->place = (struct presence_place){
            .kind = PRESENCE_HEARTBEAT,
            .site = EDGE_SITE,
            .room = (const char *)heartbeat.room.bytes,
            .country = visitor->country,
            .source = (const char *)heartbeat.source.bytes,
        };
    }
}

/* Not inlined, so that a profiler finds it. */
static __attribute__((noinline)) void forward(struct presence_sender *sender, uint64_t heartbeats)
{
    for (uint64_t i = 0; i < heartbeats; i++) {
        const struct visitor *visitor = &visitors[i % VISITORS];
        int r = presence_send_id(sender, &visitor->place, visitor->id);

        if (r < 0)
            bench_fail("cannot queue a heartbeat: %s", strerror(-r));
        if (i % FLUSH == FLUSH - 1)
            presence_sender_flush(sender);
    }
    presence_sender_flush(sender);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"to", required_argument, NULL, 't'},
                                            {"heartbeats", required_argument, NULL, 'h'},
                                            {"signed", required_argument, NULL, 's'},
                                            {0}};
    struct presence_sender_options sending = {
        .datagram_bytes = 1232, .max_age_ms = UINT32_MAX, .no_wait = true};
    uint64_t heartbeats = VISITORS;
    struct presence_sender *sender;
    const char *to = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 't')
            to = optarg;
        else if (option == 'h')
            heartbeats = bench_number("heartbeats", optarg, UINT32_MAX);
        else if (option == 's')
            sending.key_id = (uint8_t)bench_number("signed", optarg, 1);
        else
            return 2;
    }
    struct edge *edge = edge_open();
    draw_visitors(edge);
    int r = presence_sender_open(to, &sending, &sender);
    if (r < 0)
        bench_fail("cannot open a sender: %s", strerror(-r));
    double before = bench_cpu_s();
    forward(sender, heartbeats);
    double used = bench_cpu_s() - before;
    struct presence_sender_totals totals;
    presence_sender_totals(sender, &totals);
    printf("{\"heartbeats\":%llu,\"datagrams\":%llu,\"bytes\":%llu,\"calls\":%llu,\"failed\":%llu,"
           "\"ns\":%.1f}\n",
           (unsigned long long)totals.heartbeats, (unsigned long long)totals.datagrams,
           (unsigned long long)totals.bytes, (unsigned long long)totals.calls,
           (unsigned long long)totals.failed, used * 1e9 / (double)heartbeats);
    presence_sender_close(sender);
    free(edge);
    return 0;
}

/* edge_sender.c - send the heartbeats of a busy site (edge.h) over loopback at a fixed rate, in one
 * of three forms. Text and version 1 come as edges send them directly: a heartbeat a datagram,
 * without segmentation offload. Version 2 is what libpresence makes of them. */
#include <errno.h>
#include <getopt.h>
#include <presence/presence.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "bench.h"
#include "edge.h"
#include "receive/listener.h"

#define BURST      32 /* datagrams, or heartbeats of version 2, at once */
#define SINGLE_MAX 1024
#define POLL_S     20e-6 /* for a shorter wait, a timer is too slow: poll */
#define FORM_TEXT  0

struct load {
    const char *to;
    double rate;    /* heartbeats a second */
    double seconds; /* 0: each visitor once */
    const char *site;
    uint64_t from;     /* number of the first visitor */
    uint64_t visitors; /* different ones */
    unsigned form;     /* FORM_TEXT, or a version */
    const struct edge *edge;
    int socket;                     /* text and version 1 */
    struct presence_sender *sender; /* version 2 */
    struct presence_sender_totals sent;
};

static uint8_t singles[BURST][SINGLE_MAX];
static struct iovec vectors[BURST];
static struct mmsghdr messages[BURST];

/* Return the heartbeat number `number` of a run, as edge_heartbeat() does. */
static struct wire_heartbeat heartbeat_of(const struct load *load, uint64_t number,
                                          uint8_t ret_id[WIRE_VISITOR_SIZE])
{
    struct wire_heartbeat heartbeat =
        edge_heartbeat(load->edge, load->from + number % load->visitors, ret_id);

    heartbeat.site = (struct wire_name){(const uint8_t *)load->site, (uint32_t)strlen(load->site)};
    return heartbeat;
}

/* Write a heartbeat as nginx sends it with the documented recipe. */
static uint32_t write_text(const struct wire_heartbeat *heartbeat, char *text)
{
    const uint8_t *id = heartbeat->visitor_ids;
    char uuid[40];
    int length = 0;

    for (int i = 0; i < WIRE_VISITOR_SIZE; i++)
        length +=
            sprintf(uuid + length, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", id[i]);
    return (uint32_t)snprintf(text, SINGLE_MAX,
                              "<190>Nov 22 03:56:23 presence: PH1 site=%.*s visitor=\"%s\" "
                              "room=\"%.*s\" country=\"%.2s\" "
                              "source=\"%.*s\"",
                              (int)heartbeat->site.length, (const char *)heartbeat->site.bytes,
                              uuid, (int)heartbeat->room.length,
                              (const char *)heartbeat->room.bytes, (const char *)heartbeat->country,
                              (int)heartbeat->source.length, (const char *)heartbeat->source.bytes);
}

static void send_singles(struct load *load, uint64_t first)
{
    unsigned done = 0;

    for (unsigned i = 0; i < BURST; i++) {
        uint8_t id[WIRE_VISITOR_SIZE];
        struct wire_heartbeat heartbeat = heartbeat_of(load, first + i, id);
        vectors[i].iov_len = load->form == FORM_TEXT
                                 ? write_text(&heartbeat, (char *)singles[i])
                                 : wire_v1_encode(&heartbeat, singles[i], SINGLE_MAX);
        load->sent.bytes += vectors[i].iov_len;
    }
    while (done < BURST) {
        int r = sendmmsg(load->socket, messages + done, BURST - done, 0);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            bench_fail("cannot send: %s", strerror(errno));
        done += (unsigned)r;
    }
    load->sent.heartbeats += BURST;
    load->sent.datagrams += BURST;
}

static void queue_places(struct load *load, uint64_t first)
{
    for (unsigned i = 0; i < BURST; i++) {
        uint8_t id[WIRE_VISITOR_SIZE];
        struct wire_heartbeat heartbeat = heartbeat_of(load, first + i, id);
        const char country[] = {(char)heartbeat.country[0], (char)heartbeat.country[1], '\0'};
        struct presence_place place = {
            .site = load->site,
            .room = (const char *)heartbeat.room.bytes,
            .country = country,
            .source = (const char *)heartbeat.source.bytes,
        };
        int r = presence_send_id(load->sender, &place, id);
        if (r < 0)
            bench_fail("cannot queue a heartbeat: %s", strerror(-r));
    }
}

/* Send heartbeats at the load's rate. Runs begin at different visitors, so that all are refreshed
 * in turn. Returns the seconds that it took. */
static double run(struct load *load)
{
    const uint64_t total =
        load->seconds != 0 ? (uint64_t)(load->rate * load->seconds) : load->visitors;
    double start = bench_wall_s(), now = start;
    uint64_t first = load->seconds != 0 ? (uint64_t)(start * 1e9) % load->visitors : 0;

    prctl(PR_SET_TIMERSLACK, 1);
    for (uint64_t done = 0; done < total; now = bench_wall_s()) {
        double due = start + (double)done / load->rate;
        if (due > now) {
            if (load->sender)
                presence_sender_flush_aged(load->sender);
            if (due > now + POLL_S)
                nanosleep(&(struct timespec){.tv_nsec = (long)((due - now) * 1e9)}, NULL);
            continue;
        }
        if (load->sender)
            queue_places(load, first + done);
        else
            send_singles(load, first + done);
        done += BURST;
    }
    if (load->sender) {
        presence_sender_flush(load->sender);
        presence_sender_totals(load->sender, &load->sent);
    }
    return bench_wall_s() - start;
}

static void open_socket(struct load *load)
{
    struct sockaddr_storage address;
    socklen_t length;

    if (listener_parse(load->to, &address, &length) < 0)
        bench_fail("--to takes ADDR:PORT, not '%s'", load->to);
    load->socket = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (load->socket < 0 || connect(load->socket, (struct sockaddr *)&address, length) < 0)
        bench_fail("cannot send to %s: %s", load->to, strerror(errno));
    for (unsigned i = 0; i < BURST; i++) {
        vectors[i].iov_base = singles[i];
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
}

static void open_target(struct load *load)
{
    int r;

    if (load->form != WIRE_VERSION_2) {
        open_socket(load);
        return;
    }
    r = presence_sender_open(load->to, NULL, &load->sender);
    if (r < 0)
        bench_fail("cannot send to %s: %s", load->to, strerror(-r));
}

static bool read_options(int argc, char **argv, struct load *load)
{
    static const struct option options[] = {
        {"to", required_argument, NULL, 'a'},       {"form", required_argument, NULL, 'f'},
        {"rate", required_argument, NULL, 'r'},     {"seconds", required_argument, NULL, 's'},
        {"visitors", required_argument, NULL, 'v'}, {"from", required_argument, NULL, 'n'},
        {"site", required_argument, NULL, 'i'},     {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'a')
            load->to = optarg;
        else if (option == 'f' && strcmp(optarg, "text") == 0)
            load->form = FORM_TEXT;
        else if (option == 'f')
            load->form = (unsigned)bench_number("form", optarg, WIRE_VERSION_2);
        else if (option == 'r')
            load->rate = strtod(optarg, NULL);
        else if (option == 's')
            load->seconds = strtod(optarg, NULL);
        else if (option == 'v')
            load->visitors = bench_number("visitors", optarg, UINT32_MAX);
        else if (option == 'n')
            load->from = bench_number("from", optarg, UINT32_MAX);
        else if (option == 'i')
            load->site = optarg;
        else
            return false;
    }
    return optind == argc && load->rate > 0;
}

int main(int argc, char **argv)
{
    struct load load = {.to = "127.0.0.1:9514",
                        .rate = 500000,
                        .site = EDGE_SITE,
                        .visitors = 1000000,
                        .form = WIRE_VERSION_2};

    if (!read_options(argc, argv, &load)) {
        fprintf(
            stderr,
            "usage: %s [--to ADDR:PORT] [--form text|1|2] [--rate N] [--site NAME]\n"
            "       [--from N] [--visitors N] [--seconds S]\n"
            "Sends N heartbeats a second, without --seconds each visitor's once, and prints how "
            "many.\n"
            "  --from  the number of the first visitor: further runs are of others\n",
            argv[0]);
        return 2;
    }
    struct edge *edge = edge_open();
    load.edge = edge;
    open_target(&load);
    double seconds = run(&load);
    printf("{\"heartbeats\":%llu,\"datagrams\":%llu,\"bytes\":%llu,\"failed\":%llu,"
           "\"seconds\":%.3f,\"rate\":%.0f}\n",
           (unsigned long long)load.sent.heartbeats, (unsigned long long)load.sent.datagrams,
           (unsigned long long)load.sent.bytes, (unsigned long long)load.sent.failed, seconds,
           (double)load.sent.heartbeats / seconds);
    presence_sender_close(load.sender);
    free(edge);
    return 0;
}

/* bench_xdp - the cost of the XDP filter for a packet, beside a program that passes everything.
 *
 * Each run is BPF_PROG_TEST_RUN of a million frames, bare and filtered in turn; the figures are
 * medians in nanoseconds. One JSON object a line. Needs the right to load BPF programs.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../netns/frames.h"
#include "bench.h"
#include "xdp.h"

#define FRAMES 1000000
#define RUNS   15

struct scenario {
    const char *name;
    struct envelope envelope;
    bool networks; /* one is allowed: the frame's */
    uint32_t rate;
    const char *text; /* instead of a native heartbeat */
    bool malformed;
    bool v2;
    bool trains; /* as in generic mode */
};

static const struct scenario scenarios[] = {
    {.name = "a heartbeat"},
    {.name = "a heartbeat, version 2", .v2 = true},
    {.name = "a heartbeat, IPv6", .envelope = {.v6 = true}},
    {.name = "a heartbeat, VLAN", .envelope = {.tags = {0x8100}}},
    {.name = "a heartbeat, IPv4 options", .envelope = {.options = 1}},
    {.name = "a heartbeat, allowed network", .networks = true},
    {.name = "a heartbeat, rate", .rate = 16000000},
    {.name = "malformed", .malformed = true},
    {.name = "malformed, version 2", .v2 = true, .malformed = true},
    {.name = "malformed, trains", .malformed = true, .trains = true},
    {.name = "a heartbeat, trains", .trains = true},
    {.name = "a heartbeat, version 2, trains", .v2 = true, .trains = true},
    {.name = "text", .text = "PH1 site=example.com visitor=3f2a"},
    {.name = "another port", .envelope = {.port = 9999}},
    {.name = "TCP", .envelope = {.next_header = 6}},
};

static void set_endpoint(struct sockaddr_storage *storage, const char *text)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)storage;

    memset(storage, 0, sizeof(*storage));
    storage->ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    v4->sin_port = htons(FRAME_PORT); /* at the same offset for both families */
    inet_pton(storage->ss_family, text,
              strchr(text, ':') ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr);
}

static struct xdp *load_filter(const struct scenario *scenario)
{
    struct sockaddr_storage endpoints[2];
    struct network network;
    struct xdp *xdp;

    set_endpoint(&endpoints[0], FRAME_V4);
    set_endpoint(&endpoints[1], FRAME_V6);
    network_parse("198.51.100.0/24", &network);
    const struct xdp_settings settings = {
        .endpoints = endpoints,
        .endpoint_count = 2,
        .networks = scenario->networks ? &network : NULL,
        .network_count = scenario->networks,
        .sender_rate = scenario->rate,
    };
    int r = xdp_load(&settings, scenario->trains, &xdp);
    if (r < 0)
        bench_fail("cannot load the filter: %s", strerror(-r));
    return xdp;
}

static int load_bare(void)
{
    const struct bpf_insn program[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS},
        {.code = BPF_JMP | BPF_EXIT},
    };
    int r = bpf_prog_load(BPF_PROG_TYPE_XDP, "bare", "GPL", program, 2, NULL);

    if (r < 0)
        bench_fail("cannot load a program: %s", strerror(-r));
    return r;
}

/* Return the nanoseconds a frame. */
static double run(int program, const uint8_t *frame, uint32_t size)
{
    struct bpf_test_run_opts options = {
        .sz = sizeof(options),
        .data_in = frame,
        .data_size_in = size,
        .repeat = FRAMES,
    };
    double begin = bench_cpu_s();

    if (bpf_prog_test_run_opts(program, &options) < 0)
        bench_fail("cannot run a program");
    return (bench_cpu_s() - begin) * 1e9 / FRAMES;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return a < b ? -1 : a > b;
}

static uint32_t write_payload(const struct scenario *scenario, uint8_t *payload)
{
    if (scenario->text) {
        memcpy(payload, scenario->text, strlen(scenario->text));
        return (uint32_t)strlen(scenario->text);
    }
    uint32_t length = scenario->v2 ? payload_v2(1, 1, payload) : payload_native(1, payload);
    payload[3] = scenario->malformed ? 77 : payload[3]; /* the kind, or the flags */
    return length;
}

static void measure(const struct scenario *scenario, int bare)
{
    uint8_t frame[FRAME_MAX], payload[256];
    uint32_t length = write_payload(scenario, payload);
    uint32_t size = frame_write(&scenario->envelope, payload, length, frame);
    struct xdp *xdp = load_filter(scenario);
    double pass[RUNS], filtered[RUNS];

    for (int i = 0; i < RUNS; i++) {
        pass[i] = run(bare, frame, size);
        filtered[i] = run(xdp->program, frame, size);
    }
    qsort(pass, RUNS, sizeof(pass[0]), compare);
    qsort(filtered, RUNS, sizeof(filtered[0]), compare);
    printf("{\"frame\":\"%s\",\"pass_ns\":%.1f,\"filter_ns\":%.1f,\"more_ns\":%.1f}\n",
           scenario->name, pass[RUNS / 2], filtered[RUNS / 2], filtered[RUNS / 2] - pass[RUNS / 2]);
    xdp_close(xdp);
}

int main(void)
{
    int bare = load_bare();

    for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
        measure(&scenarios[i], bare);
    return 0;
}

/* filter.h - the XDP program, loaded but not attached: the kernel runs it on one frame after
 * another (BPF_PROG_TEST_RUN). Needs the privilege to load BPF programs. */
#ifndef PRESENCE_TESTS_FILTER_H
#define PRESENCE_TESTS_FILTER_H

#include "../support/unit.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>

#include "frames.h"
#include "xdp.h"

#define ENDPOINTS 4

static inline void set_endpoint(struct sockaddr_storage *storage, const char *text, uint16_t port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)storage;
    bool is_v6 = strchr(text, ':') != NULL;

    memset(storage, 0, sizeof(*storage));
    storage->ss_family = is_v6 ? AF_INET6 : AF_INET;
    v4->sin_port = htons(port); /* at the same place for both families */
    assert_int_equal(
        inet_pton(storage->ss_family, text, is_v6 ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr),
        1);
}

struct filter {
    struct xdp *xdp;
    bool trains;
    uint64_t before[PRESENCE_XDP_FATES];
    uint64_t frames, judged;
};

static inline void open_filter(struct filter *filter, bool generic, const char *const *networks,
                               unsigned network_count, uint32_t sender_rate)
{
    struct sockaddr_storage endpoints[ENDPOINTS];
    struct network list[8];

    set_endpoint(&endpoints[0], FRAME_V4, FRAME_PORT);
    set_endpoint(&endpoints[1], FRAME_V6, FRAME_PORT);
    set_endpoint(&endpoints[2], "0.0.0.0", 9515);
    set_endpoint(&endpoints[3], "::", 9515);
    for (unsigned i = 0; i < network_count; i++)
        assert_int_equal(network_parse(networks[i], &list[i]), 0);
    const struct xdp_settings settings = {
        .endpoints = endpoints,
        .endpoint_count = ENDPOINTS,
        .networks = network_count ? list : NULL,
        .network_count = network_count,
        .sender_rate = sender_rate,
    };
    *filter = (struct filter){.trains = generic};
    int r = xdp_load(&settings, generic, &filter->xdp);
    if (r < 0)
        fail_msg("cannot load the filter: %s", strerror(-r));
}

static inline void close_filter(struct filter *filter)
{
    print_message("%llu frames, %llu of them judged\n", (unsigned long long)filter->frames,
                  (unsigned long long)filter->judged);
    xdp_close(filter->xdp);
}

/* Run it on one frame. Returns the fate that was counted, or -1. */
static inline int run_filter(struct filter *filter, const uint8_t *frame, uint32_t size)
{
    static uint8_t after[FRAME_MAX + 256];
    uint64_t counted[PRESENCE_XDP_FATES];
    int fate = -1;

    struct bpf_test_run_opts options = {
        .sz = sizeof(options),
        .data_in = frame,
        .data_size_in = size,
        .data_out = after,
        .data_size_out = sizeof(after),
        .repeat = 1,
    };
    int r = bpf_prog_test_run_opts(filter->xdp->program, &options);
    if (r < 0)
        fail_msg("cannot run the filter on %u bytes: %s", size, strerror(-r));
    if (options.data_size_out != size || memcmp(frame, after, size) != 0)
        fail_msg("the filter changes the frame");
    xdp_counters(filter->xdp, counted);
    for (int i = 0; i < PRESENCE_XDP_FATES; i++) {
        if (counted[i] == filter->before[i])
            continue;
        if (fate >= 0 || counted[i] != filter->before[i] + 1)
            fail_msg("one frame is counted several times");
        fate = i;
        filter->before[i] = counted[i];
    }
    if (options.retval != (fate > PRESENCE_XDP_PASSED ? XDP_DROP : XDP_PASS))
        fail_msg("it returns %u and counts %d", options.retval, fate);
    filter->frames++;
    filter->judged += fate >= 0;
    return fate;
}

static inline int run_payload(struct filter *filter, bool v6, const uint8_t *payload,
                              uint32_t length)
{
    static uint8_t frame[FRAME_MAX];
    uint32_t size = frame_write(&(struct envelope){.v6 = v6}, payload, length, frame);

    return run_filter(filter, frame, size);
}

/* Say why if it can't be loaded here. */
static inline bool can_load_filter(void)
{
    struct xdp *xdp = NULL;
    int r = xdp_load(&(struct xdp_settings){0}, false, &xdp);

    xdp_close(xdp);
    if (r == -EPERM || r == -ENOSYS)
        print_message("cannot load BPF programs here: %s\n", strerror(-r));
    return r != -EPERM && r != -ENOSYS;
}

#endif

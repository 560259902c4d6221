/* flood - send one frame over and over, as fast as this machine can: BPF_PROG_TEST_RUN with live
 * frames, whose program returns XDP_TX (Documentation/bpf/bpf_prog_run.rst).
 *
 * Usage: flood INTERFACE FRAME-IN-HEX FRAMES
 * The interface is one of this network namespace. Prints the nanoseconds that a frame took.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_MAX 2048
#define BATCH     64

static int parse_frame(const char *hex, uint8_t *frame)
{
    size_t length = strlen(hex) / 2;

    if (length < 14 || length > FRAME_MAX)
        return -EINVAL;
    for (size_t i = 0; i < length; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        frame[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return (int)length;
}

static int load_transmitter(void)
{
    const struct bpf_insn program[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_TX},
        {.code = BPF_JMP | BPF_EXIT},
    };

    return bpf_prog_load(BPF_PROG_TYPE_XDP, "transmit", "GPL", program, 2, NULL);
}

int main(int argc, char **argv)
{
    uint8_t frame[FRAME_MAX];
    unsigned interface = argc == 4 ? if_nametoindex(argv[1]) : 0;
    int length = argc == 4 ? parse_frame(argv[2], frame) : -EINVAL;
    int frames = argc == 4 ? atoi(argv[3]) : 0;

    if (interface == 0 || length < 0 || frames < 1) {
        fprintf(stderr, "usage: flood INTERFACE FRAME-IN-HEX FRAMES\n");
        return 2;
    }
    int program = load_transmitter();
    if (program < 0) {
        fprintf(stderr, "flood: cannot load a program: %s\n", strerror(-program));
        return 1;
    }
    struct xdp_md context = {.data_end = (uint32_t)length, .ingress_ifindex = interface};
    struct bpf_test_run_opts options = {
        .sz = sizeof(options),
        .data_in = frame,
        .data_size_in = (uint32_t)length,
        .ctx_in = &context,
        .ctx_size_in = sizeof(context),
        .repeat = frames,
        .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
        .batch_size = BATCH,
    };
    int r = bpf_prog_test_run_opts(program, &options);
    if (r < 0) {
        fprintf(stderr, "flood: cannot send: %s\n", strerror(-r));
        return 1;
    }
    printf("%u\n", options.duration);
    return 0;
}

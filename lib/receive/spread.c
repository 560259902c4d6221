#include "spread.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* Offsets in the IP header, which the kernel finds at SKF_NET_OFF. (Offset 0 is the payload:
 * run_bpf_filter in net/core/sock_reuseport.c.) */
#define NET(offset) ((uint32_t)SKF_NET_OFF + (offset))
#define V4_SENDER   12
#define V6_NEXT     6
#define V6_SENDER   8
#define V6_SIZE     40

/* IPv6 extension headers that are skipped. Behind more of them, other bytes are hashed instead of
 * the port. Fragments arrive reassembled. */
#define V6_EXTENSIONS 4

/* How long to wait until the kernel has freed a map. */
#define PATIENCE_MS 1000
#define ATTEMPTS    20

#define CODE_MAX    128 /* instructions; IPv6 takes 93 */

void spread_open(unsigned workers, const int *former, struct spread *ret)
{
    const struct spread_map_settings settings = {.workers = workers, .former = former};

    *ret = (struct spread){.workers = workers};
    if (workers > 1)
        spread_map_open(&settings, &ret->map, ret->reason);
}

/* A classic BPF program under construction. */
struct code {
    struct sock_filter steps[CODE_MAX];
    unsigned short length;
};

static void add_jump(struct code *code, uint16_t operation, uint32_t value, uint8_t if_true,
                     uint8_t if_false)
{
    code->steps[code->length++] = (struct sock_filter)BPF_JUMP(operation, value, if_true, if_false);
}

static void add(struct code *code, uint16_t operation, uint32_t value)
{
    add_jump(code, operation, value, 0, 0);
}

/* A ^= A >> bits, then A *= factor: a step of MurmurHash3's finalizer (Appleby). */
static void add_mix(struct code *code, uint32_t bits, uint32_t factor)
{
    add(code, BPF_MISC | BPF_TAX, 0);
    add(code, BPF_ALU | BPF_RSH | BPF_K, bits);
    add(code, BPF_ALU | BPF_XOR | BPF_X, 0);
    add(code, BPF_ALU | BPF_MUL | BPF_K, factor);
}

/* Load M[0] with the IPv4 address and X with the offset of the UDP header. */
static void add_v4_sender(struct code *code)
{
    add(code, BPF_LD | BPF_W | BPF_ABS, NET(V4_SENDER));
    add(code, BPF_ST, 0);
    add(code, BPF_LDX | BPF_B | BPF_MSH, NET(0));
}

/* If M[1] is the number of an extension header that may precede UDP, add its length to X and load
 * M[1] with the next header's number. */
static void add_v6_extension(struct code *code)
{
    add(code, BPF_LD | BPF_MEM, 1);
    add_jump(code, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_HOPOPTS, 2, 0);
    add_jump(code, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ROUTING, 1, 0);
    add_jump(code, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_DSTOPTS, 0, 7); /* skip the rest */
    add(code, BPF_LD | BPF_B | BPF_IND, NET(0));
    add(code, BPF_ST, 1);
    add(code, BPF_LD | BPF_B | BPF_IND,
        NET(1)); /* its length in units of 8 bytes, without the first 8 */
    add(code, BPF_ALU | BPF_ADD | BPF_K, 1);
    add(code, BPF_ALU | BPF_LSH | BPF_K, 3);
    add(code, BPF_ALU | BPF_ADD | BPF_X, 0);
    add(code, BPF_MISC | BPF_TAX, 0);
}

/* Do the same as add_v4_sender for IPv6: M[0] becomes a hash of the address. */
static void add_v6_sender(struct code *code)
{
    add(code, BPF_LD | BPF_W | BPF_ABS, NET(V6_SENDER));
    for (uint32_t i = 4; i < sizeof(struct in6_addr); i += 4) {
        add_mix(code, 15, 0x85ebca6b);
        add(code, BPF_ST, 0);
        add(code, BPF_LD | BPF_W | BPF_ABS, NET(V6_SENDER + i));
        add(code, BPF_LDX | BPF_MEM, 0);
        add(code, BPF_ALU | BPF_XOR | BPF_X, 0);
    }
    add(code, BPF_ST, 0);
    add(code, BPF_LD | BPF_B | BPF_ABS, NET(V6_NEXT));
    add(code, BPF_ST, 1);
    add(code, BPF_LDX | BPF_IMM, V6_SIZE);
    for (unsigned i = 0; i < V6_EXTENSIONS; i++)
        add_v6_extension(code);
}

/* Attach a program that chooses by a hash of the sender's address and port modulo `workers`. */
static int attach_hash(int family, int socket, unsigned workers)
{
    struct code code = {.length = 0};

    if (family == AF_INET6)
        add_v6_sender(&code);
    else
        add_v4_sender(&code);
    add(&code, BPF_LD | BPF_H | BPF_IND, NET(0)); /* the port */
    add(&code, BPF_ALU | BPF_MUL | BPF_K, 0x9e3779b1);
    add(&code, BPF_LDX | BPF_MEM, 0);
    add(&code, BPF_ALU | BPF_XOR | BPF_X, 0);
    add_mix(&code, 16, 0x85ebca6b);
    add_mix(&code, 13, 0xc2b2ae35);
    add(&code, BPF_ALU | BPF_RSH | BPF_K, 16); /* use the upper bits, which are mixed best */
    add(&code, BPF_ALU | BPF_MOD | BPF_K, workers);
    add(&code, BPF_RET | BPF_A, 0);
    struct sock_fprog program = {.len = code.length, .filter = code.steps};
    if (setsockopt(socket, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) < 0)
        return -errno;
    return 0;
}

int spread_attach_first(int family, int socket)
{
    return attach_hash(family, socket, 1);
}

/* The sockets are in a map that nobody has but their program. It goes when they get another one,
 * the hash, but the kernel takes its time. */
static int attach_instead(struct spread *spread, int family, const int *sockets, int *array)
{
    static const struct timespec pause = {.tv_nsec = PATIENCE_MS * 1000000 / ATTEMPTS};
    int r = attach_hash(family, sockets[0], spread->workers);

    if (r == 0)
        r = -EBUSY;
    for (unsigned i = 0; r == -EBUSY && i < ATTEMPTS; i++) {
        nanosleep(&pause, NULL);
        r = spread_map_attach(spread->map, sockets, array, spread->reason);
    }
    return r;
}

static int attach_map(struct spread *spread, int family, const int *sockets, int *array)
{
    int r = spread_map_attach(spread->map, sockets, array, spread->reason);

    if (r == -EBUSY && *array < 0)
        r = attach_instead(spread, family, sockets, array);
    if (r == 0)
        spread->reason[0] = '\0';
    return r;
}

int spread_attach(struct spread *spread, int family, const int *sockets, int *array)
{
    if (spread->map && attach_map(spread, family, sockets, array) == 0)
        return 0;
    spread_map_close(spread->map);
    spread->map = NULL;
    spread->is_hashed = true;
    return attach_hash(family, sockets[0], spread->workers);
}

const char *spread_name(const struct spread *spread)
{
    if (spread->workers == 1)
        return "none";
    return spread->is_hashed ? "hash" : "turn";
}

void spread_close(struct spread *spread)
{
    spread_map_close(spread->map);
    spread->map = NULL;
}

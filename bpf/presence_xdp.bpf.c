/* presence_xdp.bpf.c - drop what the collector would reject, before it costs anything.
 *
 * It judges UDP datagrams to the addresses and ports that the collector listens at, in IPv4 (with
 * options, too) and IPv6, with up to two VLAN tags. It drops, in this order: those of senders
 * outside the allowed networks, those of senders over their rate, native ones whose shape wire.h
 * rejects, empty ones, and those whose UDP length is shorter than its own header. Text passes,
 * since it has no shape.
 *
 * Everything else passes untouched, and so does what can't be judged here: fragments (only the
 * reassembled datagram is one), IPv6 with extension headers, jumbograms, more than two VLAN tags,
 * tunnels, and datagrams with a truncated header (IP drops them). The collector repeats all checks.
 *
 * The length that counts is UDP's own, since short frames are padded.
 *
 * Pointers into the packet move by constants only, the rest is copied by a helper: without
 * CAP_PERFMON the verifier refuses more.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "core/wire.h"
#include "presence_xdp.h"

#define VLAN_TAGS 2
#define VLAN_SIZE 4
#define FRAGMENT  0x3fff /* IPv4: more fragments, or an offset */
#define NS_PER_S  UINT64_C(1000000000)

/* A possible train is searched in at most TRAIN_STEPS steps of TRAIN_STEP bytes. */
#define TRAIN_STEP      64
#define TRAIN_STEPS     24

#define EACH_BYTE(byte) ((uint64_t)(byte)*UINT64_C(0x0101010101010101))
#define ALWAYS          static __attribute__((always_inline)) inline

/* The unit of a rate: an IPv4 address, or the first 64 bits of an IPv6 one. */
struct sender {
    uint64_t prefix;
    uint64_t v6;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1); /* set to PRESENCE_XDP_COUNTERS a processor */
    __type(key, uint32_t);
    __type(value, uint64_t);
} counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1); /* set to the number of networks */
    __type(key, struct presence_xdp_v4_prefix);
    __type(value, uint8_t);
} networks_v4 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1); /* set to the number of networks */
    __type(key, struct presence_xdp_v6_prefix);
    __type(value, uint8_t);
} networks_v6 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, PRESENCE_XDP_SENDERS);
    __type(key, struct sender);
    __type(value, uint64_t); /* a second (upper 32 bits) and the datagrams in it */
} rates SEC(".maps");

const volatile struct presence_xdp_config config;

/* A position in the packet. */
struct cursor {
    struct xdp_md *context;
    const uint8_t *at;
    const uint8_t *end;
    uint32_t offset; /* of `at` */
};

/* A datagram to one of our ports. */
struct datagram {
    const uint8_t *payload; /* meaningful only without options */
    bool options;           /* IPv4 with options: what follows must be copied */
    uint32_t offset;        /* of the payload in the packet */
    uint32_t udp_length;    /* including its header */
    bool allowed;           /* its sender is in the allowed networks */
    struct sender sender;
};

ALWAYS void count(enum presence_xdp_fate fate)
{
    uint32_t place = bpf_get_smp_processor_id() * PRESENCE_XDP_COUNTERS + fate;
    uint64_t *counter = bpf_map_lookup_elem(&counters, &place);

    if (counter)
        ++*counter; /* nothing else runs on this processor now */
}

ALWAYS bool is_over_rate(const struct sender *sender)
{
    uint64_t now = bpf_ktime_get_boot_ns() / NS_PER_S;
    uint64_t first = now << 32 | 1;
    uint64_t *word = bpf_map_lookup_elem(&rates, sender);

    if (!word) {
        bpf_map_update_elem(&rates, sender, &first, BPF_NOEXIST);
        return false;
    }
    uint64_t seen = *(volatile uint64_t *)word;
    if (seen >> 32 != now && __sync_val_compare_and_swap(word, seen, first) == seen)
        return false;
    if (seen >> 32 == now && (uint32_t)seen >= config.sender_rate)
        return true;
    return (uint32_t)__sync_fetch_and_add(word, 1) >= config.sender_rate;
}

/* Judge a payload by its first WIRE_HEADER_MAX bytes, padded with zeros if it is shorter. */
ALWAYS enum wire_reason judge_header(const uint8_t *header, uint32_t length)
{
    return length == 0 || wire_is_native(header, length) ? wire_shape(header, length)
                                                         : WIRE_ACCEPTED;
}

/* Judge a header that must be copied, since not all of it is within reach. This is a function of
 * its own, so that the copy is on the stack only during the call. */
static __attribute__((noinline)) enum wire_reason judge_copy(struct xdp_md *context,
                                                             uint32_t offset, uint32_t length)
{
    uint8_t header[WIRE_HEADER_MAX] = {0};
    uint32_t size = length < WIRE_HEADER_MAX ? length : WIRE_HEADER_MAX;

    if (size != 0 && bpf_xdp_load_bytes(context, offset, header, size) < 0)
        return WIRE_ACCEPTED;
    return judge_header(header, length);
}

ALWAYS enum wire_reason judge_payload(const struct cursor *cursor, const struct datagram *datagram,
                                      uint32_t length)
{
    if (length < WIRE_HEADER_MAX || datagram->options ||
        datagram->payload + WIRE_HEADER_MAX > cursor->end)
        return judge_copy(cursor->context, datagram->offset, length);
    return judge_header(datagram->payload, length);
}

/* Return other than 0 if "PH" begins in these eight bytes, which `next` follows in memory. */
ALWAYS uint64_t find_beginning(uint64_t word, uint64_t next)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t following = word >> 8 | next << 56;
#else
    uint64_t following = word << 8 | next >> 56;
#endif
    /* A byte is zero where it is P and the following one is H. */
    uint64_t other = (word ^ EACH_BYTE('P')) | (following ^ EACH_BYTE('H'));

    return (other - EACH_BYTE(0x01)) & ~other & EACH_BYTE(0x80);
}

/* The search for a second datagram in a packet. */
struct train {
    struct xdp_md *context;
    uint32_t offset; /* of the first datagram in the packet */
    uint32_t length; /* of the whole packet's payload */
    bool found;
};

/* Search one step, as bpf_loop's callback. 1 ends the loop. */
static long search_step(uint32_t step, struct train *train)
{
    uint64_t words[TRAIN_STEP / 8 + 1] = {0};
    uint32_t at = 1 + step * TRAIN_STEP;
    uint32_t size = train->length - at;
    uint64_t found = 0;

    if (at >= train->length)
        return 1;
    /* The verifier forgets that it is not 0; this keeps the compiler from removing the check. */
    __asm__ volatile("" : "+r"(size));
    if (size - 1 > TRAIN_STEP)
        size = TRAIN_STEP + 1;
    if (bpf_xdp_load_bytes(train->context, train->offset + at, words, size) < 0)
        found = 1; /* truncated: pass it */
#pragma clang loop unroll(full)
    for (uint32_t i = 0; i < TRAIN_STEP / 8; i++)
        found |= find_beginning(words[i], words[i + 1]);
    train->found = found != 0;
    return train->found;
}

/* Judge a packet that may be a train: datagrams that the kernel has merged, or that it has not
 * segmented yet (see presence_xdp.h). Its UDP length is that of all, and the length of each is
 * unknown. Whatever would be counted, native or text, has "PH" somewhere: the packet is dropped
 * only if none follows the first datagram. A packet that is too long to be searched may be a train,
 * too. */
static __attribute__((noinline)) enum wire_reason judge_train(struct xdp_md *context,
                                                              uint32_t offset, uint32_t length)
{
    struct train train = {context, offset, length, false};
    enum wire_reason reason = judge_copy(context, offset, length);

    if (reason == WIRE_ACCEPTED || length > TRAIN_STEPS * TRAIN_STEP)
        return WIRE_ACCEPTED;
    bpf_loop(TRAIN_STEPS, search_step, &train, 0);
    return train.found ? WIRE_ACCEPTED : reason;
}

ALWAYS enum presence_xdp_fate judge(const struct cursor *cursor, const struct datagram *datagram)
{
    if (!datagram->allowed)
        return PRESENCE_XDP_SENDER;
    if (config.sender_rate && is_over_rate(&datagram->sender))
        return PRESENCE_XDP_SENDER_RATE;
    if (datagram->udp_length < sizeof(struct udphdr))
        return PRESENCE_XDP_MALFORMED;

    uint32_t length = datagram->udp_length - sizeof(struct udphdr);
    switch (config.trains ? judge_train(cursor->context, datagram->offset, length)
                          : judge_payload(cursor, datagram, length)) {
    case WIRE_VERSION:
        return PRESENCE_XDP_VERSION;
    case WIRE_MALFORMED:
        return PRESENCE_XDP_MALFORMED;
    case WIRE_VISITOR:
        return PRESENCE_XDP_VISITOR;
    default:
        return PRESENCE_XDP_PASSED;
    }
}

ALWAYS bool is_v4_endpoint(uint32_t address, uint16_t port)
{
    for (uint32_t i = 0; i < PRESENCE_XDP_ENDPOINTS && i < config.v4_count; i++) {
        const volatile struct presence_xdp_endpoint *endpoint = &config.v4[i];
        if (endpoint->port == port && (endpoint->any || endpoint->words[0] == address))
            return true;
    }
    return false;
}

ALWAYS bool is_v6_endpoint(const struct in6_addr *address, uint16_t port)
{
    for (uint32_t i = 0; i < PRESENCE_XDP_ENDPOINTS && i < config.v6_count; i++) {
        const volatile struct presence_xdp_endpoint *endpoint = &config.v6[i];
        if (endpoint->port == port &&
            (endpoint->any || (endpoint->words[0] == address->s6_addr32[0] &&
                               endpoint->words[1] == address->s6_addr32[1] &&
                               endpoint->words[2] == address->s6_addr32[2] &&
                               endpoint->words[3] == address->s6_addr32[3])))
            return true;
    }
    return false;
}

/* Parse the UDP header that is next: copy it to `udp`, and fill `ret` with the rest. */
ALWAYS bool parse_udp(const struct cursor *cursor, struct udphdr *udp, struct datagram *ret)
{
    const struct udphdr *header = (const void *)cursor->at;

    if ((const void *)(header + 1) > (const void *)cursor->end)
        return false;
    *udp = *header;
    ret->payload = (const uint8_t *)(header + 1);
    ret->options = false;
    ret->offset = cursor->offset + sizeof(*header);
    return true;
}

/* Parse the UDP header likewise, after `size` bytes of IPv4 options. */
ALWAYS bool parse_udp_after(const struct cursor *cursor, uint32_t size, struct udphdr *udp,
                            struct datagram *ret)
{
    uint32_t offset = cursor->offset + size;

    ret->payload = cursor->at;
    ret->options = true;
    ret->offset = offset + sizeof(*udp);
    return bpf_xdp_load_bytes(cursor->context, offset, udp, sizeof(*udp)) == 0;
}

ALWAYS void advance(struct cursor *cursor, uint32_t size)
{
    cursor->at += size;
    cursor->offset += size;
}

ALWAYS bool find_v4(struct cursor *cursor, struct datagram *ret)
{
    const struct iphdr *ip = (const void *)cursor->at;
    struct udphdr udp;

    if ((const void *)(ip + 1) > (const void *)cursor->end || ip->version != 4 || ip->ihl < 5 ||
        ip->protocol != IPPROTO_UDP || ip->frag_off & bpf_htons(FRAGMENT))
        return false;
    uint32_t options = (ip->ihl - 5) * 4;
    advance(cursor, sizeof(*ip));
    if (options ? !parse_udp_after(cursor, options, &udp, ret) : !parse_udp(cursor, &udp, ret))
        return false;
    if (!is_v4_endpoint(ip->daddr, udp.dest))
        return false;
    ret->udp_length = bpf_ntohs(udp.len);
    if (config.sender_rate)
        ret->sender = (struct sender){.prefix = ip->saddr};
    ret->allowed = true;
    if (config.has_networks) {
        struct presence_xdp_v4_prefix key = {.bits = 32};
        __builtin_memcpy(key.address, &ip->saddr, sizeof(key.address));
        ret->allowed = bpf_map_lookup_elem(&networks_v4, &key);
    }
    return true;
}

ALWAYS bool find_v6(struct cursor *cursor, struct datagram *ret)
{
    const struct ipv6hdr *ip = (const void *)cursor->at;
    struct udphdr udp;

    if ((const void *)(ip + 1) > (const void *)cursor->end || ip->version != 6 ||
        ip->nexthdr != IPPROTO_UDP)
        return false;
    advance(cursor, sizeof(*ip));
    if (!parse_udp(cursor, &udp, ret) || !is_v6_endpoint(&ip->daddr, udp.dest))
        return false;
    ret->udp_length = bpf_ntohs(udp.len);
    if (config.sender_rate) {
        ret->sender = (struct sender){.v6 = 1};
        __builtin_memcpy(&ret->sender.prefix, &ip->saddr, sizeof(ret->sender.prefix));
    }
    ret->allowed = true;
    if (config.has_networks) {
        struct presence_xdp_v6_prefix key = {.bits = 128};
        __builtin_memcpy(key.address, &ip->saddr, sizeof(key.address));
        ret->allowed = bpf_map_lookup_elem(&networks_v6, &key);
    }
    return ret->udp_length != 0; /* a jumbogram's length is elsewhere (RFC 2675) */
}

/* Skip Ethernet's header and VLAN tags. False if there are more tags, or nothing follows. */
ALWAYS bool skip_ethernet(struct cursor *cursor, uint16_t *ret_protocol)
{
    const struct ethhdr *ethernet = (const void *)cursor->at;

    if ((const void *)(ethernet + 1) > (const void *)cursor->end)
        return false;
    *ret_protocol = ethernet->h_proto;
    advance(cursor, sizeof(*ethernet));
    for (int i = 0; i < VLAN_TAGS; i++) {
        if (*ret_protocol != bpf_htons(ETH_P_8021Q) && *ret_protocol != bpf_htons(ETH_P_8021AD))
            return true;
        if (cursor->at + VLAN_SIZE > cursor->end)
            return false;
        *ret_protocol = *(const uint16_t *)(const void *)(cursor->at + 2);
        advance(cursor, VLAN_SIZE);
    }
    return true;
}

SEC("xdp.frags")
int presence_xdp(struct xdp_md *context)
{
    struct cursor cursor = {
        .context = context,
        .at = (const void *)(long)context->data,
        .end = (const void *)(long)context->data_end,
    };
    struct datagram datagram;
    uint16_t protocol;

    if (!skip_ethernet(&cursor, &protocol))
        return XDP_PASS;
    if (protocol == bpf_htons(ETH_P_IP)) {
        if (!find_v4(&cursor, &datagram))
            return XDP_PASS;
    } else if (protocol != bpf_htons(ETH_P_IPV6) || !find_v6(&cursor, &datagram)) {
        return XDP_PASS;
    }
    enum presence_xdp_fate fate = judge(&cursor, &datagram);
    count(fate);
    return fate == PRESENCE_XDP_PASSED ? XDP_PASS : XDP_DROP;
}

char presence_xdp_license[] SEC("license") = "Dual MIT/GPL";

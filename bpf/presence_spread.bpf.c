/* presence_spread.bpf.c - assign each sender to a worker, whose socket gets its datagrams.
 *
 * The kernel runs this for each datagram, or train of them, to a group of sockets that share an
 * address, one socket per worker. A sender is an address and a port. A new one gets the next worker
 * in turn, so that few senders load all workers evenly, and keeps it, so that its datagrams are
 * processed in the order in which they came (R4).
 *
 * Senders are kept in buckets of PRESENCE_SPREAD_SLOTS. A sender that was silent for `silence` may
 * lose its slot to another. If a bucket has no free slot, a hash decides, always in the same way.
 * Such a sender may get a slot later, while its datagrams still wait in the socket of the worker
 * that the hash chose. So for `silence` after a bucket has decided by hash, a sender that gets a
 * slot there gets it with the worker that the hash chooses.
 *
 * All this happens under the bucket's lock: two processors that receive the first datagrams of a
 * sender at the same moment choose the same worker. Only a fingerprint of a sender is kept; two
 * with the same one share a worker, which keeps the order of both.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "presence_spread.h"

#define V4_SENDER 12 /* offset of the source address in an IPv4 header (RFC 791) */
#define V6_SENDER 8  /* and in an IPv6 header (RFC 8200) */

#define ALWAYS    static __attribute__((always_inline)) inline

struct slot {
    uint32_t fingerprint;
    uint32_t worker;
    uint64_t last; /* its sender's last datagram, ns of CLOCK_MONOTONIC; 0: free */
};

struct bucket {
    struct bpf_spin_lock lock; /* protects all that follows */
    uint32_t unused;
    uint64_t hashed; /* when the hash last decided in this bucket; 0: never */
    struct slot slots[PRESENCE_SPREAD_SLOTS];
};

/* All addresses that the collector listens at share these two maps: there is one turn, and a sender
 * has one worker. The next collector goes on with them. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PRESENCE_SPREAD_BUCKETS);
    __type(key, uint32_t);
    __type(value, struct bucket);
} senders SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, struct presence_spread_shared);
} turns SEC(".maps");

/* The sockets of one address, by worker. */
struct {
    __uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
    __uint(max_entries, 64); /* SEGMENT_WORKERS_MAX: a collector with more workers may inherit it */
    __type(key, uint32_t);
    __type(value, uint64_t);
} sockets SEC(".maps");

const volatile struct presence_spread_config config;

/* Mix one word into a hash: each bit of `word` reaches all bits of the result (splitmix64's
 * finalizer: Steele, Lea, Flood 2014). */
ALWAYS uint64_t mix(uint64_t hash, uint64_t word)
{
    hash ^= word;
    hash = (hash ^ hash >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ hash >> 27) * UINT64_C(0x94d049bb133111eb);
    return hash ^ hash >> 31;
}

/* Hash the sender's address and port. False if the datagram has an unexpected form. */
ALWAYS bool hash_sender(struct sk_reuseport_md *context, uint64_t *ret)
{
    const struct udphdr *udp = context->data; /* after any IP options or extension headers */
    uint64_t address[2] = {0};
    bool v4 = context->eth_protocol == bpf_htons(ETH_P_IP);

    if ((const void *)(udp + 1) > context->data_end)
        return false;
    uint16_t port = udp->source;
    if (bpf_skb_load_bytes_relative(context, v4 ? V4_SENDER : V6_SENDER, address,
                                    v4 ? 4 : sizeof(address), BPF_HDR_START_NET) < 0)
        return false;
    *ret = mix(mix(mix(config.secret, address[0]), address[1]), port);
    return true;
}

/* True if that much time has passed since `then`. Another processor may have read a later time. */
ALWAYS bool is_over(uint64_t then, uint64_t now)
{
    return then == 0 || (int64_t)(now - then) >= (int64_t)config.silence;
}

/* Return a slot's address in such a way that the compiler does not compute it again from its
 * number: without CAP_PERFMON the verifier refuses the code that it would generate. */
ALWAYS struct slot *slot_at(struct bucket *bucket, uint32_t number)
{
    struct slot *slot = &bucket->slots[number];

    __asm__ volatile("" : "+r"(slot));
    return slot;
}

ALWAYS uint32_t next_worker(uint32_t *turn)
{
    return __sync_fetch_and_add(turn, 1) % config.workers;
}

/* Find the sender's worker, or assign one: also if the worker is no longer there, which reads what
 * its socket holds before any other does. The bucket is locked. */
ALWAYS uint32_t find_worker(struct bucket *bucket, uint32_t *turn, uint32_t fingerprint,
                            uint64_t now)
{
    uint32_t by_hash = fingerprint % config.workers;
    struct slot *vacant = slot_at(bucket, 0);
    bool is_full = true; /* instead of comparing pointers, which needs CAP_PERFMON */

#pragma clang loop unroll(full)
    for (uint32_t i = 0; i < PRESENCE_SPREAD_SLOTS; i++) {
        struct slot *slot = slot_at(bucket, i);
        if (slot->last && slot->fingerprint == fingerprint) {
            if (slot->worker >= config.workers)
                slot->worker = next_worker(turn);
            slot->last = now;
            return slot->worker;
        }
        if (is_full && is_over(slot->last, now)) {
            vacant = slot;
            is_full = false;
        }
    }
    if (is_full) {
        bucket->hashed = now;
        return by_hash;
    }
    uint32_t worker = by_hash;
    if (is_over(bucket->hashed, now))
        worker = next_worker(turn);
    vacant->fingerprint = fingerprint;
    vacant->worker = worker;
    vacant->last = now;
    return worker;
}

SEC("sk_reuseport")
int presence_spread(struct sk_reuseport_md *context)
{
    const uint32_t first = 0;
    uint64_t hash;

    if (!hash_sender(context, &hash))
        return SK_PASS; /* the kernel chooses by a hash of the flow */
    uint32_t place = (uint32_t)(hash >> 32) & (config.buckets - 1);
    struct bucket *bucket = bpf_map_lookup_elem(&senders, &place);
    struct presence_spread_shared *shared = bpf_map_lookup_elem(&turns, &first);
    if (!bucket || !shared)
        return SK_PASS;
    uint64_t now = bpf_ktime_get_ns();
    bpf_spin_lock(&bucket->lock);
    uint32_t worker = find_worker(bucket, &shared->turn, (uint32_t)hash, now);
    bpf_spin_unlock(&bucket->lock);
    bpf_sk_select_reuseport(context, &sockets, &worker, 0); /* if it fails, the kernel chooses */
    return SK_PASS;
}

char presence_spread_license[] SEC("license") = "Dual MIT/GPL";

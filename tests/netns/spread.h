/* spread.h - groups of sockets in a real kernel, senders, and which worker gets a datagram. */
#ifndef PRESENCE_TESTS_SPREAD_H
#define PRESENCE_TESTS_SPREAD_H

#include "../support/ipv6.h"
#include "../support/unit.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "../../bpf/presence_spread.h"
#include "receive/listener.h"

#define WORKERS_MAX 8
#define SECOND      UINT64_C(1000000000)
#define SLOTS       PRESENCE_SPREAD_SLOTS
#define DEADLINE_S  60

/* Groups of sockets, each with an address, that share one program's maps. */
struct group {
    struct spread spread;
    unsigned workers, addresses;
    int sockets[2][WORKERS_MAX];
};

static inline void open_address(struct group *group, const char *text)
{
    const struct listener_options options = {.spread = &group->spread};
    struct sockaddr_storage address;
    socklen_t length;

    assert_int_equal(listener_parse(text, &address, &length), 0);
    assert_int_equal(listener_open((struct sockaddr *)&address, length, &options, group->workers,
                                   group->sockets[group->addresses]),
                     0);
    assert_string_equal(spread_name(&group->spread), "turn");
    group->addresses++;
}

static inline void open_group(struct group *group, const char *text, unsigned workers,
                              unsigned buckets, uint64_t silence)
{
    const struct spread_map_settings settings = {workers, buckets, silence};

    *group = (struct group){.workers = workers, .spread.workers = workers};
    if (spread_map_open(&settings, &group->spread.map, group->spread.reason) != 0)
        fail_msg("%s", group->spread.reason);
    open_address(group, text);
}

static inline void close_group(struct group *group)
{
    for (unsigned i = 0; i < group->addresses; i++)
        for (unsigned j = 0; j < group->workers; j++)
            close(group->sockets[i][j]);
    spread_close(&group->spread);
}

static inline int open_sender(int to)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);

    assert_return_code(getsockname(to, (struct sockaddr *)&address, &length), errno);
    int sender = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_return_code(connect(sender, (struct sockaddr *)&address, length), errno);
    return sender;
}

static inline void open_senders(const struct group *group, unsigned address, unsigned count,
                                int *senders)
{
    for (unsigned i = 0; i < count; i++)
        senders[i] = open_sender(group->sockets[address][0]);
}

static inline void close_senders(const int *senders, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        close(senders[i]);
}

static inline unsigned drain(int socket)
{
    unsigned count = 0;
    char byte;

    while (recv(socket, &byte, sizeof(byte), MSG_DONTWAIT) >= 0)
        count++;
    return count;
}

/* Return the worker that gets all `count` datagrams to this address. Also over loopback they may
 * arrive a moment after they were sent. */
static inline unsigned take(const struct group *group, unsigned address, unsigned count)
{
    unsigned worker = WORKERS_MAX, all = 0;
    time_t start = time(NULL);

    while (all < count) {
        for (unsigned i = 0; i < group->workers; i++) {
            unsigned got = drain(group->sockets[address][i]);
            if (got && worker != WORKERS_MAX && worker != i)
                fail_msg("worker %u got %u of %u, worker %u some before", i, got, count, worker);
            if (got)
                worker = i;
            all += got;
        }
        if (time(NULL) - start > DEADLINE_S)
            fail_msg("%u of %u datagrams arrive", all, count);
    }
    assert_int_equal(all, count);
    return worker;
}

static inline unsigned worker_of(const struct group *group, unsigned address, int sender)
{
    assert_int_equal(send(sender, "x", 1, 0), 1);
    return take(group, address, 1);
}

static inline uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static inline void sleep_ns(uint64_t ns)
{
    struct timespec pause = {(time_t)(ns / SECOND), (long)(ns % SECOND)};

    nanosleep(&pause, NULL);
}

/* The counts of senders by worker differ by one at most. */
static inline void assert_even(const unsigned *counts, unsigned workers)
{
    unsigned least = counts[0], most = counts[0];

    for (unsigned i = 1; i < workers; i++) {
        least = counts[i] < least ? counts[i] : least;
        most = counts[i] > most ? counts[i] : most;
    }
    if (most > least + 1)
        fail_msg("a worker has %u senders, another %u", most, least);
}

/* False, after saying why, if BPF is not permitted. */
static inline bool can_spread(void)
{
    const struct spread_map_settings settings = {.workers = 2};
    char problem[SPREAD_PROBLEM_SIZE];
    struct spread_map *map;
    int r = spread_map_open(&settings, &map, problem);

    if (r == -EPERM)
        printf("%s\n", problem);
    if (r == 0)
        spread_map_close(map);
    return r != -EPERM;
}

#endif

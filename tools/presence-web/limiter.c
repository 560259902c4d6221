#include "limiter.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#include "common/monotonic.h"

#define LINES       4096
#define WAYS        4
#define CLIENT_PART 4 /* one client may use this fraction of all places */

/* A client. Its budget is kept as the time at which it is full again. */
struct client {
    uint64_t hash;
    int64_t full_at_ns;
};

struct quota {
    struct host client;
    size_t streams, places;
};

struct limiter {
    struct limits limits;
    void *quotas; /* searched by tsearch(3) */
    size_t streams, places;
    uint64_t seed; /* so that no client can choose its line */
    int64_t each_ns, burst_ns;
    struct client lines[LINES][WAYS];
};

struct limiter *limiter_new(const struct limits *limits)
{
    struct limiter *limiter = calloc(1, sizeof(*limiter));

    if (!limiter)
        return NULL;
    if (getrandom(&limiter->seed, sizeof(limiter->seed), 0) != sizeof(limiter->seed)) {
        free(limiter);
        return NULL;
    }
    limiter->limits = *limits;
    limiter->each_ns = limits->client_rate ? NS_PER_S / limits->client_rate : 0;
    limiter->burst_ns = NS_PER_S * LIMITER_BURST_S;
    return limiter;
}

void limiter_free(struct limiter *limiter)
{
    free(limiter);
}

static struct client *find_client(struct limiter *limiter, const struct host *host)
{
    const struct host owner = host_client(host);
    uint64_t hash = XXH3_64bits_withSeed(owner.bytes, sizeof(owner.bytes), limiter->seed);
    struct client *line = limiter->lines[hash % LINES], *fullest = line;

    for (unsigned i = 0; i < WAYS; i++) {
        if (line[i].hash == hash)
            return &line[i];
        if (line[i].full_at_ns < fullest->full_at_ns)
            fullest = &line[i];
    }
    *fullest = (struct client){.hash = hash};
    return fullest;
}

bool limiter_charge(struct limiter *limiter, const struct host *host, int64_t now_ns,
                    unsigned *ret_wait_s)
{
    if (!limiter->each_ns)
        return true;
    struct client *client = find_client(limiter, host);
    int64_t full_at_ns = client->full_at_ns > now_ns ? client->full_at_ns : now_ns;
    int64_t over_ns = full_at_ns + limiter->each_ns - now_ns - limiter->burst_ns;
    if (over_ns > 0) {
        *ret_wait_s = (unsigned)((over_ns + NS_PER_S - 1) / NS_PER_S);
        return false;
    }
    client->full_at_ns = full_at_ns + limiter->each_ns;
    return true;
}

/* ---- streams -------------------------------------------------------------------------------- */

static int compare_quotas(const void *left, const void *right)
{
    const struct quota *a = left, *b = right;

    return memcmp(&a->client, &b->client, sizeof(a->client));
}

/* Find the quota of a client, a new one if it has none. Return NULL if there is no memory. */
static struct quota *get_quota(struct limiter *limiter, const struct host *client)
{
    struct quota wanted = {.client = host_client(client)};
    struct quota **found = tfind(&wanted, &limiter->quotas, compare_quotas);

    if (found)
        return *found;
    struct quota *quota = malloc(sizeof(*quota));
    if (!quota)
        return NULL;
    *quota = wanted;
    if (tsearch(quota, &limiter->quotas, compare_quotas))
        return quota;
    free(quota);
    return NULL;
}

static void drop_unused(struct limiter *limiter, struct quota *quota)
{
    if (quota->streams)
        return;
    tdelete(quota, &limiter->quotas, compare_quotas);
    free(quota);
}

/* True if a client may open one more stream, with so many places. */
static bool is_within_quota(const struct limits *limits, const struct quota *quota, size_t places)
{
    size_t most = limits->max_streams / CLIENT_PART;

    if (!limits->client_streams)
        return true;
    if (most < limits->client_streams)
        most = limits->client_streams;
    return quota->streams < limits->client_streams && quota->places + places <= most;
}

int limiter_open_stream(struct limiter *limiter, const struct host *client, size_t places,
                        struct quota **ret)
{
    if (limiter->places + places > limiter->limits.max_streams)
        return -ENOSPC;
    struct quota *quota = get_quota(limiter, client);
    if (!quota)
        return -ENOMEM;
    if (!is_within_quota(&limiter->limits, quota, places)) {
        drop_unused(limiter, quota);
        return -EDQUOT;
    }
    quota->streams++;
    quota->places += places;
    limiter->streams++;
    limiter->places += places;
    *ret = quota;
    return 0;
}

void limiter_close_stream(struct limiter *limiter, struct quota *quota, size_t places)
{
    quota->streams--;
    quota->places -= places;
    limiter->streams--;
    limiter->places -= places;
    drop_unused(limiter, quota);
}

size_t limiter_streams(const struct limiter *limiter)
{
    return limiter->streams;
}

size_t limiter_places(const struct limiter *limiter)
{
    return limiter->places;
}

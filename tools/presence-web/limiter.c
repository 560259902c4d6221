#include "limiter.h"

#include <stdlib.h>
#include <sys/random.h>
#include <xxhash.h>

#include "common/monotonic.h"

#define LINES 4096
#define WAYS  4

/* A client. Its budget is kept as the time at which it is full again. */
struct client {
    uint64_t hash;
    int64_t full_at_ns;
};

struct limiter {
    uint64_t seed; /* so that no client can choose its line */
    int64_t each_ns, burst_ns;
    struct client lines[LINES][WAYS];
};

struct limiter *limiter_new(uint32_t rate)
{
    struct limiter *limiter = calloc(1, sizeof(*limiter));

    if (!limiter)
        return NULL;
    if (getrandom(&limiter->seed, sizeof(limiter->seed), 0) != sizeof(limiter->seed)) {
        free(limiter);
        return NULL;
    }
    limiter->each_ns = rate ? NS_PER_S / rate : 0;
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

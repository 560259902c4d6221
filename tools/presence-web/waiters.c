#include "waiters.h"

#include <stdlib.h>

struct waiter {
    TAILQ_ENTRY(waiter) entry;
    struct waiters *waiters;
    struct http_request *request;
    uint64_t round;
    int64_t until_ns;
    bool waits;
};

void waiters_init(struct waiters *waiters)
{
    TAILQ_INIT(&waiters->all);
}

/* Free a waiter. libmicrohttpd calls this when the request is over. */
static void free_waiter(void *data)
{
    struct waiter *waiter = data;

    if (waiter->waits)
        TAILQ_REMOVE(&waiter->waiters->all, waiter, entry);
    free(waiter);
}

bool waiters_suspend(struct waiters *waiters, struct http_request *request, uint64_t round,
                     int64_t until_ns)
{
    if (request->data)
        return false;
    struct waiter *waiter = malloc(sizeof(*waiter));
    if (!waiter)
        return false;
    *waiter = (struct waiter){.waiters = waiters,
                              .request = request,
                              .round = round,
                              .until_ns = until_ns,
                              .waits = true};
    request->data = waiter;
    request->release = free_waiter;
    TAILQ_INSERT_TAIL(&waiters->all, waiter, entry);
    MHD_suspend_connection(request->connection);
    return true;
}

void waiters_resume(struct waiters *waiters, uint64_t round, int64_t now_ns)
{
    struct waiter *waiter;

    while ((waiter = TAILQ_FIRST(&waiters->all)) &&
           (waiter->round <= round || waiter->until_ns <= now_ns)) {
        TAILQ_REMOVE(&waiters->all, waiter, entry);
        waiter->waits = false;
        http_server_resume(waiter->request->server, waiter->request->connection);
    }
}

int64_t waiters_next(const struct waiters *waiters)
{
    const struct waiter *first = TAILQ_FIRST(&waiters->all);

    return first ? first->until_ns : INT64_MAX;
}

/* waiters.h - requests that are suspended until a poll has answered them. One thread. */
#ifndef PRESENCE_WEB_WAITERS_H
#define PRESENCE_WEB_WAITERS_H

#include <sys/queue.h>

#include "http/http_server.h"

struct waiter;

/* The requests that wait, the first to be resumed first. */
struct waiters {
    TAILQ_HEAD(, waiter) all;
};

void waiters_init(struct waiters *waiters);

/* Suspend a request until round number `round` has come back, or `until_ns`: its handler is called
 * again then. Takes the request's `data`. False: it has waited once, or there is no memory. */
bool waiters_suspend(struct waiters *waiters, struct http_request *request, uint64_t round,
                     int64_t until_ns);

/* Resume those that wait for no later round than this one, or until now. */
void waiters_resume(struct waiters *waiters, uint64_t round, int64_t now_ns);

#define WAITERS_ALL UINT64_MAX /* as a round: resume all */

/* Return when the first one's patience ends, or INT64_MAX. */
int64_t waiters_next(const struct waiters *waiters);

#endif

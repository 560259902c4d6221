/* limiter.h - limit each client's heartbeats a second, and its streams at a time.
 *
 * A client is an IPv4 address or an IPv6 /64. It may send `client_rate` heartbeats a second, and
 * save up LIMITER_BURST_S seconds' worth. Memory for that is fixed: of the clients that share a
 * line of the table, the one with the fullest budget is evicted, which at most gives it a fresh
 * start.
 *
 * A stream is whatever shows the counts of places as long as it is open: /stream, or a WebSocket
 * in a room. Places are what costs, so one client may have only a part of them.
 */
#ifndef PRESENCE_WEB_LIMITER_H
#define PRESENCE_WEB_LIMITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/networks.h"

#define LIMITER_BURST_S 10

struct limiter;

/* See the options of the same names. */
struct limits {
    uint32_t client_rate;    /* 0: no limit */
    uint32_t max_streams;    /* places */
    uint32_t client_streams; /* 0: no limit */
};

/* Return NULL if there is no memory or randomness. */
struct limiter *limiter_new(const struct limits *limits);
void limiter_free(struct limiter *limiter); /* when all streams are closed */

/* Charge a client for a heartbeat at `now_ns`. False if its budget is used up; `ret_wait_s` is when
 * it may send again. */
bool limiter_charge(struct limiter *limiter, const struct host *client, int64_t now_ns,
                    unsigned *ret_wait_s);

/* ---- streams -------------------------------------------------------------------------------- */

/* The streams of one client, which are limited. */
struct quota;

/* Count a new stream of a client, with so many places; end it with limiter_close_stream. Errors:
 * -ENOSPC there are no places left; -EDQUOT this client has used up its quota; -ENOMEM. */
int limiter_open_stream(struct limiter *limiter, const struct host *client, size_t places,
                        struct quota **ret);
void limiter_close_stream(struct limiter *limiter, struct quota *quota, size_t places);

/* Return the number of streams, and of the places that they show. */
size_t limiter_streams(const struct limiter *limiter);
size_t limiter_places(const struct limiter *limiter);

#endif

/* limiter.h - a budget of heartbeats for each client.
 *
 * A client is an IPv4 address or an IPv6 /64. It may send `rate` heartbeats a second, and save up
 * LIMITER_BURST_S seconds' worth. Memory is fixed: of the clients that share a line of the table,
 * the one with the fullest budget is evicted, which at most gives it a fresh start.
 */
#ifndef PRESENCE_WEB_LIMITER_H
#define PRESENCE_WEB_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/networks.h"

#define LIMITER_BURST_S 10

struct limiter;

/* Allocate a limiter for `rate` heartbeats a second; 0: no limit. Return NULL if there is no memory
 * or randomness. */
struct limiter *limiter_new(uint32_t rate);
void limiter_free(struct limiter *limiter);

/* Charge a client for a heartbeat at `now_ns`. False if its budget is used up; `ret_wait_s` is when
 * it may send again. */
bool limiter_charge(struct limiter *limiter, const struct host *client, int64_t now_ns,
                    unsigned *ret_wait_s);

#endif

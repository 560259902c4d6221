/* limiter.h - how many heartbeats a client may send.
 *
 * A client is an IPv4 address, or the /64 that an IPv6 address is in. Each has a budget of so many
 * a second, of which BURST_S seconds may be saved up. Memory is fixed: of clients that share a line
 * of the table the one whose budget is fullest is forgotten, which costs nothing but a fresh start.
 */
#ifndef PRESENCE_WEB_LIMITER_H
#define PRESENCE_WEB_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

#include "network.h"

#define LIMITER_BURST_S 10

struct limiter;

/* `rate`: heartbeats a second and client, 0: without limit. NULL: no memory, or no randomness. */
struct limiter *limiter_new(uint32_t rate);
void limiter_free(struct limiter *limiter);

/* May this client send another heartbeat at `now_ns`? If not, `ret_wait_s` is when it may. */
bool limiter_take(struct limiter *limiter, const struct host *client, int64_t now_ns,
                  unsigned *ret_wait_s);

#endif

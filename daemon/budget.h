/* budget.h - limit what each sender may spend in a second.
 *
 * All workers share one budget without a lock. A word holds a sender's fingerprint, a tick and how
 * much was spent in it. Words of other ticks are free, so the memory is bounded and needs no sweep.
 * A sender has its own word while fewer than nine of its set (of 1024) are active in one second;
 * beyond, senders share words, so that made-up addresses gain nothing.
 */
#ifndef PRESENCED_BUDGET_H
#define PRESENCED_BUDGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define BUDGET_LIMIT_MAX 16000000 /* a second */

struct budget;

/* Open a budget of `limit` (1 to BUDGET_LIMIT_MAX) per sender and second. Free it with
 * budget_close. -ENOMEM. */
int budget_open(uint32_t limit, struct budget **ret);

/* Free a budget. NULL is fine. */
void budget_close(struct budget *budget);

/* Return the sender of an address: an IPv4 address, also an IPv4-mapped one, or the first 64 bits
 * of an IPv6 one, since they go to one customer. NULL and other families are one sender. `secret`
 * keeps attackers from choosing addresses that share words with another sender. */
uint64_t budget_sender(uint64_t secret, const struct sockaddr *address);

/* Spend one of the sender's budget at tick `now`. Returns false if nothing is left. Any thread.
 * Threads that meet a new sender at the same moment may each take a word for it, so each may let
 * one more pass. */
bool budget_spend(struct budget *budget, uint64_t sender, uint64_t now);

#endif

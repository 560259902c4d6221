/* budget.h - what each source has used of its share of the current second.
 *
 * All workers share one budget without a lock. A word is a source's fingerprint, a tick and how
 * much was used then. Words of other ticks say nothing any more and are free: the memory is
 * bounded, and nothing needs to be swept. A source has its own word as long as fewer than nine of
 * its set (of 1024) are active in one second; beyond that, sources share words, so that strangers
 * who make up addresses get no more by it.
 */
#ifndef PRESENCED_BUDGET_H
#define PRESENCED_BUDGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define BUDGET_LIMIT_MAX 16000000 /* a second */

struct budget;

/* Each source may take `limit` (1 to BUDGET_LIMIT_MAX) a second. To be freed with budget_close.
 * -ENOMEM. */
int budget_open(uint32_t limit, struct budget **ret);

/* NULL is fine. */
void budget_close(struct budget *budget);

/* Whose share it is: an IPv4 address, also an IPv4-mapped one, or the first 64 bits of an IPv6 one,
 * since whoever has one of these has them all. NULL and other families are one source together.
 * `secret` keeps others from choosing addresses that share words with somebody. */
uint64_t budget_source(uint64_t secret, const struct sockaddr *address);

/* Take one of what `source` may have at tick `now`; false when nothing is left. Any thread. Threads
 * that begin with a source at the same moment may give it a word each: one more for each of them.
 */
bool budget_take(struct budget *budget, uint64_t source, uint64_t now);

#endif

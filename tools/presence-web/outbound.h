/* outbound.h - send heartbeats to the collectors. One thread.
 *
 * Leaves of a site are held for a moment: a visitor who goes from one page to the next leaves the
 * site with the first, enters it with the second, and was never away. A held leave is dropped when
 * the visitor is touched meanwhile, or when the segment has seen them after their last touch here:
 * then an edge reported the next page, perhaps before the leave arrived. The segment's times are
 * whole seconds, so a report within the second of the last touch goes unnoticed.
 */
#ifndef PRESENCE_WEB_OUTBOUND_H
#define PRESENCE_WEB_OUTBOUND_H

#include "heartbeat.h"
#include "live.h"
#include "secrets.h"

#define OUTBOUND_HOLD_S     2     /* for a leave that does not say how long */
#define OUTBOUND_LEAVES_MAX 16384 /* held at a time; beyond, the next one due is sent at once */

struct outbound;

/* Prepare to send to each of `count` addresses, numeric HOST:PORT, signed with `key`. The addresses
 * are not copied; `live` shows when a visitor was seen. Errors: as presence_sender_open(), and
 * `ret_failed` is the address in question. */
int outbound_open(char *const *addresses, size_t count, const struct key *key, struct live *live,
                  struct outbound **ret, const char **ret_failed);

/* Send the held leaves, and close. */
void outbound_close(struct outbound *outbound);

/* Sign with this key from now on; what is queued is sent first. Errors: as presence_sender_open();
 * the collectors after the failed one keep the former key. */
int outbound_sign(struct outbound *outbound, const struct key *key);

/* Queue a heartbeat for all collectors; hold a leave of the site, or drop the held one if the
 * visitor is back. `country` may be NULL. Errors: as presence_send(). */
int outbound_send(struct outbound *outbound, const struct heartbeat *heartbeat,
                  const char *country);

/* Remember in which second the collector counted a visitor's touch, so that a later report by an
 * edge can be distinguished from it. */
void outbound_record_counted(struct outbound *outbound, const struct heartbeat *heartbeat);

/* True if the segment shows that another report of the visitor came after the one that was sent at
 * `sent_ns` (monotonic_ns), in the heartbeat's room, or in the site if it has none. Reports that
 * are less than a second or two apart are not told apart; those to other collectors are not known.
 */
bool outbound_is_seen_since(const struct outbound *outbound, const struct heartbeat *heartbeat,
                            int64_t sent_ns);

/* Return how many heartbeats are known to have reached nobody. Sends nothing. */
uint64_t outbound_lost(struct outbound *outbound);

/* Send the leaves that are due and all that is queued, log which collectors can't be reached, and
 * show them that this sender is alive. Return when to call this again, in a second at the latest.
 */
int64_t outbound_run_timers(struct outbound *outbound, int64_t now_ns);

#endif

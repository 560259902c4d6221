/* leaves.h - leaves of a site, kept back for a moment: who goes from one page to the next leaves
 * the site with the one and is there again with the other, and was never away. One thread. */
#ifndef PRESENCE_WEB_LEAVES_H
#define PRESENCE_WEB_LEAVES_H

#include "forwarder.h"
#include "heartbeat.h"

#define LEAVES_HELD_NS (2 * NS_PER_S)
#define LEAVES_MAX     16384 /* at a time: of more the oldest goes at once */

struct leaves;

/* NULL: no memory. `forwarder` is where they go. */
struct leaves *leaves_new(struct forwarder *forwarder);

/* Send those that are left, and free. */
void leaves_free(struct leaves *leaves);

/* Keep a leave back; `country` may be NULL. -ENOMEM. */
int leaves_hold(struct leaves *leaves, const struct heartbeat *heartbeat, const char *country,
                int64_t now_ns);

/* The visitor is on the site: forget that they left. */
void leaves_forget(struct leaves *leaves, const struct heartbeat *heartbeat);

/* Send those that are due. Returns when the next one is; INT64_MAX: there is none. */
int64_t leaves_look(struct leaves *leaves, int64_t now_ns);

#endif

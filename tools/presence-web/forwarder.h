/* forwarder.h - heartbeats on their way to the collectors. One thread. */
#ifndef PRESENCE_WEB_FORWARDER_H
#define PRESENCE_WEB_FORWARDER_H

#include "presence/presence.h"
#include "signing.h"

struct forwarder;

/* Send to each of `count` addresses, numeric HOST:PORT, signed with `key`. Errors: as
 * presence_sender_open; then `ret_failed` is the address it is about. */
int forwarder_open(char *const *addresses, size_t count, const struct signing_key *key,
                   struct forwarder **ret, const char **ret_failed);
void forwarder_close(struct forwarder *forwarder);

/* Sign with this key from now on; what is queued is sent first. Errors: as presence_sender_open;
 * those collectors that are left go on with the former key. */
int forwarder_sign(struct forwarder *forwarder, const struct signing_key *key);

/* Queue a heartbeat for all of them. Errors: as presence_send. */
int forwarder_send(struct forwarder *forwarder, const struct presence_place *place,
                   const char *visitor);

/* Send what is queued. Says in the log where nobody listens. */
void forwarder_flush(struct forwarder *forwarder);

#endif

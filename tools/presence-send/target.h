/* target.h - the collector that heartbeats go to. */
#ifndef PRESENCE_SEND_TARGET_H
#define PRESENCE_SEND_TARGET_H

#include "options.h"

/* Resolve --to and open a sender. False, after saying why, when that fails. */
bool target_open(const struct options *options, struct presence_sender **ret);

/* True when all that was sent so far seems to have arrived; says what is wrong otherwise. */
bool target_takes(const struct options *options, const struct presence_sender *sender);

/* Send everything, then wait for some ms for reports that nobody listens: they come after the
 * datagram. */
void target_finish(struct presence_sender *sender);

#endif

/* sender.h - what programs of this tree do with senders beyond presence.h. Not installed. */
#ifndef PRESENCE_SENDER_H
#define PRESENCE_SENDER_H

#include <stdbool.h>

#include "presence/presence.h"

/* Swap the sockets of two senders to one address. To the collector, `sender` is then who `former`
 * was, by address and port: only so do its datagrams keep their order behind those of `former`,
 * which have to be flushed before. Returns false, and changes nothing, if the addresses differ. One
 * thread at a time. */
bool sender_swap_sockets(struct presence_sender *sender, struct presence_sender *former);

#endif

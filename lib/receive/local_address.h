/* local_address.h - ask the kernel whether this machine has an address.
 *
 * A query of the routing table (rtnetlink(7), RTM_GETROUTE) takes one write and one read: it is
 * cheap enough for once a second, and a confined collector may make it.
 */
#ifndef PRESENCE_LOCAL_ADDRESS_H
#define PRESENCE_LOCAL_ADDRESS_H

#include <sys/socket.h>

/* Open a socket for queries; the caller closes it. One thread at a time may use it.
 * Errors: those of socket(2), such as -EAFNOSUPPORT where AF_NETLINK is not permitted. */
int local_address_open(void);

/* Return 1 if datagrams to the address come to this machine, or it stands for all addresses; 0 if
 * the machine does not have it; a negative errno if the kernel does not say. */
int local_address_find(int descriptor, const struct sockaddr_storage *address);

#endif

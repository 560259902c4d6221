/* udp_table.h - the kernel's tables of UDP sockets, /proc/net/udp and udp6: who else has a port. */
#ifndef PRESENCE_UDP_TABLE_H
#define PRESENCE_UDP_TABLE_H

#include <sys/socket.h>

#define UDP_TABLE_DIRECTORY                                              \
    "/proc/self/net" /* of the network namespace that this process is in \
                      */

/* Return 1 if a socket has the address's port in part or in full (address_conflicts), whoever's it
 * is, that is none of the `count` descriptors from `first` on; 0 if none has. One of [::] may have
 * IPv4's addresses, too, which the tables don't tell: it is taken for one of IPv6 alone. Errors:
 * -EBADMSG a table isn't what the manual says; those of open(2) and read(2). */
int udp_table_find_other(const char *directory, const struct sockaddr_storage *address, int first,
                         unsigned count);

#endif

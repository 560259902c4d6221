/* sender_socket.h - the connected UDP socket of a sender. */
#ifndef PRESENCE_SENDER_SOCKET_H
#define PRESENCE_SENDER_SOCKET_H

#include <stdint.h>

/* Connect a UDP socket to a numeric HOST:PORT; its reports of failed datagrams are kept for
 * sender_socket_refused. Returns the descriptor, which the caller closes, or -EINVAL for an address
 * that is not one, or the socket's own error. */
int sender_socket_open(const char *address);

/* How many datagrams came back, since the last call, as having found nobody (ICMP destination
 * unreachable). Takes the reports from the socket, so that none of them is raised by the next
 * send, where it would keep a good datagram back. Source: ip(7), IP_RECVERR. */
uint64_t sender_socket_refused(int socket);

#endif

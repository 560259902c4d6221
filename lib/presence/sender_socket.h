/* sender_socket.h - a UDP socket that sends to one address, whatever happens to the way there.
 *
 * It is not connected: the kernel chooses route and source address anew for each message. So it
 * works as soon as there is a route, and goes on when the machine's own address changes, from the
 * port that it had. One thread at a time.
 */
#ifndef PRESENCE_SENDER_SOCKET_H
#define PRESENCE_SENDER_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct sender_socket {
    int descriptor;
    socklen_t address_length;
    struct sockaddr_storage address; /* for msg_name */
};

/* Open a socket for messages to a numeric HOST:PORT. With `need_route`, fail where nothing can be
 * sent there now. Errors: -EINVAL the address is malformed; -ENOMEM; or the socket's own. */
int sender_socket_open(struct sender_socket *socket, const char *address, bool need_route);

void sender_socket_close(struct sender_socket *socket);

/* Return how many datagrams came back since the last call because nobody listened or there was no
 * route (ICMP destination unreachable). Collects the reports from the socket, so that the next send
 * doesn't fail with one and keep a good datagram back. */
uint64_t sender_socket_refused(const struct sender_socket *socket);

#endif

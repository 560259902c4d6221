/* listener.h - the UDP sockets that datagrams arrive at. */
#ifndef PRESENCE_LISTENER_H
#define PRESENCE_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "spread.h"

#define LISTENER_BUFFER_BYTES (16 << 20) /* of a receive buffer by default */
#define LISTENER_PATIENCE_MS  5000       /* how long to wait for a port in use */
#define LISTENER_SETTLE_MS    200        /* far longer than a datagram's way through the kernel */

struct listener_options {
    size_t receive_buffer_bytes;  /* of each socket; 0: 16 MiB. The kernel may grant less */
    bool generic_receive_offload; /* receive trains of datagrams, if the kernel can */
    struct spread *spread;        /* NULL: senders are spread by hash */
    int *array;                   /* for spread_attach, which sets it; NULL: not wanted */
    bool is_shared;               /* sockets that are passed have the port, too (listener_share),
                                   * and nobody else (udp_table_find_other) */

    /* Called instead of sleeping while a port is in use; returns false to end the wait. NULL:
     * sleep.
     */
    bool (*wait)(void *context, unsigned ms);
    void *context;
};

/* Parse "127.0.0.1:9514" or "[::1]:9514": a numeric address and a port from 0 (the kernel chooses)
 * to 65535. -EINVAL: anything else. */
int listener_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_length);

/* True if it is an address of loopback, which no other machine reaches. */
bool listener_is_loopback(const struct sockaddr_storage *address);

/* Bind `workers` (at least 1, as many as `options->spread` has) blocking, close-on-exec UDP sockets
 * to one address and write them to `ret_sockets`; the caller closes them. IPv6 sockets receive IPv6
 * only. With port 0 all share the port that the kernel chose. Each sender's datagrams go to one of
 * the sockets; those that come before the spread is attached are dropped and counted as drops. If
 * the machine does not have the address yet, datagrams arrive as soon as it has. Errors:
 * -EADDRINUSE another socket, even one with SO_REUSEPORT, had the port for LISTENER_PATIENCE_MS
 * (the kernel frees a port late when its owner was killed with a ring); -EINTR `options->wait`
 * returned false; -EINVAL; those of socket(2), setsockopt(2) and bind(2). */
int listener_open(const struct sockaddr *address, socklen_t length,
                  const struct listener_options *options, unsigned workers, int *ret_sockets);

/* Complete a group that an earlier daemon of the same user opened: `sockets` has one for each of
 * the workers of `options->spread`, or -1 where it is missing, and one at least is not; those are
 * opened. Then spread the senders over them: other sockets of the group get nothing any more once
 * listener_settle returns. `is_lone`: the group has only one socket. On failure only those that
 * were missing are closed. Errors: as listener_open, without a wait. */
int listener_complete(const struct listener_options *options, int *sockets, bool is_lone);

/* Give a socket that was passed the options of a new one, where they are not less. */
void listener_adopt(int socket, const struct listener_options *options);

/* Let sockets of the same user be bound that have this one's port in part or in full. Root makes
 * this one its own. */
void listener_share(int socket);

/* Stop datagrams from coming to this socket: another one whose address covers its gets them. What
 * waits in it stays. */
void listener_retire(int socket);

/* Wait until each datagram that is on its way to a socket has got there. Errors: those of
 * membarrier(2); then it has waited for LISTENER_SETTLE_MS instead. */
int listener_settle(void);

/* Return an upper bound for the memory that is taken by what waits in the socket. */
size_t listener_waiting(int socket);

/* Return a lower bound for the memory that a datagram, or a train, of so many bytes takes. */
size_t listener_taken(uint32_t bytes);

/* Receive datagrams one by one from now on: generic XDP can't judge trains. */
void listener_stop_offload(int socket);

/* Return how many datagrams the kernel has dropped at this socket since it was opened, modulo 2^32
 * (SO_MEMINFO, SK_MEMINFO_DROPS in linux/sock_diag.h); 0 if it does not say. */
uint32_t listener_drops(int socket);

/* Return the size in bytes of the receive buffer that the kernel granted; 0 if it does not say. */
size_t listener_receive_buffer(int socket);

#endif

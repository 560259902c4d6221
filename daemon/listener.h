/* listener.h - the UDP sockets that datagrams arrive at. */
#ifndef PRESENCED_LISTENER_H
#define PRESENCED_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define LISTENER_BUFFER_BYTES (16 << 20) /* of a receive buffer, unless told otherwise */

struct listener_options {
    size_t receive_buffer_bytes;  /* of each socket; 0: 16 MiB. The kernel may grant less */
    bool generic_receive_offload; /* take trains of datagrams at once where the kernel can */
};

/* Read "127.0.0.1:9514" or "[::1]:9514": a numeric address and a port from 0 (the kernel chooses)
 * to 65535. Names are not resolved. -EINVAL: anything else. */
int listener_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_length);

/* Is it an address of loopback, which nothing from outside of this machine comes to? */
bool listener_is_loopback(const struct sockaddr_storage *address);

/* Bind `workers` (at least 1) blocking, close-on-exec UDP sockets to one address and write them to
 * `ret_sockets`; the caller closes them. An IPv6 socket takes IPv6 only. With port 0 all share the
 * port that the kernel chose. Several sockets are filled at random, datagram by datagram, so that
 * even a single flow loads all workers (SO_ATTACH_REUSEPORT_CBPF, socket(7)).
 * Errors: -EADDRINUSE another socket, even one with SO_REUSEPORT, has had the port for the 5 s that
 * this waits (a port is freed late when its owner was killed with a ring); -EINVAL; those of
 * socket, setsockopt and bind. */
int listener_open(const struct sockaddr *address, socklen_t length,
                  const struct listener_options *options, unsigned workers, int *ret_sockets);

/* Take datagrams one by one from now on: what generic XDP judges must not be trains. */
void listener_stop_offload(int socket);

/* How many datagrams the kernel has dropped at this socket since it was opened, modulo 2^32
 * (SO_MEMINFO, SK_MEMINFO_DROPS in linux/sock_diag.h); 0 where the kernel cannot tell. */
uint32_t listener_drops(int socket);

/* How large a receive buffer the kernel granted, in bytes; 0 if it can't tell. */
size_t listener_receive_buffer(int socket);

#endif

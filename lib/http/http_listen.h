/* http_listen.h - open the sockets that clients connect to. */
#ifndef PRESENCE_HTTP_LISTEN_H
#define PRESENCE_HTTP_LISTEN_H

#define HTTP_LISTEN_MAX 16

/* For the manuals: what http_listen_open makes of the addresses. */
#define HTTP_LISTEN_DETAILS                                                                      \
    "IPv6 addresses are in brackets. [::] takes IPv4 too, unless an IPv4 address with the same " \
    "port is also given. Port 0 lets the kernel choose; the port is logged."

/* Bind a TCP socket to each HOST:PORT and listen: "127.0.0.1:9474", "[::1]:9474", "localhost:9474",
 * or ":9474" for all addresses. "[::]:9474" is for all addresses, too; where another of `addresses`
 * is an IPv4 address with the same port, or another program has the port for IPv4, it is for IPv6
 * only; the second case is logged. Port 0 lets the kernel choose. Writes `count`
 * descriptors, non-blocking and close-on-exec, which the caller closes. A failure is logged, and
 * nothing is left open. Errors: -EINVAL it is malformed; -ENOENT no such host; those of socket,
 * bind and listen. */
int http_listen_open(char *const *addresses, unsigned count, int *ret_sockets);

/* Check the form of HOST:PORT, without looking it up. Errors: -EINVAL. */
int http_listen_check(const char *address);

#endif

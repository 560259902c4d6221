/* http_listen.h - open the socket that clients connect to. */
#ifndef PRESENCE_HTTP_LISTEN_H
#define PRESENCE_HTTP_LISTEN_H

/* Bind a TCP socket to HOST:PORT and listen: "127.0.0.1:9474", "[::1]:9474", "localhost:9474", or
 * ":9474" for all addresses, IPv4 and IPv6. Port 0 lets the kernel choose. Returns the descriptor,
 * which the caller closes: non-blocking and close-on-exec. A failure is logged.
 * Errors: -EINVAL it is malformed; -ENOENT no such host; those of socket, bind and listen. */
int http_listen_open(const char *address);

/* Check the form of HOST:PORT, without looking it up. Errors: -EINVAL. */
int http_listen_check(const char *address);

#endif

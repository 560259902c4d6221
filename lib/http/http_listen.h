/* http_listen.h - the socket that clients connect to. */
#ifndef PRESENCE_HTTP_LISTEN_H
#define PRESENCE_HTTP_LISTEN_H

/* Bind a TCP socket to HOST:PORT and listen: "127.0.0.1:9474", "[::1]:9474", "localhost:9474", or
 * ":9474" for all addresses, IPv4 and IPv6. Port 0 lets the kernel choose. Returns the descriptor,
 * which the caller closes: non-blocking and close-on-exec.
 * Errors: -EINVAL it is not of that form; -ENOENT there is no such host; those of socket, bind and
 * listen. */
int http_listen_open(const char *address);

/* Is it of that form? Nothing is looked up. */
int http_listen_check(const char *address);

#endif

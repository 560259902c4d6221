/* http_listen.h - the socket that clients connect to. */
#ifndef PRESENCE_HTTP_LISTEN_H
#define PRESENCE_HTTP_LISTEN_H

#include <stddef.h>

#define HTTP_LISTEN_TEXT_SIZE 64 /* bytes of the longest formatted address, with its zero */

/* Bind a TCP socket to HOST:PORT and listen: "127.0.0.1:9474", "[::1]:9474", "localhost:9474", or
 * ":9474" for all addresses, IPv4 and IPv6. Port 0 lets the kernel choose. Returns the descriptor,
 * which the caller closes: non-blocking and close-on-exec.
 * Errors: -EINVAL it is not of that form; -ENOENT there is no such host; those of socket, bind and
 * listen. */
int http_listen_open(const char *address);

/* Is it of that form? Nothing is looked up. */
int http_listen_check(const char *address);

/* The address that a socket is bound to, in that form. Errors: those of getsockname. */
int http_listen_format(int socket, char ret[HTTP_LISTEN_TEXT_SIZE]);

#endif

/* http_connections.h - track the open connections, time them out, and close one when there are too
 * many.
 *
 * libmicrohttpd's own timeout restarts with every byte, and its own limits refuse the newest
 * client. Here a request, and an answer, must be complete within a time; and at the limit the
 * connection that has been idle longest is closed for a new one, so that clients who hold
 * connections open starve nobody. All functions: any thread.
 */
#ifndef PRESENCE_HTTP_CONNECTIONS_H
#define PRESENCE_HTTP_CONNECTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Connections that were shut down here and that the library has not closed yet: it accepts 11 a
 * turn in each thread, closes them a turn later, and a thread may have to wait for its turn. */
#define HTTP_CONNECTIONS_SLACK 256

struct http_connections;
struct http_connection;

/* Allocate an empty set. `limit`: connections at a time; `limit_per_address`: of one address (IPv6:
 * of one /64), 0 for no such limit; `patience_s`: timeout of a request and of an answer;
 * `pressure_ms`: timeout of an answer while others wait to connect. NULL: out of memory. */
struct http_connections *http_connections_new(unsigned limit, unsigned limit_per_address,
                                              unsigned patience_s, unsigned pressure_ms);
void http_connections_free(struct http_connections *connections);

/* True if a client with this address may connect; may shut down another's connection. */
bool http_connections_admit(struct http_connections *connections, const struct sockaddr *address);

/* Add a connection. NULL: it was one too many and has been shut down. */
struct http_connection *http_connections_begin(struct http_connections *connections, int socket,
                                               const struct sockaddr *address);

/* Remove a connection, whose socket is about to be closed. One that was taken over is removed when
 * this has been called twice. */
void http_connections_end(struct http_connections *connections, struct http_connection *connection);

/* Record that a request is complete and must be answered; that it has been answered; that a stream
 * answers it, whose client is shut down only when it has accepted no data for two minutes.
 * `connection` may be NULL. */
void http_connections_asked(struct http_connections *connections,
                            struct http_connection *connection);
void http_connections_answered(struct http_connections *connections,
                               struct http_connection *connection);
void http_connections_streams(struct http_connections *connections,
                              struct http_connection *connection);

/* Record that a connection goes on as another descriptor, with another protocol, like a stream. */
void http_connections_take(struct http_connections *connections, struct http_connection *connection,
                           int socket);

/* Send an answer as it is and shut down a connection whose request can't be parsed. `connection`
 * may be NULL. */
void http_connections_refuse(struct http_connections *connections,
                             struct http_connection *connection, const char *answer);

/* Shut down connections that have timed out. Call it about once a second. */
void http_connections_sweep(struct http_connections *connections);

/* Count the connections. */
unsigned http_connections_count(struct http_connections *connections);

#endif

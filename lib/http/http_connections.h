/* http_connections.h - who is connected, since when, and who has to go when there are too many.
 *
 * libmicrohttpd's own timeout begins anew with every byte, and its own limits turn the newest
 * client away. Here a request, and an answer, have to be through within a time; and where there are
 * too many connections the one that has waited longest without asking anything makes room for a new
 * one, so that clients who hold connections open starve nobody.
 */
#ifndef PRESENCE_HTTP_CONNECTIONS_H
#define PRESENCE_HTTP_CONNECTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Ended connections that the library has not closed yet may be as many: it accepts 11 a turn in
 * each thread, closes what was ended a turn later, and a thread may be kept from its turn. */
#define HTTP_CONNECTIONS_SLACK 256

struct http_connections;
struct http_connection;

/* `limit`: connections at a time; `limit_per_address`: of one address (IPv6: of one /64), 0 for no
 * such limit; `patience_s`: for a request, and for an answer, each; `pressure_ms`: for an answer,
 * while others want to connect. NULL: no memory. */
struct http_connections *http_connections_new(unsigned limit, unsigned limit_per_address,
                                              unsigned patience_s, unsigned pressure_ms);
void http_connections_free(struct http_connections *connections);

/* May a client with this address connect? Perhaps ends another's connection. */
bool http_connections_admit(struct http_connections *connections, const struct sockaddr *address);

/* A connection begins. NULL: one too many, which has been ended. */
struct http_connection *http_connections_begin(struct http_connections *connections, int socket,
                                               const struct sockaddr *address);

/* It is over; its socket is about to be closed. */
void http_connections_end(struct http_connections *connections, struct http_connection *connection);

/* A request is complete and has to be answered; it is answered; it is answered by a stream that may
 * last: from then on only a client that stops taking what is sent, for two minutes, is ended.
 * `connection` may be NULL. */
void http_connections_asked(struct http_connections *connections,
                            struct http_connection *connection);
void http_connections_answered(struct http_connections *connections,
                               struct http_connection *connection);
void http_connections_streams(struct http_connections *connections,
                              struct http_connection *connection);

/* End what takes too long: to be called about once a second. */
void http_connections_sweep(struct http_connections *connections);

/* How many there are. */
unsigned http_connections_count(struct http_connections *connections);

#endif

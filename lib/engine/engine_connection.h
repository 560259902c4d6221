/* engine_connection.h - one connection to one server, non-blocking. One thread at a time. */
#ifndef PRESENCE_ENGINE_CONNECTION_H
#define PRESENCE_ENGINE_CONNECTION_H

#include <stdint.h>

#include "engine_link.h"
#include "engine_lookup.h"
#include "engine_parser.h"

#define ENGINE_PEER_SIZE ADDRESS_SIZE

struct engine_connection {
    int socket; /* -1: none */
    struct engine_parser parser;
    char peer[ENGINE_PEER_SIZE]; /* the host and port, or the path */
};

/* Connect to a host, or to a unix socket, by `deadline_ns`. On failure `ret_problem` says why.
 * Errors: -ETIMEDOUT, -EHOSTUNREACH the name can't be looked up, -ENOMEM, those of socket and
 * connect. */
int engine_connection_host(struct engine_connection *connection, const struct address *host,
                           struct engine_lookups *lookups, int64_t deadline_ns,
                           char ret_problem[ENGINE_PROBLEM_SIZE]);
int engine_connection_path(struct engine_connection *connection, const char *path,
                           int64_t deadline_ns, char ret_problem[ENGINE_PROBLEM_SIZE]);

/* Close it, if it is open. `peer` stays. */
void engine_connection_close(struct engine_connection *connection);

/* True if it is open, and the server has neither closed it nor said anything unasked. */
bool engine_connection_is_usable(const struct engine_connection *connection);

/* Send commands and receive their replies, as engine_link_call does, but judge none. After a
 * failure the connection can only be closed. */
int engine_connection_call(struct engine_connection *connection,
                           const struct engine_request *request, int64_t deadline_ns,
                           redisReply ***ret, char ret_problem[ENGINE_PROBLEM_SIZE]);

#endif

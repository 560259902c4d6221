/* http_upgrade.h - take a client's connection over from the server, for another protocol. */
#ifndef PRESENCE_HTTP_UPGRADE_H
#define PRESENCE_HTTP_UPGRADE_H

#include "http_server.h"

struct http_connection;

/* What serves a server's connections of another protocol, in the thread of http_server_turn. */
struct http_upgrades {
    int ready; /* descriptor: it is readable when there is something to do */
    /* Called in each turn. `is_ready`: the descriptor is readable. */
    void (*run)(struct http_upgrades *upgrades, bool is_ready);
    /* Close all connections and free itself: the server ends. */
    void (*end)(struct http_upgrades *upgrades);
};

/* Return what http_server_set_upgrades() has set, or NULL. */
struct http_upgrades *http_server_upgrades(const struct http_server *server);
void http_server_set_upgrades(struct http_server *server, struct http_upgrades *upgrades);

/* True if the server's connections can be taken over: it doesn't speak TLS itself. */
bool http_server_can_upgrade(const struct http_server *server);

/* Record that a connection goes on as `socket`, out of libmicrohttpd's hands, and let the kernel
 * find out if its client has vanished. It has no timeout, and counts as a connection until
 * http_server_release. May return NULL. */
struct http_connection *http_server_take(struct http_server *server,
                                         struct MHD_Connection *connection, int socket);
void http_server_release(struct http_server *server, struct http_connection *connection);

#endif

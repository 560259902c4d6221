/* shared_port.h - sockets beside those that are passed, at addresses with the same port. The last
 * daemon's are closed only when they have been read. */
#ifndef PRESENCE_SHARED_PORT_H
#define PRESENCE_SHARED_PORT_H

#include "endpoints.h"
#include "listener.h"

/* Let passed sockets share the address's port, if they have it in part or in full, with sockets of
 * the same user; root makes them its own. Returns false if there are none. */
bool shared_port_allow(const struct endpoints *endpoints, const struct sockaddr_storage *address);

/* Return a passed socket of another user that has the address's port in part or in full, or NULL.
 */
const struct handover_socket *shared_port_find_foreign(const struct endpoints *endpoints,
                                                       const struct sockaddr_storage *address);

/* Wait until nobody else has the port of an endpoint that shares it: the kernel doesn't refuse our
 * socket then, but lets it join those of any program of this user. Errors: -EADDRINUSE somebody had
 * it for LISTENER_PATIENCE_MS, or a passed socket is another user's; -EINTR `options->wait`
 * returned false; -ECANCELED nobody knows, which a line in the log says. */
int shared_port_wait(const struct endpoints *endpoints, const struct endpoint *endpoint,
                     const struct listener_options *options);

#endif

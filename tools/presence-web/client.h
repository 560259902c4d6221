/* client.h - whose request this is: the address of a visitor's browser, not of a proxy. */
#ifndef PRESENCE_WEB_CLIENT_H
#define PRESENCE_WEB_CLIENT_H

#include "web.h"

struct client {
    struct host host;
    bool proxied; /* a proxy that is trusted has passed it on: its headers can be believed */
};

/* Each trusted proxy says in X-Forwarded-For who has asked it: the client is the last one that is
 * no trusted proxy. What anybody else says there is not believed. */
struct client client_of(const struct web *web, const struct http_request *request);

/* The country that a trusted proxy names, two letters; NULL: none. */
const char *client_country(const struct web *web, const struct http_request *request,
                           const struct client *client);

/* Does the browser use HTTPS, as far as a trusted proxy says? */
bool client_is_secure(const struct http_request *request, const struct client *client);

#endif

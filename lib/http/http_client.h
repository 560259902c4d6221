/* http_client.h - find out who sends a request, also through proxies. One thread. */
#ifndef PRESENCE_HTTP_CLIENT_H
#define PRESENCE_HTTP_CLIENT_H

#include "common/networks.h"
#include "http_server.h"

struct http_client {
    struct host host; /* an IPv4 address or an IPv6 /64, see host_client() */
    bool is_proxied;  /* came through a trusted proxy, so its headers can be believed */
    bool is_secure;   /* a trusted proxy says that the browser uses HTTPS */
};

/* Find the client of a request: who has connected, or, where that is one of `proxies`, the last
 * address in X-Forwarded-For, Forwarded (RFC 7239) or X-Real-IP that is none of them. The client is
 * the proxy itself where the headers name nobody, or different clients: a stranger has then sent
 * one of them, and the proxy has passed it on. What keeps proxies from being believed is logged
 * once. */
struct http_client http_client_find(const struct http_request *request,
                                    const struct network *proxies, unsigned count);

#endif

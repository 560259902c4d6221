/* http_routes.h - find the handler of a request, for http_server.c. */
#ifndef PRESENCE_HTTP_ROUTES_H
#define PRESENCE_HTTP_ROUTES_H

#include "http_server.h"

#define HTTP_ROUTES_ALLOW_MAX 64 /* bytes of an Allow header */

/* Find the first route for a method and path, and return 0; or the status to refuse the request
 * with, 404 or 405: then `allow`, empty at first, lists the methods that there are. */
unsigned http_routes_find(const struct http_options *options, const char *method, const char *path,
                          http_handler **ret_handler, char allow[HTTP_ROUTES_ALLOW_MAX]);

#endif

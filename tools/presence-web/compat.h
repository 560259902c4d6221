/* compat.h - answer clients of other systems at their own addresses.
 *
 * A route only knows where a request names its site and which shape its answer has. The numbers are
 * those of the API. */
#ifndef PRESENCE_WEB_COMPAT_H
#define PRESENCE_WEB_COMPAT_H

#include "web.h"

/* The routes for http_options, which --no-compat leaves out. */
extern const struct http_route compat_routes[];
extern const size_t compat_routes_count;

#endif

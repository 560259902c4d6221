/* query.h - what a request asks for, checked. */
#ifndef PRESENCE_WEB_QUERY_H
#define PRESENCE_WEB_QUERY_H

#include "reply.h"

#define QUERY_MINUTES_DEFAULT 5
#define QUERY_MINUTES_MAX     60

/* Each returns true; or false with a `problem` that says what is wrong, and then leaves its other
 * outputs alone. */

/* The page that asks, if one does, is one that may. */
bool query_origin(const struct web *web, const struct http_request *request,
                  struct problem *problem);

/* Take a site by its name; it must be one that is served here. */
bool query_take_site(const struct web *web, const char *name, struct place *ret,
                     struct problem *problem);

/* The site that stands in the path between `before` and `after`. */
bool query_path_site(const struct web *web, const struct http_request *request, const char *before,
                     const char *after, struct place *ret, struct problem *problem);

/* The parameters `site` and `room`; the room alone, which need not be there. */
bool query_place(const struct web *web, const struct http_request *request, struct place *ret,
                 struct problem *problem);
bool query_room(const struct http_request *request, struct place *ret, struct problem *problem);

/* A whole number; one that is too small or too large is moved to the nearest that is allowed. */
bool query_number(const struct http_request *request, const char *name, uint32_t least,
                  uint32_t most, uint32_t otherwise, uint32_t *ret, struct problem *problem);

/* The window that is meant by `minutes`. */
bool query_window(const struct http_request *request, uint32_t *ret_s, struct problem *problem);

#endif

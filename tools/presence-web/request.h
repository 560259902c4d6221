/* request.h - check a request: who sends it, what it asks for, and whether it is allowed. */
#ifndef PRESENCE_WEB_REQUEST_H
#define PRESENCE_WEB_REQUEST_H

#include <stdint.h>

#include "response.h"
#include "web.h"

struct quota;

/* ---- who sends it --------------------------------------------------------------------------- */

struct client {
    struct host host;    /* an IPv4 address or an IPv6 /64 */
    bool is_secure;      /* a trusted proxy says that the browser uses HTTPS */
    const char *country; /* that a trusted proxy names, two letters; NULL: none */
};

/* Find the client whose browser has sent the request, also behind trusted proxies. */
struct client request_client(const struct web *web, const struct http_request *request);

/* ---- what it asks for ----------------------------------------------------------------------- */

#define REQUEST_MINUTES_MAX 60

/* Each of these returns true, or fills in `problem`, leaves its other outputs alone and returns
 * false. */

/* Check that the page that asks, if one does, is of an allowed origin. */
bool request_check_origin(const struct web *web, const struct http_request *request,
                          struct problem *problem);

/* True if the page that asks, if one does, may name visitors of a site (NULL: malformed): it is of
 * an origin that --origin names, of that site, or of the site that this server belongs to. A
 * browser that doesn't tell its page may not. */
bool request_is_from_site(const struct web *web, const struct http_request *request,
                          const char *site);

/* Check the origin of a request from a page, find its client and charge it for a heartbeat. To be
 * called before the heartbeat is parsed, so that garbage is charged, too. */
bool request_admit(const struct web *web, const struct http_request *request, struct client *ret,
                   struct problem *problem);

/* Count a new stream of a client with so many places; limiter_close_stream ends it. */
bool request_open_stream(const struct web *web, const struct client *client, size_t places,
                         struct quota **ret, struct problem *problem);

/* Write the site that a name, or an id of --site-alias, means. False if it is malformed. */
bool request_find_site(const struct web *web, const char *name, char ret[PLACE_SITE_MAX + 1]);

/* Parse the name of a site, or an id that stands for one. It must be served here. */
bool request_parse_site(const struct web *web, const char *name, struct place *ret,
                        struct problem *problem);

/* Find the site of a request that names none: that of --rest-site, or the only one of --site. */
bool request_parse_rest_site(const struct web *web, struct place *ret, struct problem *problem);

/* True if a path begins with `before` and, behind that, ends with `after`. */
bool request_path_fits(const char *path, const char *before, const char *after);

/* Parse the site that stands in the path between `before` and `after`. */
bool request_parse_path_site(const struct web *web, const struct http_request *request,
                             const char *before, const char *after, struct place *ret,
                             struct problem *problem);

/* Parse the name of a room; NULL and an empty one mean the whole site. */
bool request_parse_room(const char *name, struct place *ret, struct problem *problem);

/* Parse a parameter that is a whole number, and clamp it to `least` and `most`. */
bool request_parse_number(const struct http_request *request, const char *name, uint32_t least,
                          uint32_t most, uint32_t otherwise, uint32_t *ret,
                          struct problem *problem);

/* Parse `minutes` as a window in seconds, 0 without it: the default one. Of totals it must be one
 * that is published. */
bool request_parse_window(const struct web *web, const struct http_request *request,
                          uint32_t *ret_s, struct problem *problem);

/* True if the client has the version with this tag, a quoted text, already (If-None-Match). */
bool request_has_tag(const struct http_request *request, const char *tag);

/* ---- whether it may ------------------------------------------------------------------------- */

#define REQUEST_TOKEN_KEY_MIN 32 /* bytes: RFC 7518, 3.2 */

/* The use that a token (JWT, HS256) has to allow. Its claims: `site`, required; `room`: only there,
 * otherwise the whole site; `exp`, required, `nbf` and `iat`, in Unix seconds, each with half a
 * minute of leeway; `sub`: only this visitor. */
struct token_use {
    const struct place *place;
    const char *visitor; /* NULL: any */
    bool leaves_site;    /* a token for one of the site's rooms allows that, too */
    bool any_place;      /* an application's own token, without `site`, allows it, too */
    char *ret_subject;   /* receives `sub`, "" without it or if it is too long for a visitor;
                            PLACE_ID_MAX + 1 bytes. NULL: not wanted */
};

/* True if the request may read the API; false fills in `problem`. */
bool request_may_read(const struct web *web, const struct http_request *request,
                      struct problem *problem);

/* True if the request may use a place; false fills in `problem`. `token` is one that it carries
 * elsewhere than in its headers, or NULL. `ret_expires` is the time when the permission ends, in
 * Unix seconds, or INT64_MAX. */
bool request_may_use(const struct web *web, const struct http_request *request, const char *token,
                     const struct token_use *use, int64_t *ret_expires, struct problem *problem);

/* Return what follows "Bearer" in Authorization, or NULL. */
const char *request_bearer(const struct http_request *request);

/* True if the request carries one of the API keys. */
bool request_has_api_key(const struct web *web, const struct http_request *request);

/* ---- the places of a stream ----------------------------------------------------------------- */

#define REQUEST_PLACES_MAX 64

struct request_places {
    uint32_t window_s;
    int64_t expires; /* Unix seconds: when the first of its tokens does */
    size_t count;
    struct place places[REQUEST_PLACES_MAX];
};

/* Parse the parameters `site`, `room` and `token`, which may be repeated: the n-th room and the
 * n-th token are the n-th place's, and where there are fewer sites or tokens than places the last
 * one is for the rest. False fills in `problem`. */
bool request_parse_places(const struct web *web, const struct http_request *request,
                          struct request_places *ret, struct problem *problem);

#endif

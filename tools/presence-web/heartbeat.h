/* heartbeat.h - parse what a browser reports, as JSON or as the parameters of a picture's URL. */
#ifndef PRESENCE_WEB_HEARTBEAT_H
#define PRESENCE_WEB_HEARTBEAT_H

#include <stdbool.h>

#include "request.h"

#define HEARTBEAT_HOLD_MAX 30 /* seconds */

struct heartbeat {
    enum presence_heartbeat_kind kind;
    struct place place;
    char visitor[PLACE_ID_MAX + 1];
    char source[PLACE_SOURCE_MAX + 1];
    char event[PLACE_EVENT_MAX + 1];
    int hold_s; /* how long to hold a leave of the site; -1: the default */
    bool is_from_bot;
    bool is_prefetch; /* nobody looks at the page yet */
};

/* The fields as they were sent; NULL is absent. */
struct heartbeat_fields {
    const char *site, *visitor, *room, *source, *kind, *event, *token;
    double hold_s; /* negative: absent */
};

/* Return the query's parameters; they point into the request. */
struct heartbeat_fields heartbeat_query_fields(const struct http_request *request);

/* Parse a heartbeat, recognise bots (unless they count) and prefetched pages, and check that the
 * request may report it. As in text datagrams, a room or source that can't be a name is left out
 * and the site still counts, except in a leave: that would become one of the whole site. False
 * fills in `problem` and leaves `ret` alone. */
bool heartbeat_parse(const struct web *web, const struct http_request *request,
                     const struct heartbeat_fields *fields, struct heartbeat *ret,
                     struct problem *problem);

/* Like heartbeat_parse(), but the caller checks whether the request may report it. */
bool heartbeat_parse_permitted(const struct web *web, const struct http_request *request,
                               const struct heartbeat_fields *fields, struct heartbeat *ret,
                               struct problem *problem);

/* Like heartbeat_parse(), from the JSON in the request's body. */
bool heartbeat_parse_body(const struct web *web, const struct http_request *request,
                          struct heartbeat *ret, struct problem *problem);

/* True if the text names a visitor, even one that is too long. False for NULL and for the words
 * that broken scripts send, such as undefined. */
bool heartbeat_names_visitor(const char *visitor);

/* True if the heartbeat ends the visitor's presence in the whole site. */
static inline bool heartbeat_leaves_site(const struct heartbeat *heartbeat)
{
    return heartbeat->kind == PRESENCE_LEAVE && !heartbeat->place.room[0];
}

/* Return the place as libpresence expects it; it points into `heartbeat`. */
struct presence_place heartbeat_place(const struct heartbeat *heartbeat, const char *country);

#endif

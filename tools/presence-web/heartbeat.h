/* heartbeat.h - what a browser reports, as JSON or as the parameters of a picture's address. */
#ifndef PRESENCE_WEB_HEARTBEAT_H
#define PRESENCE_WEB_HEARTBEAT_H

#include <jansson.h>

#include "query.h"

struct heartbeat {
    enum presence_heartbeat_kind kind;
    struct place place;
    char visitor[WIRE_ID_MAX + 1];
    char source[WIRE_SOURCE_MAX + 1];
    char event[WIRE_EVENT_MAX + 1];
};

/* As they were sent; NULL is absent. */
struct heartbeat_fields {
    const char *site, *visitor, *room, *source, *kind, *event, *token;
};

/* Take the fields of a JSON object, which keeps them. False: one is no text. */
bool heartbeat_fields_of_json(json_t *object, struct heartbeat_fields *ret,
                              struct problem *problem);

struct heartbeat_fields heartbeat_fields_of_query(const struct http_request *request);

/* Check them. As in text datagrams, a room or source that can't be a name is left out and the site
 * still counts; but a leave may not become one of the whole site by that. */
bool heartbeat_read(const struct web *web, const struct heartbeat_fields *fields,
                    struct heartbeat *ret, struct problem *problem);

/* Does it end the visitor's presence in the whole site? */
static inline bool heartbeat_leaves_site(const struct heartbeat *heartbeat)
{
    return heartbeat->kind == PRESENCE_LEAVE && !heartbeat->place.room[0];
}

/* As libpresence takes it; points into `heartbeat`. */
struct presence_place heartbeat_place(const struct heartbeat *heartbeat, const char *country);

#endif

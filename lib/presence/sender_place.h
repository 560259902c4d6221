/* sender_place.h - a place in the one form in which places are compared and written. */
#ifndef PRESENCE_SENDER_PLACE_H
#define PRESENCE_SENDER_PLACE_H

#include "presence/presence.h"
#include "core/wire.h"

/* kind, country (two bytes, zero when absent), then site, room, source and event, each with a
 * terminating zero: equal places have equal bytes. The site's ASCII letters are lower-case, the
 * country's upper-case; an absent name is empty. */
struct sender_place {
    uint16_t length;              /* of `bytes`, in bytes */
    uint16_t room, source, event; /* where they begin; the site begins at SENDER_PLACE_SITE */
    char bytes[3 + WIRE_SITE_MAX + WIRE_ROOM_MAX + WIRE_SOURCE_MAX + WIRE_EVENT_MAX + 4];
};

#define SENDER_PLACE_SITE 3

static inline const char *sender_place_site(const struct sender_place *place)
{
    return place->bytes + SENDER_PLACE_SITE;
}

static inline bool sender_place_is_leave(const struct sender_place *place)
{
    return place->bytes[0] == PRESENCE_LEAVE;
}

/* Bring a caller's place into that form. Errors: -EINVAL a name is missing, the kind or the country
 * cannot be, or an event and a kind that do not go together; -ENAMETOOLONG; -EILSEQ a name is not
 * UTF-8 or has control characters. */
int sender_place_read(const struct presence_place *given, struct sender_place *ret);

/* True when `given`, spelled as it is, is this place: no is no proof. Much cheaper than reading. */
bool sender_place_matches(const struct sender_place *place, const struct presence_place *given);

/* The same place for wire_encode or text_encode, without visitors; points into `place`. */
struct wire_heartbeat sender_place_heartbeat(const struct sender_place *place);

#endif

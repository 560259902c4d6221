/* sender_place.h - a place in canonical form. */
#ifndef PRESENCE_SENDER_PLACE_H
#define PRESENCE_SENDER_PLACE_H

#include "core/wire.h"
#include "presence/presence.h"

#include <string.h>

/* A place: kind, country (two bytes, zero if absent), then site, room, source and event, each with
 * a terminating zero: equal places have equal bytes. Names are in canonical form (canonical.h); an
 * absent one is empty. */
struct sender_place {
    uint16_t length;              /* of `bytes`, in bytes */
    uint16_t room, source, event; /* offsets; the site begins at SENDER_PLACE_SITE */
    char bytes[3 + WIRE_SITE_MAX + WIRE_ROOM_MAX + WIRE_SOURCE_MAX + WIRE_EVENT_MAX + 4];
};

#define SENDER_PLACE_SITE  3
#define SENDER_PLACE_NAMES 4

static inline bool sender_place_equals(const struct sender_place *left,
                                       const struct sender_place *right)
{
    return left->length == right->length && memcmp(left->bytes, right->bytes, left->length) == 0;
}

/* Check a caller's place and bring it into that form. Errors: -EINVAL a name is missing, the kind
 * or the country is invalid, or event and kind don't match; -ENAMETOOLONG; -EILSEQ a name is not
 * UTF-8 or has control characters. `ret` may then be partly written. */
int sender_place_parse(const struct presence_place *given, struct sender_place *ret);

/* True if `given`, as it is spelled, is this place. False proves nothing. Much cheaper than
 * sender_place_parse. */
bool sender_place_matches(const struct sender_place *place, const struct presence_place *given);

/* Return the place for a record or text_encode, without visitors; it points into `place`. */
struct wire_heartbeat sender_place_heartbeat(const struct sender_place *place);

#endif

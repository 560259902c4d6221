/* place.h - the site and the room that a request names. */
#ifndef PRESENCE_WEB_PLACE_H
#define PRESENCE_WEB_PLACE_H

#include <stdbool.h>

#include "core/wire.h"

struct place {
    char site[WIRE_SITE_MAX + 1]; /* ASCII letters in lower case */
    char room[WIRE_ROOM_MAX + 1]; /* empty: the site as a whole */
};

/* Is this a name of 1 to `longest` bytes of UTF-8 without control characters? Any thread. */
bool place_is_name(const char *text, size_t longest);

/* Take a name; false, and `place` as it was, if it is none. */
bool place_take_site(struct place *place, const char *text);
bool place_take_room(struct place *place, const char *text);

bool place_equals(const struct place *left, const struct place *right);

/* The room for libpresence: NULL is the site. */
static inline const char *place_room(const struct place *place)
{
    return place->room[0] ? place->room : NULL;
}

#endif

/* place.h - what a command is about: a site, or a room, a country or a source of it. */
#ifndef PRESENCECTL_PLACE_H
#define PRESENCECTL_PLACE_H

#include <jansson.h>

#include "presencectl.h"

struct place {
    enum presence_kind kind;
    const char *site;
    const char *name; /* NULL for PRESENCE_SITE */
};

/* Take it from the arguments SITE [ROOM], --country and --source. Complains and returns false when
 * there is more than one label, or no such name can exist. What `ret` points to is the arguments'
 * and the options'. */
bool place_read(const struct options *options, char **arguments, struct place *ret);

/* "example.com", "/pricing on example.com", "country DE of example.com", fit to be seen. */
struct place_name {
    char text[SHOW_NAME_SIZE * 2 + 16];
};
struct place_name place_describe(const struct place *place);

/* The name, if the place is of this kind; NULL otherwise. */
const char *place_label(const struct place *place, enum presence_kind kind);

/* Put "site" and "room" into an object, and "country" or "source" where that is asked for. */
void json_set_place(json_t *object, const struct place *place);

#endif

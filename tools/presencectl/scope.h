/* scope.h - parse, load and format the scope that a command is about: a site, or a room, a country
 * or a source of it. */
#ifndef PRESENCECTL_SCOPE_H
#define PRESENCECTL_SCOPE_H

#include <jansson.h>

#include "presencectl.h"

struct scope {
    enum presence_kind kind;
    const char *site;
    const char *name; /* NULL for PRESENCE_SITE */
};

/* Parse the arguments SITE [ROOM] and the options --country and --source. `ret` points into them;
 * their names are converted to the form in which they are stored. Returns false after reporting a
 * name that can't exist, or more than one label. */
bool scope_parse(const struct options *options, char **arguments, struct scope *ret);

/* Load the scope's count. Without a segment (NULL) it is unknown, and stale as of now. Returns 0 or
 * a negative errno. */
int scope_load(struct presence *presence, const struct scope *scope, uint32_t window_s,
               struct presence_reading *ret);

/* Format a scope as "example.com", "/pricing on example.com" or "country DE of example.com", with
 * names escaped as show_name does. */
struct scope_text {
    char text[SHOW_NAME_SIZE * 2 + 16];
};
struct scope_text scope_describe(const struct scope *scope);

/* Return the scope's name if it is of this kind, or else NULL. */
const char *scope_label(const struct scope *scope, enum presence_kind kind);

/* Set "site" and "room" of an object, and "country" or "source" if the scope is one. */
void json_set_scope(json_t *object, const struct scope *scope);

#endif

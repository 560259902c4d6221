/* json_whole.h - texts of JSON that miss nothing. Jansson leaves out a member that it has no memory
 * for, and tells only those who ask after each one. */
#ifndef PRESENCE_JSON_WHOLE_H
#define PRESENCE_JSON_WHOLE_H

#include <jansson.h>

/* Notice each allocation of Jansson that fails. Call it once, before all other use of Jansson, in a
 * program that uses it in one thread. */
void json_whole_begin(void);

/* Take the error with which something for the next text could not be read: with -ENOMEM that text
 * is not made. The thread that uses Jansson. */
void json_whole_fail(int error);

/* Return the text of an object, with JSON_... as flags, and release the object (NULL: it could not
 * be made). NULL if there was not enough memory for it, or since the last call for anything else of
 * JSON. The caller frees the text. The thread that uses Jansson. */
char *json_whole_text(json_t *object, size_t flags);

#endif

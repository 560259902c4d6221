/* secrets.h - files of secrets, one a line. */
#ifndef PRESENCE_WEB_SECRETS_H
#define PRESENCE_WEB_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

#define SECRETS_MAX       64
#define SECRETS_MAX_BYTES 1024 /* of one */

struct secrets {
    size_t count;
    char *items[SECRETS_MAX];
};

/* Read the lines of a file, of at least `least` bytes each; empty ones and those that begin with #
 * are left out. To be freed with secrets_free.
 * Errors: -EPERM others may read the file; -ENOKEY there is none in it; -EMSGSIZE one is too short
 * or too long, or there are too many; those of opening and reading. */
int secrets_read(const char *path, size_t least, struct secrets *ret);
void secrets_free(struct secrets *secrets);

/* Is `text` one of them? Takes as long whichever byte differs. */
bool secrets_have(const struct secrets *secrets, const char *text);

#endif

/* secrets.h - the keys that requests name. */
#ifndef PRESENCE_WEB_SECRETS_H
#define PRESENCE_WEB_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/key_file.h"

#define SECRETS_MAX       64
#define SECRETS_MAX_BYTES 1024 /* of one */

struct secrets {
    size_t count;
    char *items[SECRETS_MAX];
};

/* Load the lines of a key file, of at least `least` bytes each; release them with secrets_free. On
 * failure `*ret_problem`, which was NULL, says why in words. Errors: -ENOKEY there is none;
 * -EMSGSIZE one is too short or too long, or there are too many; those of key_file_open. */
int secrets_load(const char *path, size_t least, struct secrets *ret, const char **ret_problem);
void secrets_free(struct secrets *secrets);

/* True if `text` is one of them. Takes as long whichever byte differs. */
bool secrets_have(const struct secrets *secrets, const char *text);

#endif

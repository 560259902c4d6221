/* signing.h - the key that heartbeats are signed with. */
#ifndef PRESENCE_WEB_SIGNING_H
#define PRESENCE_WEB_SIGNING_H

#include <stdint.h>

#include "common/key_text.h"

struct signing_key {
    uint8_t id; /* 0: don't sign */
    uint8_t bytes[KEY_TEXT_BYTES];
};

/* Read a file of the collector's keys, a line `ID HEX32` each, # begins a comment: the first of
 * them is the one to sign with.
 * Errors: -EPERM others may read the file; -ENOKEY there is none in it; -EBADMSG a line is wrong;
 * -EMSGSIZE one is too long, or there are too many; those of opening and reading. */
int signing_read(const char *path, struct signing_key *ret);

#endif

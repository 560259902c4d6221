/* token.h - tokens (JWT, HS256) that let a visitor into a place.
 *
 * Claims: `site`, required; `room`: only there, otherwise the whole site; `exp`, required, and
 * `nbf`, in Unix seconds; `sub`: only this visitor.
 */
#ifndef PRESENCE_WEB_TOKEN_H
#define PRESENCE_WEB_TOKEN_H

#include <stdint.h>

#include "place.h"
#include "secrets.h"

#define TOKEN_KEY_MIN 32 /* bytes: RFC 7518, 3.2 */

enum token_verdict {
    TOKEN_GOOD,
    TOKEN_INVALID, /* no token, not signed by a key of ours, or without what it needs */
    TOKEN_EXPIRED,
    TOKEN_EARLY,
    TOKEN_OTHER_PLACE,
    TOKEN_OTHER_VISITOR,
};

/* What a token is shown for. */
struct token_use {
    const struct place *place;
    const char *visitor; /* NULL: whoever has it */
    bool leaves_site;    /* which a token for one of its rooms allows, too */
};

/* Judge a token at `now`, Unix seconds. When it is good `ret_expires` is until when. Any thread. */
enum token_verdict token_judge(const struct secrets *keys, const char *token,
                               const struct token_use *use, int64_t now, int64_t *ret_expires);

#endif
